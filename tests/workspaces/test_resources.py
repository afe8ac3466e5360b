"""Resources have one spelling, patterns match part by part, templates find resources in arguments."""

import re
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workspaces.resources import (
    MAX_RESOURCES,
    AmbiguousResource,
    Parts,
    Pattern,
    PatternError,
    PatternSet,
    Template,
    TemplateError,
    normalize,
)

SPELLINGS = [
    ("HTTPS://Docs.TEST:443", "https://docs.test/"),
    ("http://docs.test:80/a/./b/../c//d/", "http://docs.test/a/c/d/"),
    ("http://docs.test:8080/..", "http://docs.test:8080/"),
    ("https://docs.test/%7Euser/%c3%a9/é", "https://docs.test/~user/%C3%A9/%C3%A9"),
    ("https://docs.test/a%2Cb%40c", "https://docs.test/a,b@c"),
    ("https://docs.test/a+b%2Bc;d%3Be*", "https://docs.test/a+b%2Bc;d%3Be%2A"),
    (
        "https://docs.test/?q=%61&u=https%3A%2F%2Fx.test&v=a/b?c",
        "https://docs.test/?q=a&u=https%3A%2F%2Fx.test&v=a/b?c",
    ),
    ("https://docs.test/a?", "https://docs.test/a?"),
    ("https://docs.test/a#b", "https://docs.test/a"),
    ("https://bücher.test/", "https://xn--bcher-kva.test/"),
    ("http://[2001:DB8::0:1]:80/", "http://[2001:db8::1]/"),
    ("http://10.0.0.1/", "http://10.0.0.1/"),
    ("FILE:///srv/a%2Bb/../c", "file:///srv/c"),
    ("file:///srv/a%2Bb", "file:///srv/a+b"),
    ("mailto:Bob+x@Customers.TEST", "mailto:Bob+x@customers.test"),
    ("S3://Reports/2026/Q3.csv", "s3://Reports/2026/Q3.csv"),
    ("s3://reports/2026/", "s3://reports/2026/"),
    ("ssh://root@host:22/", "ssh://root@host:22/"),
    ("invoice://42", "invoice://42"),
    ("table:///sales", "table:///sales"),
    ("urn:isbn:0451450523", "urn:isbn:0451450523"),
    ("tool:files.read", "tool:files.read"),
]


@pytest.mark.parametrize(("written", "normal"), SPELLINGS)
def test_a_resource_has_one_spelling(written, normal):
    assert normalize(written) == normal
    assert normalize(normal) == normal


REFUSED = [
    *(
        "",
        "x",
        ":",
        "1x://a",
        "https:",
        "https://",
        "https:///a",
        "http:a",
        "file:",
        "file:a",
        "file://host/a",
        "x:",
    ),
    *("x://", "x:/a", "x://?q", "ssh://root@/x", "ssh://:22/x", "ssh://a:b@host/", "https://u@docs.test/"),
    *(
        "s3://b/a//c",
        "s3://b/./c",
        "s3://b/..",
        "s3:a/../c",
        "urn:..",
        "s3://b/%61",
        "s3://b/%c3%a9",
        "s3://b/#x",
    ),
    *("s3://%61/x", "s3://a,b/x", "s3://a%2Fb/x", "s3://../x", "s3://b:0/x", "s3://b:x/x", "s3://b/a b"),
    *(
        "https://docs.test/a b",
        "https://docs.test/%",
        "https://docs.test/a%2",
        "mailto:a@b?cc=c@d",
        "mailto:a",
    ),
    "https://docs.test/" + "a" * 8192,
    "https://docs.test/" + "é" * 4096,
]


@pytest.mark.parametrize("resource", REFUSED)
def test_what_has_no_one_spelling_is_refused(resource):
    with pytest.raises(AmbiguousResource) as refusal:
        normalize(resource)
    assert refusal.value.code == "ambiguous_resource"


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


