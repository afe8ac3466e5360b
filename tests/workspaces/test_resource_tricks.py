"""Tricks to reach a resource that is not granted: each is refused, or names what it truly touches."""

import posixpath
import unicodedata
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workspaces.resources import AmbiguousResource, Pattern, Template, normalize

REPORTS = "file:///srv/reports/*"
DOCS = "https://docs.test/*"
CUSTOMERS = "mailto:*@customers.test"
BUCKET = "s3://reports/2026/*"
INVOICES = "invoice://acme-*"
USERS = "https://api.test/users/*"

FILE = [
    "/srv/reports/../secrets/key",
    "/srv/reports/./../secrets/key",
    "/srv/reports//../../etc/passwd",
    "/srv/reports/../../../../etc/passwd",
    "/srv/reports/..",
    "/srv/reports/%2e%2e/secrets/key",
    "/srv/reports/%2E%2E%2Fsecrets",
    "/srv/reports/..%2fsecrets",
    "/srv/reports/..%5csecrets",
    "/srv/reports/%252e%252e/secrets",
    "/srv/reports/%25252e%25252e%25252fsecrets",
    "/srv/reports/..\\..\\secrets",
    "/srv/reports\\..\\secrets",
    "\\\\server\\share",
    "C:\\secrets",
    "C:/secrets",
    "srv/reports/x",
    "./srv/reports/x",
    "../srv/reports/x",
    "~/secrets",
    "~root/secrets",
    "$HOME/secrets",
    "/SRV/REPORTS/x",
    "/srv/Reports/x",
    "/srv/reports",
    "/srv/reports2/x",
    "/srv/reports\x00/../secrets",
    "/srv/reports/x\x00.csv",
    "/srv/reports/x%00.csv",
    "/srv/reports/x\n/etc/passwd",
    "/srv/reports/x\r",
    "\t/srv/reports/x",
    " /srv/reports/x",
    "/srv/reports/re\u0301sume\u0301",
    "/srv/reports/\uff0e\uff0e/secrets",
    "/srv/reports/\u2025/secrets",
    "/srv/reports/..\uff0fsecrets",
    "/srv/reports/..\uff3csecrets",
    "/srv/reports/x\u202etxt.exe",
    "/srv/reports/x\u200b",
    "/srv/reports/x\u0085",
    "/srv/reports/\ud800",
    "file:///srv/reports/x",
    "file://evil.test/srv/reports/x",
    "//evil.test/srv/reports/x",
    "https://docs.test/",
    "*",
    "/*",
    "/srv/*/x",
    "/srv/reports/" + "a" * 65536,
    True,
    1.5,
    {"path": "/srv/reports/x"},
    {"0": "/srv/reports/x"},
    [["/srv/reports/x"]],
    [{"path": "/srv/reports/x"}],
    ["/srv/reports/x", "/etc/passwd"],
    ["/srv/reports/x", True],
]

NAME_IN_FOLDER = [
    "../secrets/key",
    "a/../../secrets/key",
    "/etc/passwd",
    "//etc/passwd",
    "..",
    "../reports2/x",
    "%2e%2e/key",
    "..%2fkey",
    "..\\key",
    "C:\\key\n",
]

