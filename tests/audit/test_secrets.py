"""Secrets are recognized wherever they stand in a value, and ordinary texts are left alone."""

import base64
import copy
import hashlib
import random
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.secrets import Found, contains, is_card, withhold

RANDOM = random.Random(6962)
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def letters(count: int, alphabet: str = ALNUM) -> str:
    return "".join(RANDOM.choices(alphabet, k=count))


def urlsafe(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


JWT = ".".join(
    [urlsafe({"alg": "HS256", "typ": "JWT"}), urlsafe({"sub": "alice", "exp": 1}), letters(43, ALNUM + "-_")]
)
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nb6+z/w==\n-----END RSA PRIVATE KEY-----"

SECRETS = [
    ("countersign-key", f"csk_{letters(46)}"),
    ("aws-access-key", f"AKIA{letters(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}"),
    ("aws-access-key", f"ASIA{letters(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}"),
    *[("github-token", f"gh{kind}_{letters(36)}") for kind in "pousr"],
    ("github-token", f"github_pat_{letters(22)}_{letters(59)}"),
    ("gitlab-token", f"glpat-{letters(20)}"),
    ("slack-token", f"xoxb-{letters(12, '123456789')}-{letters(12, '123456789')}-{letters(24)}"),
    ("slack-token", f"xapp-1-A{letters(10, 'ABC012')}-{letters(13, '123')}-{letters(64, 'abcdef012')}"),
    ("stripe-key", f"sk_live_{letters(24)}"),
    ("stripe-key", f"sk_test_{letters(99)}"),
    ("stripe-key", f"rk_live_{letters(24)}"),
    ("stripe-key", f"rk_test_{letters(24)}"),
    ("stripe-key", f"whsec_{letters(32)}"),
    ("google-api-key", f"AIza{letters(35, ALNUM + '-_')}"),
    ("google-client-secret", f"GOCSPX-{letters(28, ALNUM + '-_')}"),
    ("openai-key", f"sk-{letters(48)}"),
    ("openai-key", f"sk-proj-{letters(120, ALNUM + '-_')}"),
    ("openai-key", f"sk-svcacct-{letters(60, ALNUM + '-_')}"),
    ("openai-key", f"sk-or-v1-{letters(64, 'abcdef0123456789')}"),
    ("anthropic-key", f"sk-ant-api03-{letters(93, ALNUM + '-_')}AA"),
    ("private-key", PEM),
    ("private-key", PEM.replace("RSA ", "")),
    ("private-key", PEM.replace("RSA ", "ENCRYPTED ")),
    ("private-key", PEM.replace("RSA ", "OPENSSH ")),
    ("private-key", PEM.replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK")),
    ("jwt", JWT),
    ("npm-token", f"npm_{letters(36)}"),
    ("pypi-token", f"pypi-AgEIcHlwaS5vcmc{letters(150, ALNUM + '-_')}"),
    ("card-number", "4111111111111111"),
    ("card-number", "4111 1111 1111 1111"),
    ("card-number", "5500-0000-0000-0004"),
    ("card-number", "2223 0031 2200 3222"),
    ("card-number", "3782 822463 10005"),
    ("card-number", "378282246310005"),
    ("card-number", "3056 930902 5904"),
    ("card-number", "6011000990139424"),
    ("card-number", "3530111333300000"),
]

SLACK_HOOK = f"hooks.slack.com/services/T{letters(9, 'ABC0')}/B{letters(9, 'ABC0')}/{letters(24)}"
AWS_SECRET = letters(40, ALNUM + "/+")
OPAQUE = letters(60)

# A text, and what must be left of it.
ASSIGNMENTS = [
    ("postgres://app:hunter2@db.example/x", "postgres://app:[withheld: url-password]@db.example/x"),
    ("redis://:p@ss:word@cache:6379", "redis://:[withheld: url-password]@cache:6379"),
    (
        "git clone https://bob:s3cret@git.example",
        "git clone https://bob:[withheld: url-password]@git.example",
    ),
    (f"export AWS_SECRET_ACCESS_KEY={AWS_SECRET}", "export AWS_SECRET_ACCESS_KEY=[withheld: aws-secret-key]"),
    (f"aws_secret_access_key = {AWS_SECRET}\n", "aws_secret_access_key = [withheld: aws-secret-key]\n"),
    (f'{{"SecretAccessKey": "{AWS_SECRET}"}}', '{"SecretAccessKey": "[withheld: aws-secret-key]"}'),
    (
        f'{{\\"SecretAccessKey\\":\\"{AWS_SECRET}\\"}}',
        '{\\"SecretAccessKey\\":\\"[withheld: aws-secret-key]\\"}',
    ),
    (f"Authorization: Bearer {OPAQUE}", "Authorization: Bearer [withheld: bearer-token]"),
    (f"Authorization: Bearer {JWT}", "Authorization: Bearer [withheld: jwt]"),
    (f"see https://{SLACK_HOOK} for", "see https://[withheld: slack-webhook] for"),
    (f"before\n{PEM}\nafter", "before\n[withheld: private-key]\nafter"),
    ("cut -----BEGIN PRIVATE KEY-----\nMIIE", "cut [withheld: private-key]"),
    (f"https://{OPAQUE}@git.example/x", "https://[withheld: url-user]@git.example/x"),
    (
        f"https://{OPAQUE}:rest@git.example",
        "https://[withheld: url-user]:[withheld: url-password]@git.example",
    ),
    (
        f"https://h.example/?a=1&access_token={OPAQUE}&b=2",
        "https://h.example/?a=1&access_token=[withheld: credential]&b=2",
    ),
    (f"https://h.example/?key={OPAQUE}#x", "https://h.example/?key=[withheld: credential]#x"),
    ("https://h.example/?password=hunter2&b=2", "https://h.example/?password=[withheld: credential]&b=2"),
    (
        f"https://h.example/o?X-Amz-Signature={OPAQUE}",
        "https://h.example/o?X-Amz-Signature=[withheld: credential]",
    ),
    ("csv,4111111111111111,12/27", "csv,[withheld: card-number],12/27"),
    ("4111 1111 1111 1111 12/27", "[withheld: card-number] 12/27"),
]


@pytest.mark.parametrize(("kind", "secret"), SECRETS, ids=lambda each: each[:24])
def test_a_secret_is_withheld_wherever_it_stands(kind: str, secret: str) -> None:
    mark = f"[withheld: {kind}]"
    for before, after in (
        ("", ""),
        ("use ", " please"),
        ('{"k": "', '"}'),
        ("k=", "\n"),
        ("é “", "”"),
        ("(", ")."),
    ):
        value = {"to": ["a", f"{before}{secret}{after}"], "n": 1}
        assert contains(value)
        assert withhold(value) == ({"to": ["a", f"{before}{mark}{after}"], "n": 1}, [Found("/to/1", kind)])


@pytest.mark.parametrize(("text", "left"), ASSIGNMENTS, ids=lambda each: each[:24])
def test_only_the_secret_part_of_a_text_is_withheld(text: str, left: str) -> None:
    assert withhold(text)[0] == left
    assert contains(text)


@pytest.mark.parametrize(("kind", "secret"), SECRETS, ids=lambda each: each[:24])
def test_keys_are_searched_and_never_show_in_a_pointer(kind: str, secret: str) -> None:
    value = {"outer": {secret: "v", f"x {secret}": [f"again {secret}"]}}
    left, found = withhold(value)
    mark = f"[withheld: {kind}]"
    assert left == {"outer": {mark: "v", f"x {mark}": [f"again {mark}"]}}
    places = [f"/outer/{mark}", f"/outer/x {mark}", f"/outer/x {mark}/0"]
    assert [each.pointer for each in found] == places
    assert contains({secret: 1})


def test_two_keys_that_are_secrets_stay_two_keys() -> None:
    one, other = SECRETS[0][1], f"csk_{letters(46)}"
    left, _ = withhold({one: 1, other: 2, "[withheld: countersign-key] 2": 3})
    assert left == {
        "[withheld: countersign-key]": 1,
        "[withheld: countersign-key] 3": 2,
        "[withheld: countersign-key] 2": 3,
    }


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Password", "PASSWORD", "passphrase", "api_key", "apiKey", "API-Key", "client_secret"),
        *(
            "clientSecret",
            "access_token",
            "refreshToken",
            "auth_token",
            "private_key",
            "secretKey",
            "apiToken",
        ),
        "AWS_SECRET_ACCESS_KEY",
    ],
)
def test_a_key_that_names_a_secret_is_believed(key: str) -> None:
    value = {"login": {"user": "bob", key: "correct horse"}}
    assert contains(value)
    left, found = withhold(value)
    assert left == {"login": {"user": "bob", key: "[withheld: credential]"}}
    assert found == [Found(f"/login/{key}", "credential")]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "${DB_PASSWORD}",
        "$TOKEN",
        "{{ secret }}",
        "<your password>",
        "****",
        "%(password)s",
        None,
        True,
        8,
        {},
    ],
)
def test_a_placeholder_is_no_secret(value: Any) -> None:
    assert not contains({"password": value})


