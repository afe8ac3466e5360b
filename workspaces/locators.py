"""The one spelling of a resource: `normalize`, and what its parts are.

A resource is `scheme://[user@]host[:port]/path[?query]`, `mailto:user@host` or `scheme:path`. Grammar and
equivalence follow RFC 3986, stricter wherever programs are known to disagree. In a path the characters of
`PATH_CHARACTERS` stand for themselves and everything else is percent-encoded, so that two spellings of one
resource never differ; only in http(s) do `+` and `;` and their encoded forms stay apart, because servers
tell them apart. `*` is always encoded: a resource is never a pattern.
"""

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from workspaces.hosts import AmbiguousResource, canonical_ipv6, canonical_mailbox, canonical_name

MAX_LENGTH = 8192  # characters of a normalized resource

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
PATH_CHARACTERS = UNRESERVED + "!$&'(),:=@+;"
QUERY_CHARACTERS = PATH_CHARACTERS + "/?"
KEPT_APART = "+;"  # in an http path, written and encoded are two things
DEFAULT_PORTS = {"http": "80", "https": "443"}


class Parts(NamedTuple):
    """A resource in its parts. Absent user, host and port are empty, an absent query is None.

    `path` has its leading slash where there is a host (or `//`), and none in `scheme:path`.
    """

    scheme: str
    user: str
    host: str
    port: str
    path: str
    query: str | None


SCHEME = re.compile(r"[a-z][a-z0-9+.-]*").fullmatch
_SPLIT = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*):"
    r"(?:(//)(?:([^@/?#]*)@)?(\[[^\]/?#@]*\]|[^:/?#@]*)(?::([^/?#@]*))?(?=[/?#]|\Z))?"
    r"([^?#]*)(?:\?([^#]*))?(#.*)?",
    re.DOTALL,
).fullmatch

_SEGMENT = r"[A-Za-z0-9_~!$&'(),:=@+;-][A-Za-z0-9._~!$&'(),:=@+;-]*"
_LABEL = r"(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)+[a-z]{{2,63}}"
# Spellings that are plainly normal already: no percent sign, no segment that begins with a dot, no odd host.
_PLAIN = re.compile(
    rf"(?:https?://{_DOMAIN}(?:(?:/{_SEGMENT})+/?|/)"
    rf"|file://(?:/{_SEGMENT})+/?"
    rf"|mailto:[A-Za-z0-9_+=~&'$-]{{1,64}}@{_DOMAIN}"
    rf"|(?!https?:|file:|mailto:)[a-z][a-z0-9+.-]*:"
    rf"(?://[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/{_SEGMENT})*/?|{_SEGMENT}(?:/{_SEGMENT})*))"
).fullmatch
_PLAIN_LENGTH = 250  # shorter than the longest host name, so that _PLAIN need not measure it

# Encoded dots, separators and controls, once or several times over: what a second decoding would bring to
# life.
_HIDDEN = re.compile(r"%(?:25)*(?:2[ef]|5c|[01][0-9a-f]|7f)", re.IGNORECASE).search
# Controls, line and paragraph separators, surrogates, invisible marks and the marks that reorder text.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
).search
_TRIPLET_OR_OTHER = re.compile(r"%(?:[0-9A-Fa-f]{2})?|[^A-Za-z0-9._~!$&'(),:=@+;/?-]")
_HOST_TEXT = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*").fullmatch
_PARAMETER_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:;|%3B)").search


def normalize(resource: str) -> str:
    """The one spelling of a concrete resource; raises AmbiguousResource where there is none. Idempotent."""
    if len(resource) <= _PLAIN_LENGTH and _PLAIN(resource):
        return resource
    check_text(resource)
    if " " in resource:
        raise AmbiguousResource("the resource has a space in it")
    if resource[:7].lower() == "mailto:":
        local, domain = canonical_mailbox(resource[7:])
        return f"mailto:{local}@{domain}"
    result = unsplit(canonical_parts(resource))
    if len(result) > MAX_LENGTH:
        raise AmbiguousResource(f"the resource is longer than {MAX_LENGTH:,} characters")
    return result