URL = [
    "https://evil.test/",
    "https://docs.test@evil.test/",
    "https://docs.test:x@evil.test/",
    "https://docs.test%40evil.test/",
    "https://evil.test#@docs.test/",
    "https://evil.test?@docs.test/",
    "https://evil.test\\@docs.test/",
    "https://evil.test/\\docs.test/",
    "https:\\\\evil.test/",
    "https:evil.test/",
    "https:/evil.test/",
    "https:///evil.test/",
    "https:////docs.test/",
    "//evil.test/",
    "///evil.test/",
    "/docs.test/",
    "\thttps://docs.test/",
    " https://docs.test/",
    "https://docs.test/ ",
    "ht\ntps://docs.test/",
    "https://evil\t.test/docs.test/",
    "https://docs.test\n.evil.test/",
    "https://docs.test.evil.test/",
    "https://docs.test.:443/",
    "https://docs.test./",
    "https://docs.test:8443/",
    "https://docs.test:0443/",
    "https://docs.test:/",
    "https://docs.test:99999/",
    "https://docs.test:443@evil.test/",
    "https://docs.test,evil.test/",
    "https://docs.test;evil.test/",
    "https://docs。test/",
    "https://docs\uff0etest/",
    "https://docs\uff61test/",
    "https://ｄocs.test/",
    "https://do\u0441s.test/",
    "https://docs.te\u017ft/",
    "https://doc\u017f.test/",
    "https://DOCS.te\u212at/",
    "https://docs\u00ad.test/",
    "https://docs\u200d.test/",
    "https://docs\u2024test/",
    "https://docs.test\uff0fevil/",
    "https://docs.test\uff03.evil.test/",
    "https://xn--/",
    "https://xn--docs-.test/",
    "https://xn--a.test/",
    "https://docs%2etest/",
    "https://docs.test%2f.evil.test/",
    "https://docs.test%00.evil.test/",
    "https://*/",
    "https://*.test/",
    "https://[docs.test]/",
    "https://[::1]/",
    "https://-docs.test/",
    "https://docs..test/",
    "https://" + "a" * 64 + ".test/",
    "http://docs.test/",
    "HTTP://docs.test/",
    "ftp://docs.test/",
    "file:///docs.test/",
    "javascript:alert(1)//docs.test/",
    "data:text/html,https://docs.test/",
    "docs.test:443",
    "docs.test:443/x",
    "user@docs.test/x",
    "https://docs.test/%2e%2e/x",
    "https://docs.test/%2E./x",
    "https://docs.test/a%2fb",
    "https://docs.test/a%5cb",
    "https://docs.test/a%252fb",
    "https://docs.test/..;/admin",
    "https://docs.test/.;x=1/admin",
    "https://docs.test/a%00b",
    "https://docs.test/a%0d%0aHost:evil.test",
    "https://docs.test/?x=%0d%0aHost:evil.test",
    "https://docs.test/%c0%ae%c0%ae/x",
    "https://docs.test/%ff",
    "https://docs.test/%zz",
    "https://docs.test/%",
    "https://docs.test/e\u0301",
    "https://docs.test/e%CC%81",
    "https://docs.test/\uff0e\uff0e/x",
    "tool:web.fetch",
    "TOOL:web.fetch",
    "tool://web.fetch",
    "",
    {"url": "https://docs.test/"},
    ["https://docs.test/", "https://evil.test/"],
]

LOOPBACK = [
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.0.0.01/",
    "http://127.0.0.1./",
    "http://127.0.0.1.2/",
    "http://256.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://①27.0.0.1/",
    "http://1.2.3.4x5.6/",
    "http://a.0x/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[v1.x]/",
    "http://%31%32%37.0.0.1/",
]

ODD_HOSTS = [
    "docs.test.",
    "docs..test",
    "-docs.test",
    "docs\uff0etest",
    "ｄocs.test",
    "docs\u00ad.test",
    "docs\u200d.test",
    "e\u0301.test",
    "xn--",
    "xn--a.test",
    "xn--docs-.test",
    "docs%2etest",
    "docs,evil.test",
    "a" * 64 + ".test",
    ".".join(["a" * 60] * 5),
    "[fe80::1%eth0]",
    "u@docs.test",
    "docs.test:0",
]

