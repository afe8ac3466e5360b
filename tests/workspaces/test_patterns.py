"""Patterns match part by part, and an index over many finds what each would."""

import re
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workspaces.resources import AmbiguousResource, Parts, Pattern, PatternError, PatternSet, normalize

MATCHES = [
    ("https://*/*", "https://docs.test/a/b"),
    ("https://*/*", "https://docs.test/a?q=a/b&c=d"),
    ("https://*/*", "https://docs.test/"),
    ("HTTPS://Docs.TEST:443/A*", "https://docs.test/Abc"),
    ("https://*.docs.test/*", "https://a.b.docs.test/x"),
    ("https://docs.test", "https://docs.test/"),
    ("https://docs.test:*/", "https://docs.test:8443/"),
    ("https://docs.test:*/", "https://docs.test/"),
    ("https://docs.test/?q=*", "https://docs.test/?q=a%2Fb"),
    ("https://docs.test/?*", "https://docs.test/?a/b&c"),
    ("https://docs.test/?*", "https://docs.test/"),
    ("https://docs.test/a*b*c", "https://docs.test/aXb/cb/c"),
    ("https://docs.test/a**c", "https://docs.test/abc"),
    ("https://bücher.test/*", "https://xn--bcher-kva.test/x"),
    ("file:///srv/reports/*", "file:///srv/reports/2026/a"),
    ("file:///srv/reports/*", "file:///srv/reports/"),
    ("file:///srv/a b/é*", "file:///srv/a%20b/%C3%A9t"),
    ("s3://*/*", "s3://Reports/a"),
    ("s3://reports*", "s3://reports-2026"),
    ("invoice://*", "invoice://a%20b"),
    ("invoice://a%2Cb*", "invoice://a%2Cbc"),
    ("ssh://*@host:22/*", "ssh://root@host:22/x"),
    ("mailto:*@*", "mailto:a@b.test"),
    ("mailto:*@customers.test", "mailto:Bob+x@customers.test"),
    ("mailto:*@Customers.TEST", "mailto:a@customers.test"),
    ("mailto:bob@customers.test", "mailto:bob@customers.test"),
    ("tool:files.*", "tool:files.read"),
]

DIFFERS = [
    ("https://*/*", "http://docs.test/"),
    ("https://*/*", "https://docs.test:8443/"),
    ("https://docs.test/a", "https://docs.test/a?q=1"),
    ("https://docs.test/a", "https://docs.test/A"),
    ("https://docs.test/a", "https://docs.test/a/"),
    ("https://*", "https://docs.test/a"),
    ("https://*.docs.test/*", "https://docs.test/"),
    ("https://docs.test/?q=*", "https://docs.test/?q=a&admin=1"),
    ("https://docs.test/?q=*", "https://docs.test/?q=a/b"),
    ("https://docs.test/?q=*", "https://docs.test/"),
    ("https://docs.test/a*b*c", "https://docs.test/aXc"),
    ("https://docs.test/aba*aba", "https://docs.test/aba"),
    ("https://docs.test/a*bc*c", "https://docs.test/abc"),
    ("file:///srv/reports/*", "file:///srv/reports"),
    ("file:///srv/reports/*", "file:///srv/reports2/a"),
    ("file:///srv/*A", "file:///srv/x%2A"),
    ("file:///srv/*20x", "file:///srv/%20x"),
    ("s3://reports*", "s3://reports/a"),
    ("s3://reports/*", "s3://Reports/a"),
    ("invoice://a*", "invoice://a%2Cb"),
    ("invoice://a*", "invoice://a%40b"),
    ("invoice://a*", "invoice://a%3Ab"),
    ("invoice://a*", "invoice://a%3Fb"),
    ("invoice://a*", "invoice://a%23b"),
    ("invoice://*", "invoice://a/b"),
    ("ssh://host/*", "ssh://root@host/x"),
    ("ssh://*@host/*", "ssh://a%3Ab@host/x"),
    ("mailto:*@customers.test", "mailto:a@customers.test.evil.test"),
    ("mailto:bob@*", "mailto:Bob@customers.test"),
    ("tool:files.*", "tool:files"),
    ("table:*", "table:///x"),
]


@pytest.mark.parametrize(("pattern", "resource"), MATCHES)
def test_a_pattern_covers(pattern, resource):
    assert normalize(resource) == resource
    assert Pattern.parse(pattern).matches(resource)
    assert PatternSet([("key", pattern)]).match(resource) == ["key"]


@pytest.mark.parametrize(("pattern", "resource"), DIFFERS)
def test_a_pattern_does_not_cover(pattern, resource):
    assert normalize(resource) == resource
    assert not Pattern.parse(pattern).matches(resource)
    assert PatternSet([("key", pattern)]).match(resource) == []


