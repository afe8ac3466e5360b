"""Host names, IP addresses and mail addresses: one spelling each, or a refusal.

Two spellings of one host are two names that a grant or a rule would have to know. Case is folded; every
other spelling that resolvers, browsers and libraries read differently (`127.1`, `0x7f.1`, a trailing dot,
full-width digits) is refused rather than rewritten.
"""

import ipaddress
import re

import idna


class AmbiguousResource(ValueError):
    """A value that could name more than one resource, or none. The call is refused with this code."""

    code = "ambiguous_resource"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_NAME = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
).fullmatch
# The URL standard's "ends in a number": such a host is an IPv4 address or an error, never a name.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)").fullmatch
_LOCAL_PART = re.compile(r"[A-Za-z0-9_+=~&'$-]+(?:\.[A-Za-z0-9_+=~&'$-]+)*").fullmatch


def fold(host: str) -> str:
    """Lower-case ASCII letters only: `str.lower` would turn a Kelvin sign into a `k`."""
    return host.translate(_ASCII_LOWER)


def canonical_name(host: str) -> str:
    """The one spelling of a DNS name or dotted IPv4 address; names in other scripts become their A-labels.

    IDNA 2008 without any mapping, so that full-width letters and dots, which libraries map differently, are
    refused. Raises AmbiguousResource.
    """
    host = fold(host)
    if not host.isascii():
        host = _a_labels(host)
    if len(host) > 253 or not _NAME(host):
        raise AmbiguousResource(
            "the host is not a plain host name (letters, digits, hyphens; no trailing dot)"
        )
    if _NUMERIC(host):
        return _dotted_quad(host)
    if "xn--" in host:
        _check_a_labels(host)
    return host


def _a_labels(host: str) -> str:
    try:
        return idna.encode(host, strict=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise AmbiguousResource(
            "the host is not a valid internationalized name; write its xn-- form"
        ) from error


def _check_a_labels(host: str) -> None:
    try:
        idna.decode(host, strict=True)
    except (idna.IDNAError, UnicodeError) as error:
        raise AmbiguousResource("the host has an xn-- label that stands for no name") from error


def _dotted_quad(host: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise AmbiguousResource(
            "the host is a number; write IPv4 addresses as four decimal numbers"
        ) from error


def canonical_ipv6(text: str) -> str:
    """The RFC 5952 spelling, in brackets, of the address between brackets `text`.

    Zones and addresses that stand for an IPv4 address are refused. Raises AmbiguousResource.
    """
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise AmbiguousResource("the host is not an IPv6 address") from error
    if address.scope_id is not None:
        raise AmbiguousResource("the host is an IPv6 address with a zone")
    if address.ipv4_mapped is not None or (int(address) >> 32 == 0 and int(address) > 1):
        raise AmbiguousResource(
            "the host is an IPv4 address written as IPv6; write it as four decimal numbers"
        )
    return f"[{address.compressed}]"


def canonical_mailbox(address: str) -> tuple[str, str]:
    """The local part as written and the domain folded, of exactly one addr-spec (RFC 5322, 3.4.1).

    Quoted local parts, display names, comments, lists, routes (`%`, `!`), header fields (`?cc=`) and local
    parts beyond ASCII are refused. Raises AmbiguousResource.
    """
    local, at, domain = address.partition("@")
    if not at or "@" in domain:
        raise AmbiguousResource("the value is not exactly one mail address (name@domain)")
    if len(local) > 64 or not _LOCAL_PART(local):
        raise AmbiguousResource(
            "the mail address has characters before the @ that mail systems read differently"
        )
    domain = canonical_name(domain)
    if _NUMERIC(domain):
        raise AmbiguousResource("the mail address has a number for a domain")
    return local, domain
