"""Addresses are judged by every spelling that some client resolves, and never by asking DNS."""

import pytest

from governance.addresses import domain, is_private, links

PRIVATE = [
    "http://127.0.0.1/",
    "http://127.1",
    "http://2130706433/",
    "http://0x7f.1",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://010.0.0.1",
    "http://0",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]",
    "http://[::127.0.0.1]",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[fd00:ec2::254]",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1%25eth0]/",
    "http://169.254.169.254/latest",
    "http://100.100.100.200",
    "http://10.1.2.3",
    "http://172.16.0.1",
    "http://192.168.1.1:8080/x",
    "http://224.0.0.1",
    "http://255.255.255.255",
    "http://192.0.2.1",
    "http://LOCALHOST.",
    "http://localhost:8080",
    "http://foo.localhost",
    "http://metadata.google.internal",
    "http://printer.local",
    "http://intranet/",
    "http://%31%32%37.0.0.1",
    "http://１２７.0.0.1",
    "http://127。0.0.1",
    "http://ⓛocalhost",
    "http://127.0.0.1.",
    "http://me@127.0.0.1",
    "http:127.0.0.1",
    "http:/127.0.0.1",
    "http:////127.0.0.1",
    "http:///path",
    "//10.0.0.1/x",
    "HTTP://10.0.0.1",
    "gopher://2130706433",
    "ws://127.1",
    "10.0.0.1:80",
    "localhost",
    "localhost:8080",
    "intranet",
    "mailto:a@10.0.0.1",
    "mailto:a@[127.0.0.1]",
    "a@localhost",
    "file:///etc/passwd",
    "invoice://localhost",
]

PUBLIC = [
    "https://example.com",
    "https://EXAMPLE.com:8443/x?y#z",
    "https://8.8.8.8",
    "https://[2606:4700::1111]/",
    "http://127.0.0.1@example.com",
    "https://127.0.0.1.example.com",
    "https://localhost.example.com",
    "example.com",
    "mailto:a@example.com",
    "a@example.com",
    "s3://bucket/x",
    "invoice://123",
    "tool:shell.run",
    "/etc/passwd",
    "https://bücher.example",
    "https://xn--bcher-kva.example",
]

UNREADABLE = [
    "http://1.2.3.256",
    "http://1.2.3.4.5",
    "http://",
    "mailto:a@mail.test?cc=b@other.test",
    "http://example.com\\@127.0.0.1",
    "http://exa mple.com",
    "http://exam\tple.com",
    "http://a..b",
    "http://[::1",
    "http://[::g]/",
    "http://example.com:port",
    "http://a%2Fb.example",
    "mailto:a@b.test,c@d.test",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_every_spelling_of_a_private_address_is_seen(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_or_names_no_host_is_not_private(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize("address", UNREADABLE)
def test_what_clients_read_differently_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        is_private(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://Shop.Example.com:8443/x", "shop.example.com"),
        ("a.b@Mail.test", "mail.test"),
        ("mailto:a@mail.test", "mail.test"),
        ("https://user:secret@host.test/", "host.test"),
        ("host.test.", "host.test"),
        ("host.test/path", "host.test"),
    ],
)
def test_a_domain_is_the_host_or_what_follows_the_at_sign(address: str, expected: str) -> None:
    assert domain(address) == expected


@pytest.mark.parametrize(
    "address", ["", "two words", "a@b@c", "a@x.test,b@y.test", "/etc/passwd", "Bob <b@c.test>", "@"]
)
def test_what_has_no_domain_or_several_has_none(address: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        domain(address)


def test_links_are_found_in_every_text_of_a_value_in_order() -> None:
    value = {
        "a": "see http://x.test/y(z). And www.b.test, [c](https://c.test/d)",
        "e": ["FTP://f.test", 5, None],
        "http://k": 1,
    }
    assert links(value) == [
        "http://x.test/y(z)",
        "www.b.test",
        "https://c.test/d",
        "FTP://f.test",
        "http://k",
    ]


@pytest.mark.parametrize("text", ["", "no link", "://x.test", "a ://b", "awww.x.test", "http://", "5://x"])
def test_what_is_no_link_is_not_found(text: str) -> None:
    assert links(text) == []


def test_over_a_thousand_links_are_too_many() -> None:
    assert len(links("http://a.test " * 1000)) == 1000
    with pytest.raises(ValueError, match="1,000"):
        links("http://a.test " * 1001)
    with pytest.raises(ValueError, match="1,000"):
        links(["http://a.test " * 600] * 2)
