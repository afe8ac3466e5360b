"""Tricks to reach a resource that is not granted: each is refused, or names what it truly touches."""

import posixpath
import unicodedata
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.workspaces.tricks import DOCS, HONEST, REPORTS, TRICKS
from workspaces.resources import AmbiguousResource, Pattern, Template, normalize


def is_granted(
    template: str, default_scheme: str | None, arguments: dict[str, Any], patterns: list[str]
) -> bool:
    """Whether the call may go ahead: it names something, and all it names is granted."""
    try:
        resources = Template.parse(template, default_scheme).expand(arguments)
    except AmbiguousResource:
        return False
    granted = [Pattern.parse(pattern) for pattern in patterns]
    return bool(resources) and all(any(pattern.matches(one) for pattern in granted) for one in resources)


@pytest.mark.parametrize(("template", "default_scheme", "arguments", "granted"), TRICKS)
def test_no_trick_reaches_what_is_not_granted(template, default_scheme, arguments, granted):
    assert not is_granted(template, default_scheme, arguments, granted)


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
