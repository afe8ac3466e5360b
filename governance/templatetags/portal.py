"""What templates need beyond Django's own."""

from django import template

from governance import presentation

register = template.Library()


@register.filter
def visible(text: object) -> str:
    """Text of an agent's with what a font would hide spelled out."""
    return presentation.visible(str(text))
