"""What an agent writes never changes what a reviewer sees: neither its own words, nor what it sends, nor how it names
its session. Each attack is put everywhere at once; the page around it stays the same to the letter."""

import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from audit.models import Detail
from governance import approvals, presentation, rendering
from governance.models import Approval
from governance.presentation import pretty, visible
from tests import approving
from tests.cast import Cast
from tests.details import content_of, sealed
from tests.portal import enter, page

ATTACKS = {
    "right-to-left override": "invoice_\u202efdp.exe",
    "isolates": "\u2066\u2067pay 100\u2069\u2069 nobody\u2069",
    "right-to-left letters": "/home/\u05d0\u05d1/\u0627\u0644\u0645/../etc 1 2 3",
    "zero width": "pay\u200bpal\u200c\u200d\ufeff.test",
    "a script": "<script>document.querySelector('button.approve').click()</script>",
    "tags that close ours": "</pre></div></section></div></div><h2>Approved by Rita Review</h2>",
    "a fake button": '<button class="portal-button approve" name="decision" value="approve">Approve</button>',
    "a fake form": '<form method="post" action="/admin/governance/approval/1/decide/"><input name="decision"></form>',
    "an attribute": '" autofocus onfocus="alert(1)" style="position:fixed;inset:0" x-data="{}" hx-get="/" x="',
    "a style": "</style><style>.approval-answer{display:none}</style>} body{visibility:hidden",
    "entities": "&lt;b&gt;&#x202e;&#60;script&#62;&amp;amp;",
    "a comment": "<!-- --><!--[if IE]> --!> <![CDATA[ ]]>",
    "a template": "{{ approval.used_by }}{% debug %}{# ${7*7} #}<%= 1 %>",
    "markdown": "# Approved\n[Approve](javascript:alert(1)) ![x](https://evil.test/x.png) **by Rita**",
    "terminal codes": "\x1b[2K\x1b[1A\x1b[32mApproved by Rita\x1b[0m\x1b]8;;https://evil.test\x07",
    "a fake answer": "approved Rita Review, 2026-11-23 10:00, signed in\n\nNobody else is needed.",
    "a fake size": "ok\n\ntext, 2 characters\n\nShow all 2 characters",
    "our own spelling": "safe ⟨U+202E⟩ ⟨U+0020 × 400⟩",
    "our own mark": "[withheld: github-token] [withheld: aws-access-key]",
    "very long": "harmless " * 20_000 + "rm -rf /",
    "one long word": "A" * 50_000,
    "a flood of lines": "ok" + "\n" * 3_000 + "rm -rf /",
    "a flood of blank lines": "ok" + "\n \n\t" * 1_000 + "rm -rf /",
    "spaces to the right": "ls" + " " * 3_000 + "&& rm -rf /",
    "other spaces": "ls\u00a0\u2003\u3000\u2800\u3164\u1680" * 20 + "rm",
    "a homoglyph host": "https://p\u0430ypal.test/login",
    "an encoded host": "https://xn--pypal-4ve.test/login",
    "full width": "\uff52\uff4d -rf \uff0f",
    "null bytes": "report.pdf\x00.exe",
    "carriage returns": "rm -rf /\rls        \x08\x08\x7f\x0b\x0c\x85",
    "separators": "one\u2028two\u2029three",
    "JSON in a text": '{"to":"ann@customers.test","amount":1}","amount":1000000,"x":"',
    "deep JSON in a text": "[" * 2_000 + "]" * 2_000,
    "base64": "cm0gLXJmIC8KPHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "a stack of marks": "Z" + "\u0300\u0301\u0302\u0489\u20dd" * 200 + "algo",
    "crossed out": "".join(c + "\u0336" for c in "refund 1000") + " refund 1",
    "emoji": "👍\ufe0f\u200d✅ 👩\u200d💻 \U0001f3f4\U000e0067\U000e0062\U000e007f ©\ufe0e",
    "tags of Unicode": "hello" + "".join(chr(0xE0000 + ord(c)) for c in "approve this") + "!",
    "private use": "\ue000\uf8ff\U000f0000",
    "fillers": "\u115f\u1160\u17b4\u17b5\u034f\u180e",
}
CLAIMS = re.compile(r'<section class="portal-panel approval-claims".*?</section>', re.S)
ARGUMENT = re.compile(r'<div class="approval-argument".*?</div>', re.S)
HINTS = re.compile(r'<p class="portal-alert warning approval-hint">.*?</p>', re.S)
SESSION = re.compile(r'<h2 id="session-title">.*?</h2>', re.S)
NOISE = re.compile(r'value="\w{64}"|\d+\xa0(?:minutes|hours?)|&quot;x-csrftoken&quot;: &quot;\w+&quot;', re.I)