def canonical_parts(resource: str) -> Parts:
    """The canonical parts of any resource that is not `mailto:`. Raises AmbiguousResource."""
    match = _SPLIT(resource)
    if match is None:
        raise AmbiguousResource("the value is not an absolute address (scheme://host/path)")
    scheme, slashes, user, host, port, path, query, fragment = match.groups()
    scheme = scheme.lower()
    web = scheme in DEFAULT_PORTS
    if (user is not None and (web or not user)) or (web and not host):
        raise AmbiguousResource(
            "the address has a user name in it" if web and host else "the address has no host"
        )
    if scheme == "file" and (not slashes or host or port is not None or user is not None or path[:1] != "/"):
        raise AmbiguousResource("the path is relative or has a host; write file:///absolute/path")
    if fragment is not None and not web:  # the web's fragments stay with the client and are left out
        raise AmbiguousResource("the address has a # in it")
    if not host and (port is not None or user or not path or (slashes is None and path[0] == "/")):
        raise AmbiguousResource("the address names nothing, or no host, after its scheme")
    return Parts(
        scheme,
        canonical_authority_text(user) if user else "",
        canonical_host(scheme, host) if host else "",
        canonical_port(scheme, port) if port is not None else "",
        canonical_path(scheme, path, rooted=slashes is not None),
        canonical_query(scheme, query) if query is not None else None,
    )


def parts(resource: str) -> Parts:
    """The parts of a normalized resource (not checked again)."""
    scheme, _, rest = resource.partition(":")
    if scheme == "mailto":
        user, _, host = rest.partition("@")
        return Parts(scheme, user, host, "", "", None)
    if rest[:2] != "//":
        path, mark, query = rest.partition("?")
        return Parts(scheme, "", "", "", path, query if mark else None)
    rest, mark, query = rest.partition("?")
    slash = rest.find("/", 2)
    authority, path = (rest[2:], "") if slash < 0 else (rest[2:slash], rest[slash:])
    user = port = ""
    if "@" in authority:
        user, _, authority = authority.partition("@")
    if ":" in authority and authority[-1] != "]":
        authority, _, port = authority.rpartition(":")
    return Parts(scheme, user, authority, port, path, query if mark else None)


def unsplit(parts: Parts) -> str:
    """The text of canonical parts."""
    scheme, user, host, port, path, query = parts
    if scheme == "mailto":
        return f"mailto:{user}@{host}"
    slashes = "//" if host or path[:1] in ("/", "") else ""
    authority = (user and user + "@") + host + (port and ":" + port)
    return f"{scheme}:{slashes}{authority}{path}" + ("" if query is None else "?" + query)


def check_text(text: str) -> None:
    """Refuse backslashes, control and invisible characters, and what is overlong."""
    if len(text) > MAX_LENGTH:
        raise AmbiguousResource(f"the value is longer than {MAX_LENGTH:,} characters")
    if "\\" in text:
        raise AmbiguousResource("the value has a backslash in it")
    if _UNPRINTABLE(text):
        raise AmbiguousResource("the value has control or invisible characters in it")


def encode(text: str, characters: str) -> str:
    """Percent-encode (UTF-8) all but `characters`; text that is overlong or has no UTF-8 form is refused."""
    if len(text) > MAX_LENGTH:
        raise AmbiguousResource(f"the value is longer than {MAX_LENGTH:,} characters")
    try:
        return quote(text, safe=characters)
    except UnicodeEncodeError as error:
        raise AmbiguousResource("the value is not valid Unicode text") from error


def canonical_host(scheme: str, host: str) -> str:
    """A host in its one spelling: a checked, folded name for http(s), else percent-encoded as written."""
    if host[:1] == "[":
        return canonical_ipv6(host[1:-1])
    if scheme in DEFAULT_PORTS:
        return canonical_name(host)
    host = canonical_authority_text(host)
    if not host.strip("."):
        raise AmbiguousResource("the host is made of dots")
    return host


def canonical_authority_text(text: str) -> str:
    """A user, or a host of other schemes than http(s), that must be percent-encoded already."""
    if not _HOST_TEXT(text) or _HIDDEN(text):
        raise AmbiguousResource(
            "the part before the path has a delimiter, an encoded dot or an encoded slash in it"
        )
    decoded = _decode(text)
    if encode(decoded, UNRESERVED) != text:
        raise AmbiguousResource("the part before the path has characters encoded that stand for themselves")
    _check_lookalikes(decoded, "/?#@:,")
    return text


