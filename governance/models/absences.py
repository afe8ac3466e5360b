"""When reviewers are away, and who answers in their place."""

from django.db import models
from django.db.models import F, Q

from workspaces.models import User, Workspace, id_field


class Absence(models.Model):
    """A time in which a person does not answer in a workspace. A deputy's own absence leads nowhere further."""

    public_id = id_field("abs")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="absences")
    person = models.ForeignKey(User, models.CASCADE, related_name="absences")
    deputy = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="+")
    starts = models.DateTimeField()
    ends = models.DateTimeField()
    note = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField()
    created_by = models.CharField(max_length=200, help_text="Actor who recorded it.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends__gt=F("starts")), name="absence_ends_after_its_start"),
            models.CheckConstraint(condition=~Q(deputy=F("person")), name="nobody_deputizes_for_themselves"),
        ]
        indexes = [models.Index(fields=["workspace", "ends"], name="absence_by_end")]

    def __str__(self) -> str:
        return f"{self.person} is away until {self.ends:%F %H:%M}"