MAIL = [
    "a@evil.test",
    "a@x,b@customers.test",
    "a@evil.test, b@customers.test",
    "a@evil.test;b@customers.test",
    "a@evil.test b@customers.test",
    "a@evil.test\nb@customers.test",
    "b@customers.test?cc=a@evil.test",
    "b@customers.test?cc=evil",
    "b@customers.test%0acc:a",
    "b@customers.test&cc=evil",
    "b@customers.test#x",
    "b@customers.test/x",
    "mailto:b@customers.test",
    "Bob <a@evil.test>@customers.test",
    "Bob <b@customers.test>",
    '"a@evil.test"@customers.test',
    '"b"@customers.test',
    "a(@evil.test)@customers.test",
    "b@customers.test(x)",
    "@evil.test:b@customers.test",
    "a%evil.test@customers.test",
    "evil.test!a@customers.test",
    "a@customers.test@evil.test",
    "a@evil.test@customers.test",
    "a\uff20evil.test@customers.test",
    "b\uff20customers.test",
    "b@customers\uff0etest",
    "b@customers.test.",
    "b@customers.test.evil.test",
    "b@evil-customers.test",
    "b@sub.customers.test",
    "b@[127.0.0.1]",
    "b@127.1",
    "b@127.0.0.1",
    ".b@customers.test",
    "b.@customers.test",
    "b..c@customers.test",
    "@customers.test",
    "b@",
    "b",
    "*@customers.test",
    "b@*",
    "b\x00@customers.test",
    " b@customers.test",
    "b@customers.test ",
    "b\\@customers.test",
    "b@customers.te\u017ft",
    "x" * 65 + "@customers.test",
    ["b@customers.test", "a@evil.test"],
    ["b@customers.test", ["a@evil.test"]],
    {"0": "b@customers.test"},
    {"email": "b@customers.test"},
    True,
    7,
]

INVOICE = [
    "other-1",
    "acme-1/../other-1",
    "acme-1/other",
    "acme-1,other-1",
    "acme-1:other-1",
    "acme-1@other-1",
    "acme-1?x=other-1",
    "acme-1#other-1",
    "acme-1%2Cother-1\x00",
    "acme-1%2Fother-1",
    "acme-1\\other-1",
    "acme-\uff0cother-1",
    "..",
    ".",
    "ACME-1",
    "*",
    "acme-*\n",
    "acme-e\u0301",
    {"id": "acme-1"},
    False,
    1.25,
    ["acme-1", "other-1"],
]

KEY = [
    "2025/q3.csv",
    "2026/../2025/q3.csv",
    "2026/./q3.csv",
    "2026//q3.csv",
    "/2026/q3.csv",
    "2026/%2e%2e/q3.csv",
    "2026/..%2fq3.csv",
    "2026%2fq3.csv",
    "2026\\..\\q3.csv",
    "2026/q3\x00.csv",
    "2026",
    "20260/q3.csv",
    "2026/cafe\u0301.csv",
    ["2026/a", "2025/b"],
]

USER = [
    "../admin",
    "1/../../admin",
    "..",
    "/admin",
    "//evil.test/x",
    "..;/admin",
    "%2e%2e/admin",
    "1\\..\\admin",
]