DEAD_PATTERNS = [
    *(
        "",
        "*",
        "reports",
        "/srv/*",
        "*://docs.test/*",
        "http*://x/*",
        "https:docs.test",
        "https:///x",
        "x:",
        "x://",
    ),
    *("https://u@docs.test/*", "https://docs.test/#x", "https://docs.test/a/../*", "https://docs.test/a//*"),
    *(
        "https://docs.test/%2e*",
        "https://docs.test/a%2fb",
        "https://docs.test/%",
        "https://127.1/*",
        "https://a..*/",
    ),
    *(
        "https://.docs.test/*",
        "https://*.docs.test./*",
        "https://*.büch.test/*",
        "https://docs.test:x/",
        "https://a,b/*",
    ),
    *(
        "file://srv/reports/*",
        "file:srv",
        "file:///srv/../*",
        "file:///a\\b",
        "file:///e\u0301/*",
        "file:///a\n*",
    ),
    *(
        "s3://a,b/*",
        "s3://b/%61*",
        "s3://../*",
        "mailto:*",
        "mailto:*@a@b",
        "mailto:a,b@*",
        "mailto:*@customers.test?*",
    ),
    *("mailto:bob@customers.test.", "ssh://:22/*", "ssh://@host/*", "x://?*", "file:///" + "a" * 9000),
]


@pytest.mark.parametrize("pattern", DEAD_PATTERNS)
def test_a_pattern_that_could_never_match_is_refused_with_a_reason(pattern):
    with pytest.raises(PatternError, match=r".{20,}\."):
        Pattern.parse(pattern)


# The reference: parts by the expression of RFC 3986, appendix B, and globs by trying everything.
URI = re.compile(r"([^:/?#]+):(?://([^/?#]*))?([^?#]*)(?:\?(.*))?", re.DOTALL).fullmatch
DELIMITERS = frozenset(["/", "?", "#", "@", ":", ",", "%2F", "%3F", "%23", "%40", "%3A", "%2C"])


def tokens(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"%[0-9A-F]{2}|.", text))


def glob(pattern: str, text: str, barriers: frozenset[str]) -> bool:
    @cache
    def tail(want: tuple[str, ...], have: tuple[str, ...]) -> bool:
        if not want:
            return not have
        if want[0] == "*":
            return tail(want[1:], have) or bool(have and have[0] not in barriers and tail(want, have[1:]))
        return bool(have) and want[0] == have[0] and tail(want[1:], have[1:])

    return tail(tokens(pattern), tokens(text))


def taken_apart(text: str) -> tuple[tuple[str, bool], str, str, str, str, str | None]:
    match = URI(text)
    assert match is not None
    scheme, authority, path, query = match.groups()
    if scheme == "mailto":
        authority, path = path, ""
    user, _, host = (authority or "").rpartition("@")
    host, _, port = host.partition(":")
    return (scheme, authority is None), user, host, port, path, query


def reference(pattern: str, resource: str) -> bool:
    scheme, user, host, port, path, query = taken_apart(resource)
    of_scheme, of_user, of_host, of_port, of_path, of_query = taken_apart(pattern)
    any_query = of_query == "*" or (of_query is None and of_path.endswith("*"))
    return (
        scheme == of_scheme
        and glob(of_user, user, DELIMITERS)
        and glob(of_host, host, DELIMITERS)
        and glob(of_port, port, frozenset())
        and glob(of_path, path, frozenset())
        and (any_query or (query is None) == (of_query is None))
        and (any_query or query is None or glob(of_query or "", query, frozenset("/&")))
    )


def made_of(*pieces: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=5).map("".join)


NAME = made_of("a", "b", "a.b", "%2C", "%2A", "%40", "A", "2", "*", "*")
PATH = made_of("/a", "/b", "/", "a", "%2A", "%20", "A", "20", "*", "*")
QUERY = made_of("a", "=", "&", "/", "b", "%2F", "*", "*")
ADDRESSES = st.one_of(
    st.builds(
        "s3://{}{}{}/{}".format,
        st.sampled_from(["", "a@", "*@"]),
        NAME,
        st.sampled_from(["", ":1", ":*"]),
        PATH,
    ),
    st.builds("s3://{}".format, NAME),
    st.builds("s3://a{}?{}".format, PATH, QUERY),
    st.builds("https://{}/{}".format, made_of("a", "b", ".", "a.b", "*"), PATH),
    st.builds("https://a/{}?{}".format, PATH, QUERY),
    st.builds("mailto:{}@{}".format, made_of("a", "b", "*"), made_of("a", "b", ".a", "*")),
    st.builds("x:{}{}".format, st.sampled_from(["", "//"]), PATH),
)


def normal(text: str) -> str | None:
    try:
        return normalize(text)
    except AmbiguousResource:
        return None


def canonical(text: str) -> str | None:
    try:
        return Pattern.parse(text).canonical
    except PatternError:
        return None


RESOURCES = ADDRESSES.map(lambda text: normal(text.replace("*", ""))).filter(bool)
PATTERNS = ADDRESSES.map(canonical).filter(bool)


@given(PATTERNS, RESOURCES)
@example("s3://*%2C*", "s3://a%2Cb")
@example("s3://a*:*/*a*", "s3://ab:1/ba")
@example("s3://*A/", "s3://%2A/")
@example("x:*", "x:///a")
def test_matching_is_what_the_slow_reference_says(pattern, resource):
    assert Pattern.parse(pattern).matches(resource) == reference(pattern, resource)