def canonical_port(scheme: str, port: str) -> str:
    """A port without leading zeros; the scheme's own is left out."""
    if not (port.isascii() and port.isdigit()) or port[0] == "0" or len(port) > 5 or int(port) > 65535:
        raise AmbiguousResource("the port is not a number from 1 to 65535")
    return "" if DEFAULT_PORTS.get(scheme) == port else port


def canonical_path(scheme: str, path: str, *, rooted: bool) -> str:
    """A path in its one spelling.

    Dot segments and repeated slashes are resolved in file, http and https; elsewhere they are refused,
    because there they may be part of a name. `rooted`: the path follows `//` and a host, even an empty one.
    """
    path = canonical_path_text(scheme, path)
    resolves = scheme in DEFAULT_PORTS or scheme == "file"
    if scheme in DEFAULT_PORTS:
        if _PARAMETER_DOTS(path):
            raise AmbiguousResource("the path has a dot segment with parameters")
        path = path or "/"
    if "/." in path or "//" in path or path[:1] == ".":
        segments = path.split("/")
        if not resolves:
            inner = segments[1 if rooted else 0 : -1]
            if "" in inner or "." in segments or ".." in segments:
                raise AmbiguousResource("the path has a dot segment or an empty one, which this scheme keeps")
            return path
        return _resolve(segments)
    return path


def canonical_path_text(scheme: str, path: str) -> str:
    """The characters of a path in their one encoding; its segments are not looked at."""
    if _HIDDEN(path):
        raise AmbiguousResource("the path has an encoded dot, slash, backslash or control character in it")
    text = _canonical_text(scheme, path, PATH_CHARACTERS + "/", KEPT_APART if scheme in DEFAULT_PORTS else "")
    _check_lookalikes(_decode(text), "/\\")
    return text


def canonical_query(scheme: str, query: str) -> str:
    """A query in its one encoding; characters with a meaning in queries stay as written, encoded or not."""
    apart = QUERY_CHARACTERS[len(UNRESERVED) :]
    text = _canonical_text(scheme, query, QUERY_CHARACTERS, apart)
    _decode(text)
    return text


def _canonical_text(scheme: str, text: str, characters: str, apart: str) -> str:
    """Encode what is not in `characters`; decode what is, except those `apart`, which stay as written."""
    rewrites = scheme in DEFAULT_PORTS or scheme == "file"

    def canonical(match: re.Match[str]) -> str:
        token = match[0]
        if token[0] != "%":
            return encode(token, characters)
        if len(token) != 3:
            raise AmbiguousResource("the address has a % that encodes nothing")
        character = chr(int(token[1:], 16))
        plain = character in characters and character not in apart
        if not rewrites and (plain or token != token.upper()):
            # Only the schemes of the web and of files define that `%61` and `a` are one.
            raise AmbiguousResource("the address has characters encoded that stand for themselves")
        return character if plain else token.upper()

    return _TRIPLET_OR_OTHER.sub(canonical, text)


def _decode(text: str) -> str:
    """The text behind percent-encoding, checked as any text is."""
    if "%" not in text:
        return text
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise AmbiguousResource("the address has percent-encoded bytes that are not UTF-8") from error
    if _UNPRINTABLE(decoded):
        raise AmbiguousResource("the value has control or invisible characters in it")
    if not unicodedata.is_normalized("NFC", decoded):
        raise AmbiguousResource("the value is not in Unicode form NFC")
    return decoded


def _check_lookalikes(decoded: str, delimiters: str) -> None:
    """Refuse what is a delimiter or a dot segment in compatibility form (full-width dots and slashes)."""
    if decoded.isascii():
        return
    compatible = unicodedata.normalize("NFKC", decoded)
    if any(compatible.count(delimiter) != decoded.count(delimiter) for delimiter in delimiters):
        raise AmbiguousResource("the value has a character that looks like a delimiter")
    segments = zip(compatible.split("/"), decoded.split("/"), strict=True)
    if any(looks in (".", "..") and looks != written for looks, written in segments):
        raise AmbiguousResource("the value has characters that look like a dot segment")


def _resolve(segments: list[str]) -> str:
    """RFC 3986, 5.2.4, with repeated slashes taken as one."""
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    trailing = "/" if kept and segments[-1] in ("", ".", "..") else ""
    return "/" + "/".join(kept) + trailing
