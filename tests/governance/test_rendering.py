"""How a call's values look to who decides: whole, exact, and colored without changing anything."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.lookalikes import hints
from governance.presentation import visible
from governance.rendering import BRIEF, is_brief, language_of, note_of, rendered

TEXTS = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" \n\u202e\u200b⟨⟩<>&\"'`$;-*/\u0301")))


def plain(shown: str) -> str:
    """HTML without its tags."""
    return html.unescape(re.sub(r"<[^>]*>", "", shown))


@given(TEXTS, st.sampled_from(["", "json", "sql", "shell"]))
def test_without_its_tags_the_text_is_what_is_visible_of_it(text: str, kind: str) -> None:
    assert plain(rendered(text, kind)) == visible(text, keep=" \n")


@given(TEXTS, TEXTS)
def test_two_texts_never_look_the_same(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("⟨U+202E⟩", "⟨U+27E8⟩U+202E⟩"),
        ("\u200b" * 400, "⟨U+200B × 400⟩"),
        ("a\n\n\n\n\nb", "a\n\n\n⟨U+000A⟩⟨U+000A⟩b"),
        ("ok" + " " * 500 + "rm", f"ok{' ' * 16}⟨U+0020 × 484⟩rm"),
        ("\n" + " " * 500 + "rm", f"\n{' ' * 128}⟨U+0020 × 372⟩rm"),
        ("Z\u0301\u0302\u0303", "Z\u0301\u0302⟨U+0303⟩"),
        ('"\u0301', '"⟨U+0301⟩'),
        ("a\u0336", "a⟨U+0336⟩"),
        ("e\u0301t\u00e9", "e\u0301t\u00e9"),
    ],
)
def test_what_would_hide_or_cover_something_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text, keep=" \n") == shown


@pytest.mark.parametrize(
    ("value", "brief"),
    [
        ("x" * BRIEF, True),
        ("x" * (BRIEF + 1), False),
        ("a\nb", False),
        (["ann@customers.test"], True),
        (None, True),
    ],
)
def test_what_takes_a_line_or_two_is_brief(value: object, brief: bool) -> None:
    assert is_brief(value) == brief


def test_words_of_sql_and_shell_are_colored() -> None:
    assert '<span class="hl-k">DELETE</span>' in rendered("DELETE FROM orders", "sql")
    assert "hl-" in rendered("rm -rf $HOME # gone", "shell")
    assert '<span class="hl-t">&quot;a&quot;</span>' in rendered({"a": 1}, "json")
    assert 'title="right-to-left override">⟨U+202E⟩</mark>' in rendered("x\u202ey", "sql")


@pytest.mark.parametrize(
    ("name", "value", "labels", "kind"),
    [
        ("sql", "x", (), "sql"),
        ("text", " select 1", (), "sql"),
        ("text", "-- note\nDELETE FROM t", (), "sql"),
        ("text", "x", ("sql",), "sql"),
        ("command", "ls", (), "shell"),
        ("body", "#!/bin/sh", (), "shell"),
        ("body", "Please select a date", (), ""),
        ("command", ["ls"], (), "json"),
    ],
)
def test_what_a_value_is_written_in_is_told_by_its_name_or_beginning(
    name: str, value: object, labels: tuple[str, ...], kind: str
) -> None:
    assert language_of(name, value, frozenset(labels)) == kind


def test_a_mark_that_nobody_put_there_is_told_as_the_agents_own() -> None:
    assert "taken out" in note_of("[withheld: github-token]", ("github-token",))
    assert "The agent wrote" in note_of("[withheld: github-token]", ())
    assert '<mark class="withheld">' in rendered("[withheld: github-token]", withheld=["github-token"])
    assert "<mark" not in rendered("[withheld: github-token]")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://p\u0430ypal.test/x", "CYRILLIC SMALL LETTER A"),
        ("ann@\u0430\u0441me.test", "CYRILLIC SMALL LETTER ES"),
        ("xn--pypal-4ve.test", "p\u0430ypal"),
        ("go to \uff41pple.test", "FULLWIDTH LATIN SMALL LETTER A"),
    ],
)
def test_hosts_and_addresses_with_letters_that_pass_for_others_are_named(text: str, told: str) -> None:
    (hint,) = hints([("to", text)])
    assert told in hint


@pytest.mark.parametrize("text", ["café.test", "и/или", "見積もり.txt", "ann@acme.test", "Привет, мир"])
def test_what_is_written_so_everywhere_is_not(text: str) -> None:
    assert hints([("to", text)]) == []


@pytest.mark.parametrize("kind", ["sql", "shell", "json"])
def test_no_text_makes_coloring_slow(kind: str) -> None:
    for unit in ("'", '"', "$(", "`", "/*", "--", "{", "[", "\\", "((", "a.", "<<", "${", " \n"):
        assert plain(rendered(unit * (4_000 // len(unit)), kind))
