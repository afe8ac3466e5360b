"""What the templates of mails need beyond Django's own."""

from django import template

from governance import letters

register = template.Library()


@register.filter
def quoted(text: object, mark: str) -> str:
    """Every line of a text behind a mark, and none too long for a mail."""
    return letters.quoted(str(text), mark)
