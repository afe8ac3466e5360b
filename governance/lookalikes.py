"""Letters that pass for others, where a reader trusts the letters: in hosts, addresses, paths and names.

A hint, not a verdict: much of the world writes such names for good reasons. Scripts are told by the names that
Unicode gives its characters (https://www.unicode.org/reports/tr39/ calls such names mixed-script).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

import idna

MOST = 8  # hints of one call
FEW = 4  # letters in one hint
LONGEST = 4_000  # characters of a text that are looked at
WORDS = re.compile(r"[^\s\"'<>(){}\[\],;]+")
NAMING = re.compile(r"[.@/:]")  # what makes a word a host, an address or a path
PLAIN = re.compile(r"[A-Za-z]|@|://")
ENCODED = re.compile(r"(?<![\w-])xn--[a-z0-9-]+", re.IGNORECASE | re.ASCII)
# Scripts whose letters nobody takes for Latin ones.
UNLIKE = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"}


def hints(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences about the (where, text) in which letters may be taken for others, MOST at most."""
    found: dict[str, None] = {}
    for where, text in texts:
        for hint in hints_of(where, text[:LONGEST]):
            found[hint] = None
            if len(found) == MOST:
                return list(found)
    return list(found)


def hints_of(where: str, text: str) -> Iterator[str]:
    """What stands out in one text."""
    for match in ENCODED.finditer(text):
        if decoded := decode(match[0]):
            yield f"{where}: “{match[0]}” is how “{decoded}” is written for the network."
    if text.isascii():
        return
    for word in WORDS.findall(text):
        if NAMING.search(word) and PLAIN.search(word) and (letters := told(word)):
            yield f"{where}: “{word}” has letters that may pass for others: {letters}."


def odd_name(where: str, name: str) -> Iterator[str]:
    """The sentence about a name, such as an argument's, in which no such letter is expected."""
    if letters := told(name):
        yield f"{where}: “{name}” has letters that may pass for others: {letters}."


def told(text: str) -> str:
    """The letters that may be taken for Latin ones, the first few by number and name; empty without any."""
    odd = [each for each in dict.fromkeys(text) if each.isalpha() and not each.isascii()]
    odd = [each for each in odd if script_of(each) not in UNLIKE]
    return ", ".join(f"{each} is U+{ord(each):04X} {unicodedata.name(each, 'unnamed')}" for each in odd[:FEW])


def script_of(letter: str) -> str:
    """The first word of a letter's name: its script, for the scripts that matter here."""
    return unicodedata.name(letter, "UNNAMED").split()[0].partition("-")[0]


def decode(label: str) -> str:
    """What a label of a host stands for; empty if it stands for nothing."""
    try:
        return idna.ulabel(label.lower())
    except (idna.IDNAError, UnicodeError):
        return ""
