"""What conditions ask of addresses: ``is_private``, ``domain`` and ``links``. By spelling only, never by DNS.

An address comes from an agent that may be steered by whoever wrote the page it read, so every spelling that
some client resolves counts: short, octal, hexadecimal and whole-number IPv4 (inet_aton), IPv4 inside IPv6,
percent-encoded and full-width characters. What clients would read differently raises ValueError, and the
condition fails.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

# Schemes whose authority a client connects to. In others (invoice://123) the first part is no host.
NETWORK_SCHEMES = frozenset(
    {"http", "https", "ws", "wss", "ftp", "ftps", "sftp", "ssh", "git", "svn", "gopher", "dict", "ldap",
     "ldaps", "telnet", "tftp", "smb", "nfs", "rtsp", "tcp", "udp", "redis", "rediss", "postgres",
     "postgresql", "mysql", "mongodb", "amqp", "amqps", "imap", "imaps", "pop3", "pop3s", "smtp", "smtps"}
)  # fmt: skip
PRIVATE_NAMES = frozenset({"localhost", "localhost6", "ip6-localhost", "ip6-loopback"})
PRIVATE_SUFFIXES = (
    ".localhost", ".localdomain", ".localdomain6", ".local", ".internal", ".intranet", ".private", ".lan",
    ".home", ".corp", ".home.arpa",
)  # fmt: skip
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
MAX_LINKS = 1_000
MAX_SCHEME = 20

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE | re.ASCII)
_HOST_AND_PORT = re.compile(r"[^/?#@:]+:[0-9]{1,5}(?=[/?#]|\Z)", re.ASCII)
_UNREADABLE = re.compile(r"[\x00-\x20\x7f\\]")
_PORT = re.compile(r"[0-9]{0,5}", re.ASCII)
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)*")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)
_LINK_REST = re.compile(r"[^\s<>\"'`{}|\\^\x00-\x1f]*")
_SCHEME_BEFORE = re.compile(r"[a-z][a-z0-9+.-]*\Z", re.IGNORECASE | re.ASCII)
_CLOSING = {")": "(", "]": "["}


def is_private(address: str) -> bool:
    """Whether the host of a URL, resource, mail address or bare host is not on the public internet.

    Private are loopback, private, link-local, shared (CGNAT), metadata, multicast and reserved addresses, and
    names such as ``localhost``, ``*.internal`` and single-label names. A ``file:`` URL is this machine's own.
    What names no host is not private. ValueError for a host that clients read in different ways. Special
    ranges: IANA's registries, as in ``ipaddress``.
    """
    scheme, host = _split(address)
    if scheme == "file":
        return True
    if not host:
        if scheme in NETWORK_SCHEMES:
            raise ValueError("the address has no host")
        return False
    connects = scheme == "" or scheme in NETWORK_SCHEMES
    addresses = list(_ip_addresses(host, loose=connects))
    if addresses:
        return any(_is_special(found) for found in addresses)
    if host in PRIVATE_NAMES or host.endswith(PRIVATE_SUFFIXES):
        return True
    return connects and "." not in host


def domain(address: str) -> str:
    """The host of a URL, or what follows the @ of one mail address, in lower case and without a trailing dot.

    ValueError where there is none, or more than one.
    """
    scheme, host = _split(address)
    if not host or (scheme in ("", "mailto") and not _DOMAIN.fullmatch(host)):
        raise ValueError("the text has no domain")
    return host


def links(value: Any) -> list[str]:
    """The URLs (``scheme://…``, ``www.…``) in a text, or in all texts and keys of lists and maps, in order.

    ValueError above 1,000 of them.
    """
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            found.extend(_links_of(current))
        elif isinstance(current, dict):
            for key, inner in reversed(current.items()):
                waiting += [inner, key]
        elif isinstance(current, list | tuple):
            waiting.extend(reversed(current))
        if len(found) > MAX_LINKS:
            raise ValueError("the value has over 1,000 links")
    return found


def _links_of(text: str) -> Iterator[str]:
    """Linear: a scheme is looked for only right before ``://`` and has at most 20 characters."""
    end = 0
    for start, mark in _link_starts(text):
        if start < end or (mark == "www." and start and text[start - 1].isalnum()):
            continue
        if mark == "://":
            before = _SCHEME_BEFORE.search(text, max(end, start - MAX_SCHEME), start)
            if before is None:
                continue
            begin = before.start()
        else:
            begin = start
        rest = _LINK_REST.match(text, start + len(mark))
        end = rest.end() if rest else start + len(mark)
        link = _without_punctuation(text[begin:end])
        if len(link) > start + len(mark) - begin:
            yield link


def _link_starts(text: str) -> Iterator[tuple[int, str]]:
    """Where ``://`` and ``www.`` stand, in order. By str.find, thirty times as fast as an expression."""
    folded = text.replace("İ", "i").lower()  # the one letter that grows when folded
    if folded.count("://") + folded.count("www.") > MAX_LINKS:
        raise ValueError("the value has over 1,000 links")
    found = {mark: folded.find(mark) for mark in ("://", "www.")}
    while any(place >= 0 for place in found.values()):
        mark = min((mark for mark in found if found[mark] >= 0), key=found.__getitem__)
        yield found[mark], mark
        found[mark] = folded.find(mark, found[mark] + 1)


def _without_punctuation(link: str) -> str:
    """Without what closes the sentence or the bracket that the link stands in."""
    surplus = {last: link.count(last) - link.count(first) for last, first in _CLOSING.items()}
    end = len(link)
    while end:
        last = link[end - 1]
        if last in surplus and surplus[last] > 0:
            surplus[last] -= 1
        elif last not in ".,;:!?*":
            break
        end -= 1
    return link[:end]


def _split(address: str) -> tuple[str, str]:
    """(scheme, host), lower case; either may be empty. ValueError where clients would disagree."""
    if _UNREADABLE.search(address):
        raise ValueError("the address has a space, a control character or a backslash in it")
    scheme, rest = "", address
    match = _SCHEME.match(address)
    if match and not _HOST_AND_PORT.match(address):
        scheme, rest = match[1].lower(), address[match.end() :]
    if scheme == "mailto":
        if "?" in rest:
            raise ValueError("the address has header fields, which may name more recipients")
        return scheme, _mail_domain(rest)
    if scheme in NETWORK_SCHEMES:
        rest = rest.lstrip("/")  # clients open http:/host and http:host as well
    elif rest.startswith("//"):
        rest = rest[2:]
    elif scheme or rest.startswith("/"):
        return scheme, ""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not scheme and "@" in authority and ":" not in authority:
        return scheme, _mail_domain(authority)
    return scheme, _host(authority.rpartition("@")[2])


def _mail_domain(address: str) -> str:
    if address.count("@") != 1:
        raise ValueError("the text is not exactly one mail address")
    host = address.partition("@")[2]
    return _host(host.removeprefix("[").removesuffix("]") if host.count(":") < 2 else host)


def _host(authority: str) -> str:
    """The host of ``host:port`` as a resolver would see it: decoded, NFKC, folded, without a trailing dot."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        if not bracket or (port and not (port[0] == ":" and _PORT.fullmatch(port[1:]))):
            raise ValueError("the host has an open bracket")
        ipaddress.IPv6Address(host)
        return f"[{host.lower()}]"
    host, _, port = authority.partition(":")
    if not _PORT.fullmatch(port):
        raise ValueError("the port is not a number")
    # IDNA mapping (UTS 46) begins with compatibility forms: full-width digits and ideographic dots resolve.
    host = unicodedata.normalize("NFKC", unquote(host, errors="strict")).lower()
    host = host.replace("。", ".").replace("\u00ad", "").replace("\u200b", "").removesuffix(".")
    if _UNREADABLE.search(host) or any(delimiter in host for delimiter in "%/?#@:[]") or ".." in host:
        raise ValueError("the host has a delimiter or an encoded character in it")
    return host


def _ip_addresses(host: str, *, loose: bool) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Every address that the host may be read as, none for a name. ValueError for a bad number."""
    if host.startswith("["):
        yield from _embedded(ipaddress.IPv6Address(host[1:-1]))
        return
    if not loose:
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", host, re.ASCII):
            yield ipaddress.IPv4Address(host)
        return
    parts = host.split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError("the host is a number that is no address")
    yield _from_parts([_value(part, octal=True) for part in parts])
    if any(part.startswith("0") for part in parts):
        yield _from_parts([_value(part, octal=False) for part in parts])


def _value(part: str, *, octal: bool) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    if octal and part.startswith("0") and not set(part) & {"8", "9"}:
        return int(part, 8)
    return int(part)


def _from_parts(values: list[int]) -> ipaddress.IPv4Address:
    """inet_aton(3): the last of fewer than four numbers fills the remaining bytes."""
    *leading, last = values
    if any(value > 255 for value in leading) or last >= 256 ** (4 - len(leading)):
        raise ValueError("the host is a number that is no address")
    whole = last
    for position, value in enumerate(leading):
        whole |= value << (24 - 8 * position)
    return ipaddress.IPv4Address(whole)


def _embedded(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The IPv4 address that an IPv6 address leads to (mapped, NAT64, 6to4, Teredo, compatible), or itself."""
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and (address in NAT64 or (address in IPV4_COMPATIBLE and int(address) > 1)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    yield inner or address


def _is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not address.is_global or address.is_multicast or address.is_reserved