@given(PATTERNS)
def test_a_pattern_in_its_one_spelling_is_itself(pattern):
    assert Pattern.parse(pattern).canonical == pattern


@given(RESOURCES)
def test_a_resource_without_stars_is_a_pattern_for_itself(resource):
    assert Pattern.parse(resource).matches(resource)


@given(
    st.lists(PATTERNS, max_size=12), st.lists(RESOURCES, max_size=4), st.sets(st.integers(0, 11), max_size=4)
)
def test_an_index_finds_what_each_pattern_would(patterns, resources, gone):
    index = PatternSet(list(enumerate(patterns)))
    for key in gone:
        index.discard(key)
    left = {key: Pattern.parse(pattern) for key, pattern in enumerate(patterns) if key not in gone}
    for resource in resources:
        assert sorted(index.match(resource)) == [
            key for key, pattern in left.items() if pattern.matches(resource)
        ]


def test_an_index_names_a_key_once_however_many_of_its_patterns_match():
    index = PatternSet(
        [("web", "https://*/*"), ("web", "https://docs.test/*"), ("web", "https://docs.test/")]
    )
    assert index.match("https://docs.test/") == ["web"]
    index.discard("web")
    assert index.match("https://docs.test/") == []
    index.add("web", "https://docs.test/*")
    assert index.match("https://docs.test/") == ["web"]


def test_an_index_looks_at_few_of_many_patterns():
    looked_at = []

    class Seen(Pattern):
        def covers(self, of: Parts) -> bool:
            looked_at.append(self)
            return super().covers(of)

    index = PatternSet[str]()
    for number in range(1000):
        index.add(f"folder {number}", Seen.parse(f"file:///srv/team-{number}/*"))
        index.add(f"host {number}", Seen.parse(f"https://*.team-{number}.test/*"))
        index.add(f"domain {number}", Seen.parse(f"mailto:*@team-{number}.test"))
        index.add(f"invoices {number}", Seen.parse(f"invoice://team-{number}-*"))
        index.add(f"exactly {number}", Seen.parse(f"mailto:bob@team-{number}.test"))
    assert index.match("file:///srv/team-7/x") == ["folder 7"]
    assert index.match("https://a.team-7.test/x") == ["host 7"]
    assert sorted(index.match("mailto:bob@team-7.test")) == ["domain 7", "exactly 7"]
    assert index.match("invoice://team-7-x") == ["invoices 7"]
    assert 4 <= len(looked_at) <= 8


WITHIN = [
    ("file:///srv/reports/*", "file:///srv/reports/2026/*"),
    ("https://*/*", "https://docs.test/a*b?q=*"),
    ("https://*.test/*", "https://*.docs.test/"),
    ("https://docs.test:*/*", "https://docs.test/?*"),
    ("mailto:*@*", "mailto:*@customers.test"),
    ("tool:files.*", "tool:files.read"),
    ("invoice://*", "invoice://*"),
    ("ssh://*@host/*", "ssh://root@host/etc*"),
]
WIDER = [
    ("file:///srv/reports/2026/*", "file:///srv/reports/*"),
    ("https://docs.test/*", "https://*/*"),
    ("https://docs.test/", "https://docs.test:*/"),
    ("https://docs.test/?q=*", "https://docs.test/?*"),
    ("https://docs.test/a*b", "https://docs.test/a*"),
    ("https://docs.test/?*", "https://docs.test/*"),
    ("mailto:a*@customers.test", "mailto:*@customers.test"),
    ("ssh://host/*", "ssh://*@host/*"),
    ("invoice://*", "mailto:*@*"),
]


@pytest.mark.parametrize(("wide", "narrow"), WITHIN)
def test_a_pattern_contains_a_narrower_one(wide: str, narrow: str) -> None:
    assert Pattern.parse(wide).contains(Pattern.parse(narrow))


@pytest.mark.parametrize(("one", "wider"), WIDER)
def test_a_pattern_contains_no_wider_one(one: str, wider: str) -> None:
    assert not Pattern.parse(one).contains(Pattern.parse(wider))


GLOBS = st.text("a*b/", max_size=5)
FORMS = st.builds(
    lambda host, path, query: f"https://{host}/{path}{query}",
    st.sampled_from(["*", "a*", "a.test", "*.test"]),
    GLOBS,
    st.sampled_from(["", "?*", "?a=*", "?*a", "?a=b&c=*"]),
)
SOME = [
    f"https://{host}/{path}{query}"
    for host in ("a", "a.test", "b.test")
    for path in ("", "a", "ab", "a/b", "ba", "aab", "b")
    for query in ("", "?a=b", "?a", "?a=b&c=d", "?a=b/c")
]


@given(FORMS, FORMS)
def test_what_a_contained_pattern_covers_the_other_covers_too(one: str, other: str) -> None:
    try:
        wide, narrow = Pattern.parse(one), Pattern.parse(other)
    except PatternError:
        return
    if wide.contains(narrow):
        assert all(wide.matches(each) for each in SOME if narrow.matches(each))
    else:
        assert wide.canonical != narrow.canonical
