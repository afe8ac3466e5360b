"""How risky a new agent is: plain questions, and the tier that their answers come to. Pure.

Each answer has a tier of its own, and the agent's is the highest of them, raised by one where an agent that nobody
watches reads what outsiders write and can reach somebody outside or spend: then a stranger's text could act through
it. It is never lower than its riskiest tool.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workspaces.declarations import Risk

TIERS = tuple(risk.value for risk in Risk)  # low, medium, high, critical


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answers: key, words, tier."""

    key: str
    text: str
    help: str
    answers: tuple[tuple[str, str, str], ...]


QUESTIONS = (
    Question(
        "data",
        "What data does it see?",
        "The most sensitive that it can read, on purpose or not.",
        (
            ("public", "Nothing that is not public", "low"),
            ("internal", "Internal, about no person", "low"),
            ("personal", "Personal data of customers or staff", "medium"),
            ("special", "Health, credentials, payment or children's data", "high"),
        ),
    ),
    Question(
        "reach",
        "Whom can it reach?",
        "Who gets to read or feel what it does.",
        (
            ("nobody", "Nobody: it only prepares", "low"),
            ("colleagues", "Colleagues", "low"),
            ("known", "Customers or partners that it is given", "medium"),
            ("anyone", "Anybody, such as any mail address or the public", "high"),
        ),
    ),
    Question(
        "money",
        "Can it move money, or commit to paying?",
        "Refunds, orders and subscriptions count; its own model costs do not.",
        (
            ("none", "No", "low"),
            ("limited", "Up to an amount that a rule limits", "high"),
            ("unlimited", "Yes, without a limit", "critical"),
        ),
    ),
    Question(
        "reversal",
        "Can what it does be undone?",
        "By somebody here, with everything as it was.",
        (
            ("always", "Always, or it changes nothing", "low"),
            ("effort", "With effort", "medium"),
            ("never", "Not everything", "high"),
        ),
    ),
    Question(
        "autonomy",
        "Who watches while it works?",
        "Before an effect, not in a report afterwards.",
        (
            ("each", "A person sees each step", "low"),
            ("some", "A person is asked about what rules name", "low"),
            ("none", "Nobody", "medium"),
        ),
    ),
    Question(
        "outside",
        "Does it read what outsiders write?",
        "Web pages, incoming mail, tickets, documents from others: they may carry instructions.",
        (
            ("no", "No", "low"),
            ("yes", "Yes", "medium"),
        ),
    ),
    Question(
        "scale",
        "How many people would one mistake touch?",
        "Before somebody notices and stops it.",
        (
            ("one", "One, or a few", "low"),
            ("many", "Up to hundreds", "medium"),
            ("mass", "Thousands, or the whole business", "high"),
        ),
    ),
)


class UnknownAnswer(ValueError):
    """An answer that the question does not have, or none at all."""

    code, status = "invalid_arguments", 400


def tier(answers: Mapping[str, str], tools: Iterable[str] = ()) -> str:
    """The risk tier of these answers (question key → answer key) for an agent with tools of these risks. Raises
    UnknownAnswer."""
    highest = max((TIERS.index(tier_of(question, answers)) for question in QUESTIONS), default=0)
    steered = answers["outside"] == "yes" and answers["autonomy"] == "none"
    if steered and (answers["reach"] in ("known", "anyone") or answers["money"] != "none"):
        highest = min(highest + 1, len(TIERS) - 1)
    return TIERS[max([highest, *(TIERS.index(risk) for risk in tools)])]


def tier_of(question: Question, answers: Mapping[str, str]) -> str:
    """The tier of one answer. Raises UnknownAnswer."""
    for key, _, found in question.answers:
        if answers.get(question.key) == key:
            return found
    raise UnknownAnswer(
        f"Answer “{question.text}” with one of {', '.join(key for key, *_ in question.answers)}."
    )


def in_words(answers: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Each question with its answer and that answer's tier, for people to read."""
    return [
        (question.text, words, found)
        for question in QUESTIONS
        for key, words, found in question.answers
        if answers.get(question.key) == key
    ]
