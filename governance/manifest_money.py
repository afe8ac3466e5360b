"""The sections of a workspace file about money: budgets, and what models cost."""

from billing.limits import MOST_TOKENS
from billing.models import Budget
from billing.price_table import AMOUNTS
from governance import manifest_fields as reading
from governance.manifest import BudgetEntry, Manifest, PriceEntry
from governance.manifest_fields import Fields, Reference

LIMITS = {Budget.Unit.USD: "limit_usd", Budget.Unit.TOKENS: "limit_tokens"}
BUDGET_FIELDS = ("agent", "session", "window", "tool", "model", *LIMITS.values(), "hard", "when_short",
                 "downgrade_to", "warn_at")  # fmt: skip
# As the file has them: input_usd and so on.
PRICES = {name.replace("_nanos", "_usd"): name for name in AMOUNTS}


def read_budgets(manifest: Manifest, top: Fields) -> None:
    """Limits on spending."""
    problems = manifest.problems
    seen = set()
    for node in reading.entries_of(top.get("budgets"), problems, "budgets"):
        entry = Fields(node, problems, "A budget", BUDGET_FIELDS)
        entry.required("window", f"one of {', '.join(Budget.Window.values)}")
        unit, limit = limit_of(entry)
        hard = entry.flag("hard")
        budget = BudgetEntry(
            place=node.place,
            agent=reference(entry, "agent"),
            per_session=entry.flag("session") or False,
            window=entry.choice("window", Budget.Window.values, Budget.Window.EVER),
            tool=reference(entry, "tool"),
            model=entry.text("model"),
            unit=unit,
            limit_amount=limit,
            hard=hard is not False,
            when_short=entry.choice("when_short", Budget.WhenShort.values, Budget.WhenShort.WAIT),
            downgrade_to=entry.text("downgrade_to"),
            warn_at=percents(entry),
        )
        if budget.key in seen:
            message = (
                "There is a budget for the same agent, sessions, window, tool, model and unit; keep one."
            )
            problems.add(node.place, message)
        seen.add(budget.key)
        manifest.budgets.append(budget)


def limit_of(entry: Fields) -> tuple[str, int]:
    """The unit and the limit in it: one of ``limit_usd`` and ``limit_tokens``."""
    tokens = entry.get("limit_tokens")
    if tokens is None:
        return Budget.Unit.USD, entry.dollars("limit_usd")
    if entry.get("limit_usd") is not None:
        entry.problems.add(tokens.place, "A limit is in US dollars or in tokens; keep one of the two.")
    if type(tokens.value) is int and 0 <= tokens.value <= MOST_TOKENS:
        return Budget.Unit.TOKENS, tokens.value
    entry.problems.add(
        tokens.place, f"“limit_tokens” is a whole number of at most {MOST_TOKENS}, not negative."
    )
    return Budget.Unit.TOKENS, 0


def reference(entry: Fields, name: str) -> Reference | None:
    """A name that stands elsewhere in the file, with its place; None where it is left out."""
    node = entry.get(name)
    text = entry.text(name)
    return Reference(text, node.place) if node is not None and text else None


def percents(entry: Fields) -> list[int]:
    """``warn_at``: whole percents of the limit."""
    found = []
    for item in reading.entries_of(entry.get("warn_at"), entry.problems, "warn_at"):
        if isinstance(item.value, int) and not isinstance(item.value, bool) and 1 <= item.value <= 100:
            found.append(item.value)
        else:
            entry.problems.add(
                item.place, "“warn_at” holds whole percents of the limit from 1 to 100, such as [50, 80]."
            )
    return sorted(set(found))


def read_prices(manifest: Manifest, top: Fields) -> None:
    """What models cost from a day on."""
    problems = manifest.problems
    seen = set()
    for node in reading.entries_of(top.get("prices"), problems, "prices"):
        entry = Fields(node, problems, "A price", ("model", "starts", *PRICES, "note"))
        named = entry.required("model", "the model as agents name it, or “*” for whatever has no other price")
        begun = entry.required("starts", "the first day, such as 2027-01-01")
        starts = entry.day("starts")
        amounts = {PRICES[name]: entry.dollars(name) if entry.get(name) else None for name in PRICES}
        if named is None or begun is None or starts is None:
            continue
        price = PriceEntry(node.place, entry.text("model"), starts, amounts, entry.text("note"))
        if (price.model, price.starts) in seen:
            problems.add(node.place, "There is a price of the same model and day; keep one.")
        seen.add((price.model, price.starts))
        manifest.prices.append(price)
