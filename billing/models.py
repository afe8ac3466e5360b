"""Budgets, what is held and spent against them, what each call was charged, and prices. Money is nano-US-dollars."""

from django.db import models
from django.db.models import F, Q

from workspaces.models import Agent, User, Workspace, id_field


class Budget(models.Model):
    """A limit on what calls cost in a window of the workspace's calendar. Amounts are in its unit."""

    class Window(models.TextChoices):
        DAY = "day", "Day"
        WEEK = "week", "Week"
        MONTH = "month", "Month"
        EVER = "ever", "For ever"

    class Scope(models.TextChoices):
        WORKSPACE = "workspace", "The whole workspace"
        AGENT = "agent", "One agent"
        SESSION = "session", "Each session"

    class Unit(models.TextChoices):
        USD = "usd", "US dollars"
        TOKENS = "tokens", "Tokens"

    class WhenShort(models.TextChoices):
        WAIT = "wait", "Wait while only calls in flight are in the way"
        DENY = "deny", "Deny"
        DOWNGRADE = "downgrade", "Offer a cheaper model"
        ASK = "ask", "Ask an owner to raise it once"

    public_id = id_field("bud")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="budgets")
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.WORKSPACE)
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="budgets")
    window = models.CharField(max_length=5, choices=Window, default=Window.MONTH)
    tool = models.CharField(max_length=200, blank=True, help_text="Only calls of this tool count.")
    model = models.CharField(max_length=200, blank=True, help_text="Only calls of this model count.")
    unit = models.CharField(max_length=6, choices=Unit, default=Unit.USD)
    limit_amount = models.BigIntegerField(help_text="Nano-US-dollars, or tokens.")
    hard = models.BooleanField(default=True, help_text="No call takes it over its limit; else it only warns.")
    when_short = models.CharField(max_length=10, choices=WhenShort, default=WhenShort.WAIT)
    downgrade_to = models.CharField(
        max_length=200, blank=True, help_text="The cheaper model that is offered."
    )
    warn_at = models.JSONField(default=list, blank=True, help_text="Shares of the limit, in percent.")
    generation = models.PositiveIntegerField(
        default=0, editable=False, help_text="Raised by each reset; accounts of earlier ones count no more."
    )

    class Meta:
        constraints = [
            # Two, because SQLite cannot count nulls as equal.
            models.UniqueConstraint(
                fields=["workspace", "scope", "window", "tool", "model", "unit"],
                condition=Q(agent__isnull=True),
                name="one_budget_per_window",
            ),
            models.UniqueConstraint(
                fields=["workspace", "agent", "scope", "window", "tool", "model", "unit"],
                condition=Q(agent__isnull=False),
                name="one_budget_per_agent_and_window",
            ),
            models.CheckConstraint(condition=Q(limit_amount__gte=0), name="limit_not_negative"),
            models.CheckConstraint(
                condition=Q(scope="agent", agent__isnull=False) | ~Q(scope="agent"),
                name="agent_budget_has_agent",
            ),
        ]

    def __str__(self) -> str:
        of = "".join(f" of {name}" for name in (self.tool, self.model) if name)
        tokens = " in tokens" if self.unit == self.Unit.TOKENS else ""
        window = "for ever" if self.window == self.Window.EVER else f"per {self.window}"
        return f"{self.get_scope_display()} {window}{of}{tokens}"


