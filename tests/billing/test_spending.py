"""What was spent: right at once, right after the worker counted, and right after a charge was corrected."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import spending
from billing.counting import MOST_A_DAY, Sum, count_new
from billing.models import UNCOUNTED, Hold, SpendDay
from billing.spending import Only, Span
from tests.billing.charges import CENTS, NOON, charge, held
from tests.cast import Cast
from workspaces.models import Agent, Workspace

pytestmark = pytest.mark.django_db
TODAY = NOON.date()


def shown(workspace: Workspace, dimension: str, span: Span | None = None) -> dict[str, int]:
    """Cents by name, of today by default."""
    found = spending.lines(workspace, dimension, span or Span(TODAY, TODAY), spending.tail(workspace))
    return {line.name: line.now.nanos // CENTS for line in found}


def both_ways(workspace: Workspace, dimension: str) -> dict[str, int]:
    """The same before and after the worker counted."""
    before = shown(workspace, dimension)
    count_new()
    assert not Hold.objects.filter(UNCOUNTED).exists()
    assert shown(workspace, dimension) == before
    return before


def test_a_day_of_ever_so_many_dear_charges_is_still_counted(cast: Cast) -> None:
    for number in range(3):
        for _ in range(20):
            charge(cast.report_bot, 10**8, model=f"model-{number}")  # a million dollars each
        count_new()
    assert not Hold.objects.filter(UNCOUNTED).exists()
    assert SpendDay.objects.get(dimension="").nanos == MOST_A_DAY < 60 * 10**15
    assert spending.figures(cast.acme, NOON).month.nanos == MOST_A_DAY


def test_a_charge_counts_by_agent_owner_tool_session_model_and_cost_center(cast: Cast) -> None:
    charge(cast.report_bot, 30, session="run-1", model="small", cost_center="research")
    charge(cast.report_bot, 20, session="run-2")
    charge(cast.support_bot, 5, tool="mail.send", session="run-1")
    assert both_ways(cast.acme, "agent") == {"report-bot": 50, "support-bot": 5}
    assert both_ways(cast.acme, "owner") == {"Olga Owner": 55}
    assert both_ways(cast.acme, "tool") == {"files.read": 50, "mail.send": 5}
    assert both_ways(cast.acme, "model") == {"small": 30, "no model named": 25}
    assert both_ways(cast.acme, "cost_center") == {"research": 30, "no cost center": 25}
    sessions = spending.lines(cast.acme, "session", Span(TODAY, TODAY), spending.tail(cast.acme))
    told = [(line.name, line.public, line.now.nanos // CENTS) for line in sessions]
    report, support = cast.report_bot.public_id, cast.support_bot.public_id
    assert told == [
        ("run-1", f"{report}|run-1", 30),
        ("run-2", f"{report}|run-2", 20),
        ("run-1", f"{support}|run-1", 5),
    ]


def test_nothing_of_another_workspace_counts(cast: Cast) -> None:
    charge(cast.globex_bot, 99)
    assert both_ways(cast.acme, "agent") == {}
    assert spending.figures(cast.acme, NOON).today == Sum()


def test_a_late_report_takes_the_place_of_what_was_counted(cast: Cast) -> None:
    late = charge(cast.report_bot, 30, model="large", charged_tokens=100)
    count_new()
    Hold.objects.filter(pk=late.pk).update(charged_nanos=4 * CENTS, charged_tokens=7, model="small")
    assert both_ways(cast.acme, "model") == {"small": 4}
    assert spending.figures(cast.acme, NOON).today == Sum(4 * CENTS, 7, 1, 0)
    assert sum(SpendDay.objects.filter(dimension="model").values_list("calls", flat=True)) == 1


def test_a_price_that_comes_later_counts_though_it_is_nothing(cast: Cast) -> None:
    unknown = charge(cast.report_bot, None)
    count_new()
    assert spending.figures(cast.acme, NOON).today == Sum(0, 0, 1, unpriced=1)
    Hold.objects.filter(pk=unknown.pk).update(charged_nanos=0)
    assert Hold.objects.filter(UNCOUNTED).exists()
    assert spending.figures(cast.acme, NOON).today == Sum(0, 0, 1, unpriced=0)
    count_new()
    assert spending.figures(cast.acme, NOON).today == Sum(0, 0, 1, unpriced=0)


def test_a_charge_that_is_in_flight_again_is_taken_away(cast: Cast) -> None:
    assumed = charge(cast.report_bot, 30)
    count_new()
    Hold.objects.filter(pk=assumed.pk).update(
        state="held", settled_at=None, charged_nanos=None, charged_tokens=None
    )
    assert both_ways(cast.acme, "agent") == {}
    assert spending.figures(cast.acme, NOON).today == Sum()
    Hold.objects.filter(pk=assumed.pk).update(
        state="settled", settled_at=NOON, charged_nanos=8 * CENTS, charged_tokens=0
    )
    assert both_ways(cast.acme, "agent") == {"report-bot": 8}


def test_counting_again_changes_nothing(cast: Cast) -> None:
    charge(cast.report_bot, 30)
    assert count_new() == 1
    before = list(SpendDay.objects.order_by("pk").values())
    assert count_new() == 0
    assert list(SpendDay.objects.order_by("pk").values()) == before


def test_a_day_is_one_of_the_workspaces_calendar(cast: Cast) -> None:
    """acme is in Berlin, an hour ahead of UTC in winter."""
    charge(cast.report_bot, 7, at=datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    assert both_ways(cast.acme, "agent") == {"report-bot": 7}
    assert (
        spending.figures(cast.acme, datetime(2026, 11, 23, 23, 30, tzinfo=UTC)).yesterday.nanos == 7 * CENTS
    )


def test_a_charge_stays_on_its_day_when_the_time_zone_changes(cast: Cast) -> None:
    row = charge(cast.report_bot, 7, at=datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    count_new()
    cast.acme.timezone = "UTC"
    Hold.objects.filter(pk=row.pk).update(charged_nanos=9 * CENTS)
    assert shown(cast.acme, "agent") == {"report-bot": 9}


def test_the_time_before_is_as_long(cast: Cast) -> None:
    for ago, cents in ((0, 1), (1, 2), (29, 4), (30, 8), (59, 16), (60, 32)):
        charge(cast.report_bot, cents, at=NOON - timedelta(days=ago))
    count_new()
    found = spending.figures(cast.acme, NOON)
    assert (found.today.nanos, found.yesterday.nanos) == (1 * CENTS, 2 * CENTS)
    assert (found.recent.nanos, found.recent_before.nanos) == (7 * CENTS, 24 * CENTS)
    assert [len(found.trend), found.trend[-1][0]] == [30, TODAY]
    (line,) = spending.lines(
        cast.acme, "agent", Span(TODAY - timedelta(days=1), TODAY), spending.tail(cast.acme)
    )
    assert (line.now.nanos, line.before.nanos) == (3 * CENTS, 0)


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2026, 11, 23), date(2026, 10, 1), date(2026, 10, 23)),
        (date(2026, 3, 31), date(2026, 2, 1), date(2026, 2, 28)),
        (date(2026, 1, 5), date(2025, 12, 1), date(2025, 12, 5)),
    ],
)
def test_the_month_before_ends_on_the_same_day(day: date, first: date, last: date) -> None:
    assert spending.month_before(Span(day.replace(day=1), day)) == Span(first, last)


def test_one_value_alone(cast: Cast) -> None:
    charge(cast.report_bot, 30)
    charge(cast.support_bot, 5)
    count_new()
    charge(cast.support_bot, 2)
    held(cast.support_bot, 11)
    held(cast.report_bot, 50)
    found = spending.figures(cast.acme, NOON, only=Only("agent", str(cast.support_bot.pk)))
    assert (found.today.nanos, found.held) == (7 * CENTS, (11 * CENTS, 0, 1))
    assert spending.figures(cast.acme, NOON).held == (61 * CENTS, 0, 2)


def test_of_very_many_uncounted_charges_the_newest_figures_say_that_they_lag(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "UNCOUNTED_READ", 2)
    for _ in range(3):
        charge(cast.report_bot, 1)
    assert spending.figures(cast.acme, NOON).partial
    count_new()
    assert not spending.figures(cast.acme, NOON).partial


def test_as_many_queries_for_many_lines_as_for_one(cast: Cast) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as captured:
            for dimension in spending.BY:
                spending.lines(cast.acme, dimension, Span(TODAY, TODAY), spending.tail(cast.acme))
        return len(captured)

    charge(cast.report_bot, 1, session="s")
    few = asked()
    for number in range(60):
        bot: Agent = cast.support_bot if number % 2 else cast.report_bot
        charge(bot, number, session=f"s{number}", tool=f"t{number}", model=f"m{number}")
    count_new()
    assert asked() <= few


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (1_234_500_000_000, "$1,234.50"),
        (4_200_000, "$0.0042"),
        (1, "$0.000000001"),
        (-25 * CENTS, "−$0.25"),
    ],
)
def test_amounts_for_people(nanos: int, text: str) -> None:
    assert spending.spoken(nanos) == text
