"""Where two people must agree: which changes of a tool give its agents more room."""

from workspaces.declarations import Risk, ToolDeclaration

RISKS = tuple(Risk)
# Rules and grants read these in either direction, so that any change of them may open something.
DECIDING = ("action", "labels", "schema", "templates", "default_scheme")


def loosened(before: ToolDeclaration, after: ToolDeclaration) -> list[str]:
    """The fields of a tool's new declaration that a second person must agree to; empty where it only
    tightens."""
    fields = [field for field in DECIDING if getattr(before, field) != getattr(after, field)]
    if RISKS.index(after.risk) < RISKS.index(before.risk):
        fields.append("risk")
    if after.reversible and not before.reversible:
        fields.append("reversible")
    if not set(before.sensitive) <= set(after.sensitive):
        fields.append("sensitive")
    if after.trust_reports and not before.trust_reports:
        fields.append("trust_reports")
    if before.metered and not after.metered:
        fields.append("metered")
    if (after.cost_nanos or 0) < (before.cost_nanos or 0):
        fields.append("cost_usd")
    return ["resource" if field == "templates" else field for field in fields]