CASES = (
    [("file://{path}", None, {"path": value}, [REPORTS]) for value in FILE]
    + [("file:///srv/reports/{name}", None, {"name": value}, [REPORTS]) for value in NAME_IN_FOLDER]
    + [("file://{attachments[].path}", None, {"attachments": [{"path": value}]}, [REPORTS]) for value in FILE]
    + [("{url}", "https", {"url": value}, [DOCS]) for value in URL if value]
    + [("{url}", None, {"url": value}, [DOCS]) for value in URL if value]
    + [("{url}", "https", {"url": value}, ["http://127.0.0.1/*", "http://[::1]/*"]) for value in LOOPBACK]
    + [("{url}", None, {"url": value}, ["http://*:*/*", "http://[::1]/*"]) for value in LOOPBACK]
    + [("{url}", None, {"url": f"https://{host}/"}, ["https://*:*/*"]) for host in ODD_HOSTS]
    + [("mailto:{to}", None, {"to": value}, [CUSTOMERS]) for value in MAIL]
    + [
        ("mailto:{to}", None, {"to": f"a@{host}"}, ["mailto:*@*"])
        for host in [*ODD_HOSTS, "127.0.0.1", "127.1"]
    ]
    + [("invoice://{invoice}", None, {"invoice": value}, [INVOICES]) for value in INVOICE]
    + [("s3://{bucket}/{key}", None, {"bucket": "reports", "key": value}, [BUCKET]) for value in KEY]
    + [("https://api.test/users/{id}", None, {"id": value}, [USERS]) for value in USER]
    + [
        # Delimiters smuggled through a value into another part.
        ("s3://{bucket}/{key}", None, {"bucket": "other/2026", "key": "x"}, [BUCKET]),
        ("s3://{bucket}/{key}", None, {"bucket": "reports/2026/x?", "key": "x"}, [BUCKET]),
        ("s3://{bucket}/{key}", None, {"bucket": "reports"}, [BUCKET]),
        ("s3://{bucket}/{key}", None, {"bucket": "reports", "key": ""}, [BUCKET]),
        ("s3://{bucket}/{key}", None, {"bucket": ["reports", "other"], "key": "2026/x"}, [BUCKET]),
        ("https://{tenant}.api.test/v1", None, {"tenant": "evil.test/"}, ["https://*.api.test/*"]),
        ("https://{tenant}.api.test/v1", None, {"tenant": "evil.test#"}, ["https://*.api.test/*"]),
        ("https://{tenant}.api.test/v1", None, {"tenant": "evil.test?"}, ["https://*.api.test/*"]),
        ("https://{tenant}.api.test/v1", None, {"tenant": "evil.test\\"}, ["https://*.api.test/*"]),
        ("https://{tenant}.api.test/v1", None, {"tenant": "a@evil"}, ["https://*.api.test/*"]),
        ("https://{tenant}.api.test/v1", None, {"tenant": "evil.test:80"}, ["https://*.api.test/*"]),
        ("https://{tenant}.api.test/v1", None, {"tenant": "evil.test。"}, ["https://*.api.test/*"]),
        ("https://api.test:{port}/v1", None, {"port": "443@evil.test"}, ["https://api.test:*/*"]),
        ("https://api.test:{port}/v1", None, {"port": "٤٤٣"}, ["https://api.test:*/*"]),
        ("https://api.test/{user}/data", None, {"user": ".."}, ["https://api.test/*/data"]),
        ("https://api.test/{user}/{item}", None, {"user": "..", "item": "x"}, ["https://api.test/*"]),
        ("https://api.test/{user}/{item}", None, {"user": "a/b", "item": "x"}, ["https://api.test/*"]),
        ("https://api.test/find?q={q}", None, {"q": "x&admin=1#", "n": 1}, ["https://api.test/find?q=y"]),
        ("mailto:{user}@customers.test", None, {"user": "a@evil.test,b"}, [CUSTOMERS]),
        ("mailto:{user}@customers.test", None, {"user": "a@evil.test?x="}, [CUSTOMERS]),
        ("mailto:{user}@{domain}", None, {"user": "a", "domain": "evil.test,customers.test"}, [CUSTOMERS]),
        ("mailto:{user}@{domain}", None, {"user": "a", "domain": "evil.test"}, [CUSTOMERS]),
        ("file://{attachments[].path}", None, {"attachments": {"0": {"path": "/srv/reports/x"}}}, [REPORTS]),
        ("file://{attachments[].path}", None, {"attachments": {"path": "/srv/reports/x"}}, [REPORTS]),
        ("file://{attachments[].path}", None, {"attachments": "/srv/reports/x"}, [REPORTS]),
        ("file://{attachments[].path}", None, {"attachments": ["/srv/reports/x"]}, [REPORTS]),
        (
            "file://{attachment.path}",
            None,
            {"attachment.path": "/srv/reports/x", "attachment": {"path": "/etc/passwd"}},
            [REPORTS],
        ),
        ("file://{paths[]}", None, {"paths[]": "/srv/reports/x", "paths": ["/etc/passwd"]}, [REPORTS]),
        ("file://{attachment.path}", None, {"attachment": [{"path": "/srv/reports/x"}]}, [REPORTS]),
    ]
)


def is_granted(template: str, default_scheme: str | None, arguments: dict, patterns: list[str]) -> bool:
    """Whether the call may go ahead: it names something, and all it names is granted."""
    try:
        resources = Template.parse(template, default_scheme).expand(arguments)
    except AmbiguousResource:
        return False
    granted = [Pattern.parse(pattern) for pattern in patterns]
    return bool(resources) and all(any(pattern.matches(one) for pattern in granted) for one in resources)


