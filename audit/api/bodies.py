"""How the API takes bodies: JSON and nothing else, as strictly as the gate."""

from typing import Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from audit import canonical

LONGEST_BODY = 4 * 2**20


class AlwaysJson(BaseContentNegotiation):
    """Answers are JSON, whatever a client says that it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The parser of the body's media type, if there is one."""
        wanted = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first renderer."""
        return renderers[0], renderers[0].media_type


class StrictJson(BaseParser):
    """JSON as the gate takes it: no key twice, no number that programs read differently, and not too much of it."""

    media_type = "application/json"
    longest = LONGEST_BODY

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The body's value. Raises ParseError of the REST framework."""
        raw = stream.read(self.longest + 1)
        if len(raw) > self.longest:
            raise BodyTooLarge(f"A body has at most {self.longest // 2**20} MiB here; send less at a time.")
        try:
            return canonical.decode(raw)
        except canonical.ParseError as error:
            raise ParseError(str(error)) from error


class BodyTooLarge(APIException):
    """More than any change needs."""

    status_code, default_code = 413, "body_too_large"
