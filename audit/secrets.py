"""Recognize secrets in JSON values, so that they are withheld before anything is written.

A detector is the literal text that its secrets begin with (or follow) and a pattern for the rest. Most
values hold none of these texts, which one look at the serialized value tells; only then are strings searched.
Patterns are bounded, or begin where a run of characters begins, so that the time grows with the length alone.

Recognized are formats that say what they are; a password that looks like a word is found only under a key
that names it. The formats are those that their issuers document, as noted at each, or that secret scanners
agree on (https://docs.github.com/code-security/secret-scanning, https://github.com/gitleaks/gitleaks).
"""

import operator
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson


class Found(NamedTuple):
    """Where a secret was, as an RFC 6901 pointer (a withheld key stands in it as withheld), and its kind."""

    pointer: str
    kind: str


class Detector(NamedTuple):
    kind: str
    anchor: str
    pattern: re.Pattern[str]
    """Begins with the anchor; the group `secret` is what to withhold, else the whole match."""


# What may not stand directly before or after a secret.
WORD = "[A-Za-z0-9_]"
RUN = "[A-Za-z0-9_-]"


def _detector(kind: str, anchor: str, rest: str, *, before: str | None = WORD) -> Detector:
    text = re.escape(anchor)
    # The literal comes first, which the regex engine searches for fast; the look back past it comes after.
    boundary = f"(?<!{before}{text})" if before else ""
    return Detector(kind, anchor, re.compile(f"{text}{boundary}{rest}"))


def _tokens() -> Iterator[Detector]:
    """Secrets that their issuers made recognizable."""
    # An agent's key (workspaces): 8 prefix, 32 secret, 6 CRC-32 in base62. The sum is not checked: a key with
    # a typing error is still nearly a key.
    yield _detector("countersign-key", "csk_", "[A-Za-z0-9]{46}", before=None)
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html: long-lived, temporary.
    for anchor in ("AKIA", "ASIA"):
        yield _detector("aws-access-key", anchor, f"[A-Z2-7]{{16}}(?!{WORD})")
    # A secret access key has no form of its own, 40 characters of base64 after its name: in the environment,
    # in ~/.aws/credentials, in the API's JSON.
    for anchor in ("SECRET_ACCESS_KEY", "secret_access_key", "ecretAccessKey"):
        assignment = r"""\\?["']?\s{0,3}(?:=>|[:=])\s{0,3}\\?["']?"""
        value = "(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
        yield _detector("aws-secret-key", anchor, assignment + value, before=None)
    # https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
    for anchor in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"):
        yield _detector("github-token", anchor, f"[A-Za-z0-9]{{36,251}}(?!{WORD})")
    yield _detector("github-token", "github_pat_", f"[A-Za-z0-9_]{{82}}(?!{WORD})")
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    yield _detector("gitlab-token", "glpat-", f"{RUN}{{20,300}}")
    # https://api.slack.com/authentication/token-types
    yield _detector("slack-token", "xox", "[abeoprs](?:\\.xox[bp])?-[A-Za-z0-9-]{10,250}")
    yield _detector("slack-token", "xapp-", "[0-9]-[A-Z0-9]{5,20}-[0-9]{5,20}-[a-z0-9]{20,100}")
    yield _detector(
        "slack-webhook", "hooks.slack.com/services/", "T[A-Z0-9]{5,20}/B[A-Z0-9]{5,20}/[A-Za-z0-9]{20,40}"
    )
    # https://docs.stripe.com/keys and /webhooks: secret, restricted, signing.
    for anchor in ("sk_live_", "sk_test_", "rk_live_", "rk_test_"):
        yield _detector("stripe-key", anchor, f"[A-Za-z0-9]{{16,247}}(?!{WORD})")
    yield _detector("stripe-key", "whsec_", f"[A-Za-z0-9+/]{{24,100}}={{0,2}}(?!{WORD})")
    # https://cloud.google.com/docs/authentication/api-keys; a client's secret.
    yield _detector("google-api-key", "AIza", f"{RUN}{{35}}(?!{RUN})", before=RUN)
    yield _detector("google-client-secret", "GOCSPX-", f"{RUN}{{28}}(?!{RUN})", before=RUN)
    # https://platform.openai.com/docs/api-reference/authentication, https://docs.anthropic.com/en/api
    yield _detector("anthropic-key", "sk-", f"ant-[a-z]{{2,10}}[0-9]{{2}}-{RUN}{{32,200}}", before=RUN)
    yield _detector(
        "openai-key",
        "sk-",
        rf"(?:(?:proj|svcacct|admin|None)-{RUN}{{32,250}}|(?:or-v1-)?[A-Za-z0-9]{{32,100}}(?!{RUN}))",
        before=RUN,
    )
    # https://docs.npmjs.com/about-access-tokens; a token for uploads of Python packages is a macaroon.
    yield _detector("npm-token", "npm_", f"[A-Za-z0-9]{{36}}(?!{WORD})")
    yield _detector("pypi-token", "pypi-", f"AgE{RUN}{{50,1000}}")


