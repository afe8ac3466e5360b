"""Patterns over resources, and an index that finds the matching ones among many.

A pattern is a resource with `*` in it, compared part by part. A `*` stands for any run of characters inside
its part, also for none. In a user, a host and a mail address it never crosses `/ ? # @ : ,`, encoded or
not; in a path it crosses everything; in a query it stays inside its parameter and crosses no `/`, unless it
is the whole query. A part that the pattern leaves out must be absent (a port: the scheme's own), with one
exception: a path that ends in `*` covers every query too, so that `https://shop.test/*` means all of that
host, in a grant as in a denial. `?*` means any query or none, `:*` any port or none. The scheme is written
out.
"""

import re
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from workspaces.hosts import AmbiguousResource, canonical_ipv6, canonical_mailbox, canonical_name, fold
from workspaces.locators import (
    DEFAULT_PORTS,
    MAX_LENGTH,
    SCHEME,
    Parts,
    canonical_authority_text,
    canonical_path_text,
    canonical_port,
    canonical_query,
    check_text,
    parts,
    unsplit,
)

Matcher = Callable[[str], bool]
Key = TypeVar("Key", bound=Hashable)
Place = TypeVar("Place")

_AUTHORITY_BARRIER = re.compile(r"(%(?:2F|3F|23|40|3A|2C)|[/?#@:,])")
_QUERY_BARRIER = re.compile(r"([/&])")
_HOST_GLOB = re.compile(r"[a-z0-9_.*-]+").fullmatch
_LOCAL_GLOB = re.compile(r"[A-Za-z0-9_+=~&'$.*-]+").fullmatch
_TRIPLET = re.compile(r"%([0-9A-F]{2})")
_STARS = re.compile(r"\*{2,}")
_ANYTHING = "\ufffe"  # no text that is accepted has this


class PatternError(ValueError):
    """A pattern that is malformed, or could never match a normalized resource. The message says why."""

    code, status = "bad_pattern", 400


