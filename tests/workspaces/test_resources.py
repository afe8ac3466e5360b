"""Resources have one spelling, and templates find them in arguments."""

import pytest

from workspaces.resources import MAX_RESOURCES, AmbiguousResource, Template, TemplateError, normalize

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
        ("file:///srv/{a}.", {"a": "some/b/."}, "leaves /srv/"),
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
        ("https://docs.test/#a\nb", "control"),
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