class Texts(HTMLParser):
    """The text of each element that says what it is bound to, or shows an argument."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self.open: list[int | None] = []  # what each open element adds to, from the first that is bound

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        named = dict(attrs).get("data-bound") or ("pre" if tag == "pre" else "")
        if named:
            self.found.append((named, ""))
            self.open.append(len(self.found) - 1)
        elif self.open:
            self.open.append(None)

    def handle_endtag(self, tag: str) -> None:
        if self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        at = next((each for each in reversed(self.open) if each is not None), None)
        if at is not None:
            name, text = self.found[at]
            self.found[at] = (name, text + data)


def texts_in(shown: str) -> list[tuple[str, str]]:
    """(what it is bound to, text) of a page's elements."""
    texts = Texts()
    texts.feed(shown)
    return texts.found


def put(approval: Approval, **values: Any) -> None:
    """Have the call's Detail say something else."""
    log_id, index = approval.workspace.log_id, approval.entry_index
    content = content_of(log_id, index)
    for name, value in values.items():
        content[name] = {"salt": "00" * 32, "value": value}
    Detail.objects.filter(log_id=log_id, index=index).update(content=sealed(log_id, index, content))


def frame(shown: str) -> str:
    """The page without what is the agent's: its words, the values it sent, and the name of its session."""
    for part in (CLAIMS, ARGUMENT, HINTS, SESSION, NOISE):
        shown = part.sub("", shown)
    return re.sub(r"\s+", " ", shown)


@pytest.fixture
def asked(cast: Cast) -> tuple[Client, Approval, str]:
    """A call that waits for rita, and the frame of its page."""
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    approvals.start(approval)
    approval = Approval.objects.select_related("workspace", "agent").get(pk=approval.pk)
    client = enter(cast.rita)
    put(approval, arguments={"value": "plain"}, reason="plain", context={"note": "plain"})
    return client, approval, frame(page(client, "governance_approval_change", approval.pk))


def test_the_page_around_it_stays_as_it_is_and_every_character_is_there(
    asked: tuple[Client, Approval, str],
) -> None:
    client, approval, before = asked
    wrong: dict[str, str] = {}
    for name, attack in ATTACKS.items():
        put(approval, arguments={"value": attack}, reason=attack, context={"note": attack})
        Approval.objects.filter(pk=approval.pk).update(session=attack[:200].replace("\0", ""))
        shown = page(client, "governance_approval_change", approval.pk)
        argument = ARGUMENT.findall(shown)[0]
        values = [text for kind, text in texts_in(argument) if kind == "pre"]
        claims = html.unescape(CLAIMS.findall(shown)[0])
        cut = len(attack) > rendering.SHOWN
        sized = f"{len(attack):,} characters" in argument and f"first {rendering.SHOWN:,} shown" in argument
        kept = {
            "the frame": frame(shown) == before,
            # A browser drops the line break that stands right behind the tag.
            "the value": values == ["\n" + visible(attack[: rendering.SHOWN], keep=" \n")],
            "the size": not cut or sized,
            "the claims": visible(attack, keep=" \n") in claims and "nobody has checked it" in claims,
        }
        wrong |= {f"{name}: {what}": shown for what, well in kept.items() if not well}
    assert list(wrong) == []


def test_what_looks_like_something_else_is_pointed_out(asked: tuple[Client, Approval, str]) -> None:
    client, approval, _ = asked
    for name in ("a homoglyph host", "an encoded host"):
        put(approval, arguments={"value": ATTACKS[name]})
        assert "Look twice." in page(client, "governance_approval_change", approval.pk), name
    put(approval, arguments={"value": ATTACKS["our own mark"]})
    shown = page(client, "governance_approval_change", approval.pk)
    assert "The agent wrote “[withheld: …]” itself" in shown
    assert "Look twice." not in shown


def test_two_names_of_arguments_never_look_like_one(asked: tuple[Client, Approval, str]) -> None:
    client, approval, _ = asked
    for other in ("t\u043e", "to\u200b", "to" + " " * 20, 'to": "x', "<b>to</b>", "\u202eto"):
        put(approval, arguments={"to": "ann@customers.test", other: "eve@evil.test"})
        shown = page(client, "governance_approval_change", approval.pk)
        found = re.findall(r'<p class="name"><code class="exact">(.*?)</code>', shown)
        names = [html.unescape(name) for name in found]
        assert sorted(names) == sorted(["to", visible(other)])
        assert ("Look twice." in shown) == (other == "t\u043e")


def test_a_tool_and_its_resources_are_spelled_out_too(asked: tuple[Client, Approval, str]) -> None:
    client, approval, _ = asked
    for name in ("right-to-left override", "zero width", "a script", "tags that close ours"):
        attack = ATTACKS[name]
        put(approval, resources=[f"file:///{attack}", "file:///b"])
        Approval.objects.filter(pk=approval.pk).update(tool=attack)
        bound = texts_in(page(client, "governance_approval_change", approval.pk))
        assert ("tool", visible(attack)) in bound, name
        assert ("resource", visible(f"file:///{attack}")) in bound, name
        assert ("resource", "file:///b") in bound, name


def test_mails_and_links_are_asked_about_the_same_call(asked: tuple[Client, Approval, str]) -> None:
    _, approval, _ = asked
    put(approval, arguments=ATTACKS)
    assert presentation.question(approval).arguments == pretty(dict(sorted(ATTACKS.items())))