class Pattern:
    """A compiled pattern. `text` is what was written, `canonical` its one spelling."""

    __slots__ = ("_head", "_host", "_path", "_query", "_user", "canonical", "form", "text")

    def __init__(self, text: str, form: Parts) -> None:
        self.text = text
        self.form = form
        self.canonical = unsplit(form)
        self._head = None if "*" in "".join(form[:4]) else tuple(form[:4])
        self._user = _matcher(form.user, _AUTHORITY_BARRIER)
        self._host = _matcher(form.host, _AUTHORITY_BARRIER)
        self._path = _path_matcher(form.path)
        self._query = _query_matcher(form)

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Compile `text`; raises PatternError."""
        try:
            return cls(text, _canonical(text))
        except AmbiguousResource as error:
            raise PatternError(f"This pattern can never match: {error.message}.") from error

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def matches(self, resource: str) -> bool:
        """Whether this pattern covers the normalized `resource`."""
        return self.covers(parts(resource))

    def covers(self, of: Parts) -> bool:
        """The same for a resource taken apart already."""
        if self._head is not None:
            return of[:4] == self._head and self._path(of.path) and self._query(of.query)
        scheme, _, _, port, _, _ = self.form
        return (
            of.scheme == scheme
            and (of.port == port or port == "*")
            and self._host(of.host)
            and self._user(of.user)
            and self._path(of.path)
            and self._query(of.query)
        )

    def contains(self, other: "Pattern") -> bool:
        """Whether this pattern surely covers all that `other` does; it may say no where that is hard to tell.

        Each `*` of the other one is taken for a character that no pattern has: what covers that, covers by a `*` of
        its own, which goes as far in the same part.
        """
        scheme, user, host, port, path, query = other.form
        user, host, path = (part.replace("*", _ANYTHING) for part in (user, host, path))
        if other.form.path[-1:] == "*" and query is None:
            query = "*"  # such a path covers every query, too
        queries = {query, None} if query == "*" else {query}
        return all(
            self.covers(Parts(scheme, user, host, port, path, each and each.replace("*", _ANYTHING)))
            for each in queries
        )


def _canonical(text: str) -> Parts:
    """The canonical parts of a pattern; raises PatternError or AmbiguousResource."""
    if len(text) > MAX_LENGTH:
        raise PatternError(f"A pattern has at most {MAX_LENGTH:,} characters.")
    check_text(text)
    scheme, colon, rest = _STARS.sub("*", text).partition(":")
    scheme = fold(scheme)
    if not colon or not SCHEME(scheme):
        raise PatternError("A pattern begins with a scheme that is written out, as in https://host/path*.")
    if "#" in rest:
        raise PatternError("A pattern has no # in it; in a name it is written %23.")
    if scheme == "mailto":
        return _canonical_mailbox(rest)
    rest, mark, query = rest.partition("?")
    form = _canonical_address(scheme, rest)
    if not mark:
        return form
    return form._replace(query="*".join(canonical_query(scheme, piece) for piece in query.split("*")))


def _canonical_mailbox(rest: str) -> Parts:
    local, at, domain = rest.partition("@")
    if not at or "@" in domain:
        raise PatternError("A mail pattern is one address, as in mailto:*@customers.test.")
    if "*" not in rest:
        local, domain = canonical_mailbox(rest)
    elif not _LOCAL_GLOB(local):
        raise PatternError("The part before the @ has characters that no accepted mail address has.")
    else:
        domain = _canonical_host("mailto", domain)
    return Parts("mailto", local, domain, "", "", None)


def _canonical_address(scheme: str, rest: str) -> Parts:
    if rest[:2] != "//":
        if scheme in DEFAULT_PORTS or scheme == "file":
            raise PatternError(f"A pattern for {scheme} begins with {scheme}://.")
        if rest[:1] in ("", "/"):
            raise PatternError("The pattern names nothing after its scheme.")
        return Parts(scheme, "", "", "", _canonical_path(scheme, rest, rooted=False), None)
    authority, slash, path = rest[2:].partition("/")
    user, at, host = authority.rpartition("@")
    host, colon, port = (host, "", "") if host[-1:] == "]" else host.partition(":")
    if scheme == "file" and authority:
        raise PatternError("A file pattern has an absolute path and no host: file:///folder/*.")
    if not host and (at or colon or not slash or scheme in DEFAULT_PORTS):
        raise PatternError("The pattern has no host; write * for any.")
    if at and (not user or scheme in DEFAULT_PORTS):
        raise PatternError("No accepted address of this scheme has this user name in it.")
    for piece in user.split("*"):
        canonical_authority_text(piece)
    return Parts(
        scheme,
        user,
        _canonical_host(scheme, host),
        port if port == "*" or not colon else canonical_port(scheme, port),
        _canonical_path(scheme, slash + path, rooted=True),
        None,
    )


def _canonical_host(scheme: str, host: str) -> str:
    if host[:1] == "[" and host[-1:] == "]":
        return canonical_ipv6(host[1:-1])
    if scheme not in DEFAULT_PORTS and scheme != "mailto":
        for piece in host.split("*"):
            canonical_authority_text(piece)
        if host and not host.strip("."):
            raise PatternError("The host is made of dots.")
        return host
    if "*" not in host:
        return canonical_name(host)
    host = fold(host)
    if not _HOST_GLOB(host) or ".." in host or host[0] == "." or host[-1] == ".":
        raise PatternError(
            "A host with * has letters, digits, hyphens and single dots; other scripts as xn-- labels."
        )
    return host


def _canonical_path(scheme: str, path: str, *, rooted: bool) -> str:
    path = "*".join(canonical_path_text(scheme, piece) for piece in path.split("*"))
    segments = path.split("/")
    inner = segments[1 if rooted else 0 : -1]
    if "" in inner or "." in segments or ".." in segments:
        raise PatternError("The path has empty or dot segments, which no accepted resource has.")
    return path or ("/" if scheme in DEFAULT_PORTS else "")


def _path_matcher(path: str) -> Matcher:
    matches = _matcher(path, None)
    if path[:1] == "*":  # `table:*` is one form of address and `table:///x` another
        return lambda text: text[:1] != "/" and matches(text)
    return matches


def _query_matcher(form: Parts) -> Callable[[str | None], bool]:
    if form.query == "*" or (form.query is None and form.path[-1:] == "*"):
        return lambda query: True
    if form.query is None:
        return lambda query: query is None
    text = _matcher(form.query, _QUERY_BARRIER)
    return lambda query: query is not None and text(query)


def _matcher(glob: str, barrier: re.Pattern[str] | None) -> Matcher:
    """A predicate for one part: `*` matches any text that holds no `barrier`."""
    if "*" not in glob:
        return glob.__eq__
    plain = _glob(glob)
    if barrier is None:
        return plain
    # A star crosses no barrier, so glob and text have the same barriers in the same order, and match
    # between them.
    spans = [_glob(span) if "*" in span else span.__eq__ for span in barrier.split(glob)]
    authority, single = barrier is _AUTHORITY_BARRIER, len(spans) == 1

    def matches(text: str) -> bool:
        if authority and "%" not in text and "[" not in text:  # no barrier: only these bring one into a host
            return single and plain(text)
        found = barrier.split(text)
        return len(found) == len(spans) and all(span(part) for span, part in zip(spans, found, strict=True))

    return matches


def _glob(glob: str) -> Matcher:
    """A predicate for text with stars that cross everything; linear in the text, whatever the stars."""
    first, *middle, last = _atoms(glob).split("*")
    shortest = len(first) + len(last)
    if not middle and not last:
        prefix = glob[:-1]
        return lambda text: text.startswith(prefix)

    def matches(text: str) -> bool:
        if "%" in text:
            text = _atoms(text)
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for piece in middle:
            position = text.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return True

    return matches


def _atoms(text: str) -> str:
    """One character for each percent-encoded byte, so that no star ends inside of one (`*A` is not `%2A`)."""
    return _TRIPLET.sub(lambda match: chr(0x100 + int(match[1], 16)), text)


class _Affixes(Generic[Place]):
    """Places found by the literal text before the first star of a part, or after its last one.

    A look-up costs one dictionary access for each distinct length of affix, however many affixes there are.
    """

    def __init__(self, make: Callable[[], Place], *, suffix: bool = False) -> None:
        self._make = make
        self._suffix = suffix
        self._tables: list[tuple[int, dict[str, Place]]] = []

    def at(self, affix: str) -> Place:
        table = next((table for length, table in self._tables if length == len(affix)), None)
        if table is None:
            table = {}
            self._tables.append((len(affix), table))
        if affix not in table:
            table[affix] = self._make()
        return table[affix]

    def found(self, text: str) -> list[Place]:
        if self._suffix:
            size = len(text)
            return [t[text[size - n :]] for n, t in self._tables if n <= size and text[size - n :] in t]
        return [t[text[:n]] for n, t in self._tables if text[:n] in t]


class _Paths(Generic[Key]):
    """The entries of one host, by path."""

    def __init__(self) -> None:
        self.exact: dict[str, list[tuple[Key, Pattern]]] = {}
        self.prefixes: _Affixes[list[tuple[Key, Pattern]]] = _Affixes(list)

    def at(self, path: str) -> list[tuple[Key, Pattern]]:
        literal, star, _ = path.partition("*")
        return self.prefixes.at(literal) if star else self.exact.setdefault(path, [])


class _Hosts(Generic[Key]):
    """The entries of one scheme, by host."""

    def __init__(self) -> None:
        self.exact: dict[str, _Paths[Key]] = {}
        self.prefixes: _Affixes[_Paths[Key]] = _Affixes(_Paths)
        self.suffixes: _Affixes[_Paths[Key]] = _Affixes(_Paths, suffix=True)

    def at(self, host: str) -> _Paths[Key]:
        if "*" not in host:
            return self.exact.setdefault(host, _Paths())
        suffix = host.rpartition("*")[2]
        return self.suffixes.at(suffix) if suffix else self.prefixes.at(host.partition("*")[0])

    def found(self, host: str) -> list[_Paths[Key]]:
        exact = self.exact.get(host)
        places = [] if exact is None else [exact]
        return places + self.prefixes.found(host) + self.suffixes.found(host)


class PatternSet(Generic[Key]):
    """Many patterns, each filed under a key; `match` looks only at those that share literal text with a
    resource.

    A key may have several patterns. The same key and pattern may be added once more without effect on
    answers.
    """

    def __init__(self, entries: Iterable[tuple[Key, Pattern | str]] = ()) -> None:
        self._whole: dict[str, list[tuple[Key, Pattern]]] = {}
        self._schemes: dict[str, _Hosts[Key]] = {}
        self._filed: dict[Key, list[list[tuple[Key, Pattern]]]] = {}
        for key, pattern in entries:
            self.add(key, pattern)

    def add(self, key: Key, pattern: Pattern | str) -> None:
        """File `pattern` under `key`, beside what `key` has already. Raises PatternError for bad text."""
        if isinstance(pattern, str):
            pattern = Pattern.parse(pattern)
        form = pattern.form
        if "*" in pattern.canonical:
            place = self._schemes.setdefault(form.scheme, _Hosts()).at(form.host).at(form.path)
        else:
            place = self._whole.setdefault(pattern.canonical, [])
        place.append((key, pattern))
        self._filed.setdefault(key, []).append(place)

    def discard(self, key: Key) -> None:
        """Forget all patterns of `key`; an unknown key is no error."""
        for place in self._filed.pop(key, ()):
            place[:] = [entry for entry in place if entry[0] != key]

    def match(self, resource: str) -> list[Key]:
        """The keys with a pattern that covers the normalized `resource`, each once, in no set order."""
        keys = [key for key, _ in self._whole.get(resource, ())]
        of = parts(resource)
        hosts = self._schemes.get(of.scheme)
        if hosts is not None:
            path = of.path
            for paths in hosts.found(of.host):
                for entries in paths.prefixes.found(path):
                    keys += [key for key, pattern in entries if pattern.covers(of)]
                keys += [key for key, pattern in paths.exact.get(path, ()) if pattern.covers(of)]
        return keys if len(keys) < 2 else list(dict.fromkeys(keys))