@pytest.mark.parametrize(("template", "default_scheme", "arguments", "granted"), CASES)
def test_no_trick_reaches_what_is_not_granted(template, default_scheme, arguments, granted):
    assert not is_granted(template, default_scheme, arguments, granted)


HONEST = [
    ("file://{path}", None, {"path": "/srv/reports/2026/q3.csv"}, [REPORTS]),
    ("file://{path}", None, {"path": "/srv/x/../reports//q3.csv"}, [REPORTS]),
    ("file://{path}", None, {"path": "/srv/reports/a b+c;d,e:f@g #1 100%?.csv"}, [REPORTS]),
    ("file://{path}", None, {"path": "/srv/reports/résumé …，完.csv"}, [REPORTS]),
    ("file://{path}", None, {"path": "/srv/reports/..hidden/.git/x..y"}, [REPORTS]),
    ("file://{path}", None, {"path": ["/srv/reports/a", None, "", "/srv/reports/b"]}, [REPORTS]),
    ("file:///srv/reports/{name}", None, {"name": "a/../b"}, [REPORTS]),
    ("file://{folder}/{name}", None, {"folder": "/srv/reports", "name": "x"}, [REPORTS]),
    ("file://{attachments[].path}", None, {"attachments": [{"path": "/srv/reports/x"}, {}]}, [REPORTS]),
    ("{url}", "https", {"url": "docs.test/a"}, [DOCS]),
    ("{url}", "https", {"url": "docs.test"}, [DOCS]),
    ("{url}", "https", {"url": "HTTPS://DOCS.test:443/a/../b?q=a/b&c=%20#part"}, [DOCS]),
    ("{url}", "https", {"url": "https://docs.test/wiki/C%2B%2B_(language);v=1,2|3"}, [DOCS]),
    ("{url}", "https", {"url": "https://docs.test/r%c3%a9sum%C3%A9/é"}, [DOCS]),
    ("{url}", None, {"url": "https://bücher.example/"}, ["https://xn--bcher-kva.example/*"]),
    ("{url}", None, {"url": "https://BÜCHER.example/".lower()}, ["https://bücher.example/*"]),
    ("{url}", None, {"url": "http://127.0.0.1/"}, ["http://127.0.0.1/*"]),
    ("{url}", None, {"url": "http://[0:0::1]:80/"}, ["http://[::1]/*"]),
    ("{url}", None, {"url": "mailto:b@customers.test"}, [CUSTOMERS]),
    ("mailto:{to}", None, {"to": "bob+tag=1@Customers.TEST"}, [CUSTOMERS]),
    ("mailto:{to}", None, {"to": ["a@customers.test", "b@customers.test"]}, [CUSTOMERS]),
    ("mailto:{user}@customers.test", None, {"user": "bob.o-neil"}, [CUSTOMERS]),
    ("invoice://{invoice}", None, {"invoice": "acme-7 (draft)"}, [INVOICES]),
    ("invoice://acme-{invoice}", None, {"invoice": 7}, [INVOICES]),
    ("invoice://acme-{invoice}", None, {"invoice": 7.0}, ["invoice://acme-7"]),
    ("s3://{bucket}/{key}", None, {"bucket": "reports", "key": "2026/a b/c*d"}, [BUCKET]),
    ("s3://{bucket}/{keys[]}", None, {"bucket": "reports", "keys": ["2026/a", "2026/b"]}, [BUCKET]),
    ("https://{tenant}.api.test/v1", None, {"tenant": "Acme"}, ["https://*.api.test/*"]),
    ("https://api.test:{port}/v1", None, {"port": 443}, ["https://api.test/v1"]),
    ("https://api.test/users/{id}/posts", None, {"id": "7"}, ["https://api.test/users/*/posts"]),
    ("https://api.test/find?q={q}", None, {"q": "a&b=c/d#e"}, ["https://api.test/find?q=*"]),
    ("queue:jobs/{name}", None, {"name": "nightly"}, ["queue:jobs/*"]),
]


@pytest.mark.parametrize(("template", "default_scheme", "arguments", "granted"), HONEST)
def test_honest_calls_reach_what_is_granted(template, default_scheme, arguments, granted):
    assert is_granted(template, default_scheme, arguments, granted)