def _forms() -> Iterator[Detector]:
    """Secrets that standards give a form, whoever issued them."""
    # RFC 7468; a key whose end is missing is withheld to the end of its string. (Possessive groups would be
    # natural here, but Python before 3.11.5 matches them wrongly; what follows never backtracks either way.)
    yield _detector(
        "private-key",
        "-----BEGIN ",
        r"(?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"[^-]*(?:-(?!----END )[^-]*)*(?:-----END [A-Z0-9 ]{0,64}-----)?",
        before=None,
    )
    # RFC 7519, section 3: header, payload and signature; both JSON objects begin with {".
    yield _detector("jwt", "eyJ", rf"{RUN}{{10,}}+\.eyJ{RUN}{{8,}}+\.{RUN}{{16,}}+", before=RUN)
    # RFC 6750, section 2.1.
    yield _detector(
        "bearer-token",
        "earer ",
        r"(?=[A-Za-z._~+/-]{0,64}[0-9])(?P<secret>[A-Za-z0-9._~+/-]{24,4096}+={0,2})",
        before="[^Bb]",
    )
    # RFC 3986, section 3.2.1: the password of a URL, unless it is a placeholder.
    yield _detector(
        "url-password",
        "://",
        r"""[^\s/:@?#"'<>\\]{0,128}+:(?![${<*\[])(?P<secret>[^\s/?#"'<>\\]{1,256})@""",
        before=None,
    )


def _parameters() -> Iterator[Detector]:
    """Secrets by the name that they are given to, as in the query of a URL or an assignment: ``?access_token=…``."""
    yield _detector(
        "url-user",
        "://",
        r"(?=[^\s/:@?#]{0,128}[0-9])(?P<secret>[A-Za-z0-9._~%+=-]{12,128}+)(?::[^\s/?#@]{0,256})?@",
        before=None,
    )
    for anchor in ("assword=", "asswd=", "?pass=", "&pass=", "?pwd=", "&pwd="):
        yield _detector("credential", anchor, r"""(?P<secret>[^\s&#"'<>\\${*\[(]{4,256}+)""", before=None)
    # What else is called so is often no secret: only what looks like one, with a digit, and no place in a list.
    page = "(?<!page_token=)(?<!next_token=)(?<!sync_token=)"
    value = r"(?=[A-Za-z._~%+/-]{0,64}[0-9])(?P<secret>[A-Za-z0-9._~%+/-]{12,4096}+={0,2})"
    for anchor in ("token=", "ecret=", "ignature=", "apikey=", "api_key=", "access_key=", "?key=", "&key=", "?sig=",
                   "&sig=", "?auth=", "&auth="):  # fmt: skip
        yield _detector("credential", anchor, (page if anchor == "token=" else "") + value, before=None)


def _by_gate(detectors: Iterable[Detector], gates: Iterable[str]) -> dict[str, list[Detector]]:
    behind: dict[str, list[Detector]] = {gate: [] for gate in gates}
    for each in detectors:
        behind[next(gate for gate in gates if gate in each.anchor)].append(each)
    return behind