class Account(models.Model):
    """What was held and spent in one window of one budget (and, for a session budget, one session), in the
    budget's unit."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="accounts")
    key = models.CharField(
        max_length=300, help_text="Start of the window; the session where one is meant; the reset, if any."
    )
    limit_amount = models.BigIntegerField(help_text="The budget's limit, and what this window was raised by.")
    raised = models.BigIntegerField(default=0, help_text="What approvals raised this window by.")
    spent = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    overage = models.BigIntegerField(default=0, help_text="Spent beyond the limit by settlement.")
    warned = models.PositiveSmallIntegerField(default=0, help_text="The highest share warned of, in percent.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "key"], name="one_account_per_window"),
            models.CheckConstraint(
                condition=Q(spent__gte=0, held__gte=0, overage__gte=0, raised__gte=0),
                name="amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(limit_amount__gte=F("spent") + F("held") - F("overage")),
                name="admission_never_over_limit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.budget_id} {self.key}"


# Charges of which the sums of days know nothing yet, or something else, whoever changed them. It has no values that a
# statement would have to name, so that both databases see that the index serves the query.
UNCOUNTED = Q(settled_at__isnull=True, counted_day__isnull=False) | Q(settled_at__isnull=False) & (
    Q(counted_day__isnull=True)
    | Q(charged_nanos__lt=F("counted_nanos"))
    | Q(charged_nanos__gt=F("counted_nanos"))
    | Q(charged_nanos__isnull=True, counted_nanos__isnull=False)
    | Q(charged_nanos__isnull=False, counted_nanos__isnull=True)
    | Q(charged_tokens__lt=F("counted_tokens"))
    | Q(charged_tokens__gt=F("counted_tokens"))
    | Q(charged_tokens__isnull=True, counted_tokens__isnull=False)
    | Q(charged_tokens__isnull=False, counted_tokens__isnull=True)
    | ~Q(model=F("counted_model"))
)


class Hold(models.Model):
    """Money and tokens reserved for one allowed call over every account it counts against, and then what it was
    charged. A charge keeps to whom it belongs and the price that it rests on."""

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"
        ASSUMED = "assumed", "charged in full because no outcome came"
        RELEASED = "released", "the call provably never started"

    class Basis(models.TextChoices):
        NONE = "", "Nothing was said"
        DECLARED = "declared", "What the tool declares"
        ESTIMATED = "estimated", "What the agent estimated"
        PRICED = "priced", "Tokens at the model's price"
        CEILING = "ceiling", "The ceiling price, since the price is not known"
        REPORTED = "reported", "What the agent reported"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="holds", db_index=False)
    decision = models.CharField(max_length=40, unique=True)
    accounts = models.JSONField(help_text="Primary keys of the accounts.")
    tool = models.CharField(max_length=200, blank=True)
    session = models.CharField(max_length=200, blank=True)
    model = models.CharField(max_length=200, blank=True, help_text="As the agent named it.")
    owner = models.ForeignKey(
        User, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    cost_center = models.CharField(max_length=100, blank=True)
    held_nanos = models.BigIntegerField()
    charged_nanos = models.BigIntegerField(null=True, blank=True)
    held_tokens = models.BigIntegerField(default=0)
    charged_tokens = models.BigIntegerField(null=True, blank=True)
    basis = models.CharField(max_length=10, choices=Basis, blank=True, default=Basis.NONE)
    price = models.CharField(
        max_length=80,
        blank=True,
        help_text="The price that the charge rests on: its public id, or the list's version.",
    )
    usage = models.JSONField(null=True, blank=True, help_text="Tokens by kind, as reported or estimated.")
    state = models.CharField(max_length=8, choices=State, default=State.HELD)
    created = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    # What the sums of days have of it; the worker writes these, and nobody else.
    counted_day = models.DateField(null=True, blank=True, editable=False)
    counted_nanos = models.BigIntegerField(null=True, blank=True, editable=False)
    counted_tokens = models.BigIntegerField(null=True, blank=True, editable=False)
    counted_model = models.CharField(max_length=200, blank=True, db_default="", editable=False)

    class Meta:
        verbose_name = "charge"
        indexes = [
            models.Index(fields=["workspace", "created"], name="charge_by_time"),
            models.Index(fields=["agent", "created"], name="charge_by_agent"),
            models.Index(fields=["workspace"], condition=Q(state="held"), name="hold_in_flight"),
            models.Index(fields=["workspace"], condition=UNCOUNTED, name="charge_uncounted"),
        ]

    def __str__(self) -> str:
        return f"{self.decision}: {self.state}"


class SpendDay(models.Model):
    """What was charged for the calls that were allowed on one day of the workspace's calendar, by one value of one
    dimension; by nothing, it is the day's sum. Written by the worker out of charges, and no evidence."""

    class Dimension(models.TextChoices):
        ALL = "", "Everything"
        AGENT = "agent", "Agent"
        OWNER = "owner", "Owner"
        TOOL = "tool", "Tool"
        SESSION = "session", "Session"
        MODEL = "model", "Model"
        COST_CENTER = "cost_center", "Cost center"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)
    dimension = models.CharField(max_length=11, choices=Dimension, blank=True)
    day = models.DateField()
    value = models.CharField(
        max_length=230,
        blank=True,
        help_text="The key of an agent or owner; agent|session; else the name. Empty is none.",
    )
    nanos = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    calls = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0, help_text="Calls whose price is not known.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "dimension", "day", "value"], name="one_sum_per_day_and_value"
            )
        ]
        indexes = [models.Index(fields=["workspace", "dimension", "value", "day"], name="sum_by_value")]

    def __str__(self) -> str:
        return f"{self.day} {self.dimension} {self.value}"