SPICE = st.one_of(
    st.sampled_from([*list("/.%\\@:;,?#&=*+-_~ \t\n\x00[]()é"), "..", "//", "%2e", "%2F", "%25", "%C3%A9"]),
    st.sampled_from(
        ["../", "./", "\uff0e", "\uff0f", "e\u0301", "a", "B", "7", "x", "srv", "reports", "secrets"]
    ),
    st.characters(),
)
SPICED = st.lists(SPICE, max_size=12).map("".join)


@given(SPICED)
@example("/srv/reports/../secrets")
def test_a_granted_path_stays_in_its_folder_however_it_is_decoded(tail):
    value = f"/srv/reports/{tail}"
    if not is_granted("file://{path}", None, {"path": value}, [REPORTS]):
        return
    readings = {value, unquote(value), unquote(unquote(value)), unicodedata.normalize("NFKC", value)}
    for reading in readings | {reading.replace("\\", "/") for reading in readings}:
        assert posixpath.normpath(reading).startswith("/srv/reports"), reading
        assert not posixpath.normpath(reading).startswith("/srv/reports2")


@given(st.sampled_from(["https://docs.test", "https://", "docs.test", "", "https:"]), SPICED)
@example("https://docs.test", "@evil.test/")
@example("https://", "evil.test\\@docs.test")
def test_a_granted_address_has_the_granted_host_however_it_is_parsed(head, tail):
    value = head + tail
    if not is_granted("{url}", "https", {"url": value}, [DOCS]):
        return
    for reading in (value, value.replace("\\", "/"), unicodedata.normalize("NFKC", value)):
        address = urlsplit(reading if "://" in reading else f"https://{reading}")
        assert (address.hostname, address.port or 443, address.username) == ("docs.test", 443, None)


CONTAINED = [
    ("file:///srv/data/{x}", "file:///srv/data/*"),
    ("file:///srv/data-{x}", "file:///srv/data-*"),
    ("file:///srv/{x}/public", "file:///srv/*/public"),
    ("https://api.test/users/{x}", "https://api.test/users/*"),
    ("https://api.test/users/{x}/posts", "https://api.test/users/*/posts"),
    ("https://api.test/find?q={x}&n=1", "https://api.test/find?q=*&n=1"),
    ("https://{x}.api.test/v1", "https://*.api.test/v1"),
    ("https://api.test:{x}/v1", "https://api.test:*/v1"),
    ("s3://bucket/{x}", "s3://bucket/*"),
    ("s3://bucket/a-{x}.csv", "s3://bucket/a-*.csv"),
    ("mailto:support-{x}@customers.test", "mailto:support-*@customers.test"),
    ("mailto:bob@{x}.customers.test", "mailto:bob@*.customers.test"),
    ("queue:jobs/{x}", "queue:jobs/*"),
]


@pytest.mark.parametrize(("template", "pattern"), CONTAINED)
@given(value=SPICED)
@example(value="../x")
@example(value="7")
def test_a_value_never_leaves_its_place_in_the_template(template, pattern, value):
    try:
        resources = Template.parse(template).expand({"x": value})
    except AmbiguousResource:
        return
    assert all(Pattern.parse(pattern).matches(resource) for resource in resources)


@given(SPICED)
def test_what_is_put_into_a_name_can_be_read_back(value):
    try:
        resources = Template.parse("invoice://{x}").expand({"x": value})
    except AmbiguousResource:
        return
    assert [unquote(resource.removeprefix("invoice://")) for resource in resources] == (
        [value] if value else []
    )


SCHEMES = [
    "https://docs.test/",
    "https://",
    "HTTP://a.test:80/",
    "file:///",
    "s3://b/",
    "mailto:a@b",
    "tool:",
    "x://",
]


@given(st.sampled_from([*SCHEMES, ""]), SPICED)
def test_normalizing_twice_changes_nothing(head, tail):
    try:
        resource = normalize(head + tail)
    except AmbiguousResource:
        return
    assert normalize(resource) == resource