DETECTORS = (*_tokens(), *_forms(), *_parameters())

# ISO/IEC 7812: plain, or grouped as on the card. Not a part of a decimal, of an identifier or of an IBAN.
CARD = re.compile(
    r"[2-6](?<![A-Za-z0-9_.+-][2-6])(?<!\b[A-Z]{2}[0-9]{2} [2-6])"
    r"(?:[0-9]{13,18}|[0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}|[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5})"
    r"(?![A-Za-z0-9_]|[.-][0-9])"
)
# Digits become 0, what may stand between them goes: fourteen zeros in a row may be a card.
TO_ZERO = bytes(0x30 if 0x30 <= code <= 0x39 else code for code in range(256))
SOME_CARD = b"0" * 14
# The first digits of the networks, and how many digits their numbers have.
NETWORKS = (
    (re.compile("4"), (16, 19)),  # Visa
    (re.compile("5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("6(?:011|4[4-9]|5)"), (16, 19)),  # Discover
    (re.compile("35(?:2[89]|[3-8])"), (16,)),  # JCB
    (re.compile("3(?:0[0-5]|[689])"), (14,)),  # Diners Club
    (re.compile("62"), (16, 19)),  # UnionPay
)
# Twice a digit, and the sum of its digits.
DOUBLED = str.maketrans("0123456789", "0246813579")

# Keys of objects whose text is a secret, whatever it looks like; compared without case, "_", "-" and spaces.
NAMES = frozenset(
    [
        *("password", "passwd", "passphrase", "clientsecret", "apikey", "apisecret", "apitoken", "secretkey"),
        *("secretaccesskey", "awssecretaccesskey", "accesstoken", "refreshtoken", "authtoken", "privatekey"),
    ]
)
NAME_SEPARATORS = str.maketrans("", "", "_- ")
# Nothing, or something that stands for a secret: ${TOKEN}, <password>, {{secret}}, ***, what is withheld.
PLACEHOLDER = re.compile(
    r"\s*(?:\$[A-Z_]+|\$?\{+[^{}]*\}+|\$?\([^()]*\)|<[^<>]*>|\*+|%[A-Z_]+%|%\(\w+\)s"
    r"|\[withheld: [a-z-]+\])?\s*"
)

# The detectors by a short text that their anchors share: where it is absent, none of them needs a look, which
# saves two thirds of the time.
GATE_TEXTS = ("_", "-", "A", "xox", "eyJ", "://", "earer ", "hooks.slack.com", "=")
GATES = tuple(
    (gate, tuple(each.anchor for each in behind), tuple(behind))
    for gate, behind in _by_gate(DETECTORS, GATE_TEXTS).items()
)
# The same for the names, in the serialized form without capitals.
NAME_GATES = (
    ("secret", ("secret",)),
    ("pass", ("passw", "passp")),
    ('token":"', ("access", "refresh", "auth", "api")),
    ('key":"', ("api", "private")),
)


class Search(NamedTuple):
    """What may be in a value, as its serialized form tells."""

    detectors: tuple[Detector, ...]
    cards: bool
    names: bool


EVERYTHING = Search(DETECTORS, cards=True, names=True)


def contains(value: Any) -> bool:
    """Whether any string, key or number in a JSON value is a secret, or any key names one."""
    search = _look(value)
    return search is not None and _holds_secret(value, search)


def withhold(value: Any) -> tuple[Any, list[Found]]:
    """The value with each secret replaced by "[withheld: <kind>]", and what was replaced.

    Objects and arrays are copied where something in them changes; the value itself is never changed.
    """
    found: list[Found] = []
    search = _look(value)
    return (value if search is None else _search(value, "", search, found)), found


def _look(value: Any) -> Search | None:
    """What is worth searching for; None, as a rule, is nothing."""
    try:
        raw = orjson.dumps(value)
    except TypeError:  # lone surrogates, enormous integers: search for everything
        return EVERYTHING
    text = raw.decode()
    cards = SOME_CARD in raw.translate(TO_ZERO, b" -")
    lowered = text.lower()
    names = False
    for gate, details in NAME_GATES:
        if gate in lowered and True in map(lowered.__contains__, details):
            names = True
    detectors: tuple[Detector, ...] = ()
    for gate, anchors, behind in GATES:
        if gate in text and True in map(text.__contains__, anchors):
            detectors += tuple(each for each in behind if each.anchor in text)
    return Search(detectors, cards, names) if detectors or cards or names else None


def _holds_secret(value: Any, search: Search) -> bool:
    if isinstance(value, str):
        return any(True for _ in _spans(value, search))
    if isinstance(value, dict):
        return any(
            (isinstance(key, str) and (_holds_secret(key, search) or _is_credential(key, item, search)))
            or _holds_secret(item, search)
            for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return any(_holds_secret(each, search) for each in value)
    return search.cards and type(value) is int and is_card(str(value))


def _search(value: Any, pointer: str, search: Search, found: list[Found]) -> Any:
    if isinstance(value, str):
        return _withhold_text(value, pointer, search, found)
    if isinstance(value, dict):
        return _search_object(value, pointer, search, found)
    if isinstance(value, list | tuple):
        items = [_search(each, f"{pointer}/{index}", search, found) for index, each in enumerate(value)]
        return value if all(map(operator.is_, items, value)) else items
    if search.cards and type(value) is int and is_card(str(value)):
        found.append(Found(pointer, "card-number"))
        return _mark("card-number")
    return value


def _search_object(value: dict[Any, Any], pointer: str, search: Search, found: list[Found]) -> dict[Any, Any]:
    copy: dict[Any, Any] = {}
    changed = False
    for key, item in value.items():
        in_key: list[Found] = []
        name = _withhold_text(key, "", search, in_key) if isinstance(key, str) else key
        if in_key:
            name = _unused(name, value, copy)
        place = f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
        found += [Found(place, each.kind) for each in in_key]
        if isinstance(key, str) and _is_credential(key, item, search):
            found.append(Found(place, "credential"))
            copy[name] = _mark("credential")
        else:
            copy[name] = _search(item, place, search, found)
        changed = changed or bool(in_key) or copy[name] is not item
    return copy if changed else value


def _unused(name: str, *objects: dict[Any, Any]) -> str:
    """A key that says the same and replaces no other: two secrets of one kind may have been keys."""
    number, candidate = 1, name
    while any(candidate in each for each in objects):
        number += 1
        candidate = f"{name} {number}"
    return candidate


def _is_credential(key: str, item: Any, search: Search) -> bool:
    """Whether a key says that its text is a secret, and the text is there."""
    return (
        search.names
        and isinstance(item, str)
        and key.lower().translate(NAME_SEPARATORS) in NAMES
        and not PLACEHOLDER.fullmatch(item)
    )


def _withhold_text(text: str, pointer: str, search: Search, found: list[Found]) -> str:
    spans = sorted(_spans(text, search), key=lambda span: (span[0], -span[1]))
    if not spans:
        return text
    parts: list[str] = []
    end = 0
    for start, stop, kind in spans:
        if start >= end:
            found.append(Found(pointer, kind))
            parts += (text[end:start], _mark(kind))
        end = max(end, stop)
    return "".join((*parts, text[end:]))


def _spans(text: str, search: Search) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of each secret in a text; they may overlap."""
    for kind, anchor, pattern in search.detectors:
        if anchor in text:
            group = "secret" if pattern.groupindex else 0
            for match in pattern.finditer(text):
                yield *match.span(group), kind
    if search.cards:
        for match in CARD.finditer(text):
            if is_card(match[0].replace(" ", "").replace("-", "")):
                yield *match.span(), "card-number"


def is_card(digits: str) -> bool:
    """Whether digits are the number of a payment card: a network's beginning and length, and the Luhn check
    (ISO/IEC 7812-1, annex B)."""
    if not any(len(digits) in lengths and start.match(digits) for start, lengths in NETWORKS):
        return False
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(DOUBLED)))) % 10 == 0


def _mark(kind: str) -> str:
    return f"[withheld: {kind}]"