EXPANSIONS = [
    ("invoice://{invoice}", {"invoice": "a b"}, ["invoice://a%20b"]),
    ("invoice://{invoice}", {"invoice": -7}, ["invoice://-7"]),
    ("invoice://{invoice}", {}, []),
    ("invoice://{invoice}", {"invoice": None}, []),
    ("invoice://{invoice}", {"invoice": ""}, []),
    ("invoice://{invoice}", {"invoice": []}, []),
    ("invoice://{invoice}", {"invoice": ["", None]}, []),
    ("mailto:{to}", {"to": ["a@x.test", "b@X.test"]}, ["mailto:a@x.test", "mailto:b@x.test"]),
    ("file://{a[].path}", {"a": [{"path": "/x"}, {"path": ["/y", "/z"]}]}, ["file:///x", "file:///y", "file:///z"]),
    ("file://{a.b}", {"a": {"b": "/x"}}, ["file:///x"]),
    ("s3://{b}/{k}", {"b": "x", "k": ["1", "2"]}, ["s3://x/1", "s3://x/2"]),
    ("s3://{b}/{k}", {}, []),
    ("s3://{f[].b}/{f[].k}", {"f": [{"b": "x", "k": "1"}, {"b": "y", "k": "2"}]}, ["s3://x/1", "s3://y/2"]),
    ("s3://{b[]}/{b[]}", {"b": ["x", "y"]}, ["s3://x/x", "s3://y/y"]),
    ("api://{a}-{b}/v1?x={a}", {"a": "1", "b": "2 3"}, ["api://1-2%203/v1?x=1"]),
    ("https://api.test/v1/charges", {"anything": 1}, ["https://api.test/v1/charges"]),
    ("https://{host}", {"host": "Docs.TEST"}, ["https://docs.test/"]),
    ("ssh://{user}@{host}:{port}/", {"user": "a@b", "host": "h", "port": 22}, ["ssh://a%40b@h:22/"]),
]  # fmt: skip


@pytest.mark.parametrize(("template", "arguments", "resources"), EXPANSIONS)
def test_a_template_finds_resources_in_arguments(template, arguments, resources):
    assert Template.parse(template).expand(arguments) == resources


@pytest.mark.parametrize(
    ("template", "arguments", "where"),
    [
        ("s3://{b}/{k}", {"b": "x"}, "b is given without k"),
        ("s3://{b}/{k}", {"b": "x", "k": []}, "b is given without k"),
        ("s3://{f[].b}/{f[].k}", {"f": [{"b": "x"}]}, r"f\[\].b is given without f\[\].k"),
        ("file://{a.b}", {"a": "x"}, "argument a: an object"),
        ("file://{a[].b}", {"a": {"b": "x"}}, "argument a: a list"),
        ("file://{a}", {"a": ["/x", True]}, r"argument a\[1\]: true or false"),
        ("file://{a}", {"a": 2**60 + 0.0}, "argument a: a fraction"),
        ("file://{a}", {"a": "x/../y"}, "argument a: the path is relative"),
        ("s3://{b}/{k}", {"b": "x", "k": "/1"}, "argument k: the value is an absolute path"),
        ("file://{a}", {"a": ["/x"] * (MAX_RESOURCES + 1)}, "at most 1,000"),
        ("s3://{b}/{k}", {"b": ["x"] * 40, "k": ["1"] * 40}, "at most 1,000"),
        ("file:///srv/{a}", {"a": "../../etc"}, "leaves /srv/"),
    ],
)
def test_a_refusal_says_what_and_where(template, arguments, where):
    with pytest.raises(AmbiguousResource, match=where):
        Template.parse(template).expand(arguments)


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        ("mailto:a@b.test@c.test", "exactly one mail address"),
        ("http://[::ffff:127.0.0.1]/", "IPv4 address written as IPv6"),
        ("http://[fe80::1%eth0]/", "with a zone"),
        ("http://127.1/", "four decimal numbers"),
        ("file:///e\u0301", "Unicode form NFC"),
        ("https://docs.test/?q=%0a", "control"),
    ],
)
def test_a_refusal_says_why(resource, why):
    with pytest.raises(AmbiguousResource, match=why):
        normalize(resource)


def test_a_refusal_does_not_repeat_the_value():
    with pytest.raises(AmbiguousResource) as refusal:
        Template.parse("mailto:{to}").expand({"to": "secret-4111@x, y"})
    assert "4111" not in refusal.value.message


def test_placeholders_are_named_once_in_order():
    assert Template.parse("s3://{b}/{k[].x}?v={b}").placeholders == ("b", "k[].x")


@pytest.mark.parametrize(
    "template",
    [
        *(
            "",
            "path",
            "{a",
            "a}",
            "file://{}",
            "file://{a b}",
            "file://{a..b}",
            "file://{[]}",
            "file://{a[0]}",
        ),
        *(
            "file://{{a}}",
            "{scheme}://{host}/",
            "{a}{b}",
            "file://*{a}",
            "https://*/{a}",
            "file:{a}",
            "file://srv/{a}",
        ),
        *("https://{u}@docs.test/", "https://docs.test/{a}#x", "https:///{a}", "https://docs.test/../{a}"),
        *(
            "https://Docs.test/{a}",
            "HTTPS://docs.test/{a}",
            "s3://b//{a}",
            "tool:{a}",
            "tool://{a}",
            "mailto:{a}?cc={b}",
        ),
        *(
            "https://docs.test/a b/{a}",
            "file://{a}/{a.b}",
            "file://{a[].b}/{a.c}",
            "file:///e\u0301/{a}",
            "s3://a,b/{a}",
        ),
    ],
)
def test_a_malformed_template_is_refused_with_a_reason(template):
    with pytest.raises(TemplateError, match=r".{20,}"):
        Template.parse(template)