class Price(models.Model):
    """What a workspace pays for a model from a day on, in nano-US-dollars; it comes before the public price list.
    The model ``*`` is the ceiling price of whatever has no other. Never changed: of one day the row that came last
    counts, and one without any amount gives the model back to the public list."""

    public_id = id_field("prc")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="prices")
    model = models.CharField(
        max_length=200, help_text="As agents name it, or * for whatever has no other price."
    )
    starts = models.DateField(help_text="The first day, in the workspace's time zone.")
    input_nanos = models.BigIntegerField(null=True, blank=True, help_text="A million tokens read.")
    output_nanos = models.BigIntegerField(null=True, blank=True, help_text="A million tokens written.")
    cache_read_nanos = models.BigIntegerField(
        null=True, blank=True, help_text="A million tokens read from the cache; empty is as read."
    )
    cache_write_nanos = models.BigIntegerField(
        null=True, blank=True, help_text="A million tokens written to the cache; empty is as read."
    )
    call_nanos = models.BigIntegerField(null=True, blank=True, help_text="A call, besides its tokens.")
    note = models.CharField(max_length=200, blank=True, help_text="Where it stands, such as the contract.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["workspace", "model", "starts"], name="price_by_day")]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    *(
                        Q(**{f"{name}_nanos__gte": 0}) | Q(**{f"{name}_nanos__isnull": True})
                        for name in ("input", "output", "cache_read", "cache_write", "call")
                    )
                ),
                name="price_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.starts}"


class Repricing(models.Model):
    """Charges of some days that are priced anew after a price was corrected. The worker does it slice by slice."""

    class Status(models.TextChoices):
        RUNNING = "running", "Under way"
        DONE = "done", "Done"

    public_id = id_field("rep")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="repricings")
    first_day = models.DateField()
    last_day = models.DateField()
    status = models.CharField(max_length=7, choices=Status, default=Status.RUNNING)
    position = models.BigIntegerField(default=0, help_text="The last charge that was looked at.")
    charges = models.PositiveIntegerField(default=0, help_text="Charges that changed.")
    before_nanos = models.BigIntegerField(default=0)
    after_nanos = models.BigIntegerField(default=0)
    created = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(status="running"), name="one_repricing_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.first_day} to {self.last_day}: {self.status}"


class BillCheck(models.Model):
    """A provider's bill beside what was charged for the same days and models. Of the file only sums are kept."""

    public_id = id_field("bil")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="bill_checks")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file.")
    zone = models.CharField(max_length=60, help_text="The time zone of the bill's days.")
    columns = models.JSONField(help_text="Which column was read as what.")
    first_day = models.DateField()
    last_day = models.DateField()
    billed_nanos = models.BigIntegerField()
    charged_nanos = models.BigIntegerField()
    lines = models.JSONField(help_text="A line a day and model: billed, charged.")
    created = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["workspace", "created"], name="bill_check_by_time")]

    def __str__(self) -> str:
        return f"{self.first_day} to {self.last_day}"