def test_a_password_may_begin_like_a_placeholder() -> None:
    assert contains({"password": "$ecret"})
    assert contains({"password": "*a*b"})


def test_a_card_may_be_a_number() -> None:
    assert withhold({"card": 4111111111111111}) == (
        {"card": "[withheld: card-number]"},
        [Found("/card", "card-number")],
    )
    assert not contains({"card": 4111111111111112})


@pytest.mark.parametrize(
    "digits", ["4111111111111112", "1111111111111117", "411111111111111", "9999999999999995"]
)
def test_digits_that_are_no_card(digits: str) -> None:
    assert not is_card(digits)


def ordinary() -> list[Any]:
    """What arguments are made of, day by day."""
    image = base64.b64encode(RANDOM.randbytes(30_000)).decode()
    return [
        *[str(uuid.UUID(int=RANDOM.getrandbits(128), version=4)) for _ in range(2_000)],
        *[hashlib.sha256(b"%d" % number).hexdigest() for number in range(1_000)],
        *[base64.urlsafe_b64encode(RANDOM.randbytes(48)).decode() for _ in range(1_000)],
        f"data:image/png;base64,{image}",
        "41234567-4111-4111-8111-411111111111",
        *["INV-2026-000417", "invoice://4711", "RE-4000123412341234", "PO 4500012345", "order #100045230987"],
        *["2026-10-22T10:11:12.123456Z", "1761127872123", 1761127872123456, "1761127872123456789"],
        *["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "+49 4111 1111 1111", "978-3-16-148410-0"],
        *["4006381333931", "192.168.100.200", "0.4111111111111111", "4111111111111111.5", "v4.111.1111"],
        *["https://example.com:8080/a?mail=a@b.example", "https://example.com/@user", "mailto:a@b.example"],
        *[
            "ssh://git@github.com/x/y.git",
            "http://user@host/",
            "https://u:${TOKEN}@host/",
            "https://u:<pw>@host",
        ],
        *["see https://a.example and write to b@c.example", "10:30 meet @bob", "s3://reports/2026/q3.csv"],
        *[
            "task-management-and-tracking-of-everything-else",
            "sk-learn",
            "risk-adjusted-return-on-capital-2026-q3",
        ],
        *[
            "ask-anthropic-about-the-api-key-rotation",
            "the password is in the vault",
            "token_count",
            "npm_config_registry",
        ],
        *["-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIB"],
        *["AKIA", "eyJhbGciOiJIUzI1NiJ9", "bearer of good news about internationalization-and-localization"],
        *["SELECT password FROM users WHERE api_key = ?", "csk_short", "xoxo-gossip", "secret santa"],
        {
            "key": "2026/q3.csv",
            "token": "abc",
            "page_token": "CAUQAA",
            "tokens": 300,
            "public_key": "ssh-ed25519 AAAA",
        },
        *[
            "https://h.example/?page_token=CAUQAA12345678&n=1",
            "next_token=eyJhYmMiOjEyMzQ1Njc4OTB9",
            "token=abc",
        ],
        *[
            "https://h.example/?key=q3.csv",
            "https://bob@h.example/x",
            "password=${PASSWORD}",
            "1 + 1 = 2, a=b",
        ],
        {"properties": {"password": {"type": "string"}}, "passenger": "Bob", "secretary": "Ann"},
    ]


def test_ordinary_texts_are_left_alone() -> None:
    for value in ordinary():
        assert withhold(value) == (value, []), value
        assert not contains(value)


def test_a_value_without_secrets_is_returned_itself() -> None:
    value = {"a": [{"b": "text"}, 1.5, None, True]}
    assert withhold(value)[0] is value


def test_the_value_is_never_changed_and_what_holds_no_secret_is_not_copied() -> None:
    value = {"clean": {"a": [1, 2]}, "dirty": [{"k": SECRETS[0][1]}]}
    before = copy.deepcopy(value)
    left, _ = withhold(value)
    assert value == before
    assert left["clean"] is value["clean"]
    assert left["dirty"] is not value["dirty"]


def test_pointers_are_escaped() -> None:
    assert withhold({"a/b~c": SECRETS[0][1]})[1] == [Found("/a~1b~0c", "countersign-key")]


def test_a_text_alone_has_the_empty_pointer() -> None:
    assert withhold(SECRETS[0][1]) == ("[withheld: countersign-key]", [Found("", "countersign-key")])


@pytest.mark.parametrize(
    "value", ["\ud800 csk_" + "a1" * 23, {1: "csk_" + "a1" * 23}, [10**30, "csk_" + "a1" * 23]]
)
def test_what_no_encoder_takes_is_searched_all_the_same(value: Any) -> None:
    assert contains(value)
    assert withhold(value)[1]


texts = st.lists(
    st.sampled_from([secret for _, secret in SECRETS] + [text for text, _ in ASSIGNMENTS])
    | st.sampled_from(
        ["sk-", "eyJ", "://", "4111 ", "xoxb-", "Bearer ", "-----BEGIN ", '"', "\\", " ", "_", "é"]
    )
    | st.text(max_size=5),
    max_size=6,
).map(" ".join)
values = st.recursive(
    texts | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_what_was_withheld_once_has_nothing_left_to_withhold(value: Any) -> None:
    left, found = withhold(value)
    assert contains(value) == bool(found)
    assert (left == value) == (not found)
    again, left_over = withhold(left)
    assert (again, left_over) == (left, [])


@pytest.mark.parametrize(
    "seed",
    [
        *("sk-", "sk-ant-", "sk-proj-", "eyJ", "eyJaaaaaaaaaaaa.", "://a:", "://:", "xoxb-", "csk_", "ghp_"),
        *(
            "-----BEGIN ",
            "-----BEGIN PRIVATE KEY-----",
            "-",
            "earer ",
            "Bearer aaaa",
            "4 ",
            "4",
            "4111-",
            "0",
        ),
        *(
            "secret_access_key = ",
            "glpat-",
            "AKIA",
            "AIza",
            "whsec_",
            "hooks.slack.com/services/T",
            "xapp-1-",
        ),
        *("github_pat_", "pypi-AgE"),
    ],
)
def test_a_million_characters_of_bait_end(seed: str) -> None:
    # Far under the suite's timeout if the time grows with the length; hours if with its square.
    value = {"x": seed * (1_000_000 // len(seed))}
    assert contains(value) == bool(withhold(value)[1])
