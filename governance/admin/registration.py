"""The set-up assistant where somebody else approves a new agent: with questions about its risk, and no key yet."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from governance import registrations, risk_answers
from governance.admin.setup import REFUSED, SetupForm, SetupPages
from governance.models import Proposal
from governance.proposals import NobodyElse
from governance.starters import Starter
from workspaces.access.admin import sentences
from workspaces.models import User, Workspace

REFUSALS: tuple[type[Exception], ...] = (*REFUSED, NobodyElse)


class RegistrationForm(SetupForm):
    """A new agent with answers about its risk; its tier follows from them."""

    def __init__(self, data: Any, *, workspace: Workspace, starter: Starter, person: User) -> None:
        super().__init__(data, workspace=workspace, starter=starter, person=person)
        self.fields["risk_tier"].required = False
        for question in risk_answers.QUESTIONS:
            self.fields[f"risk-{question.key}"] = forms.ChoiceField(
                label=question.text,
                help_text=question.help,
                choices=[("", "Choose one"), *((key, words) for key, words, _ in question.answers)],
            )

    @property
    def questions(self) -> list[forms.BoundField]:
        """The fields of the questions."""
        return [self[f"risk-{question.key}"] for question in risk_answers.QUESTIONS]

    def register(self) -> Proposal | None:
        """Propose the agent; None, with errors at their fields, where something is refused."""
        if not self.is_valid() or (plan := self.plan()) is None:
            return None
        answers = {
            question.key: self.cleaned_data[f"risk-{question.key}"] for question in risk_answers.QUESTIONS
        }
        try:
            return registrations.register(plan, answers=answers, person=self.person, starter=self.starter.key)
        except REFUSALS as refusal:
            for field, sentence in sentences(refusal):
                self.add_error(field if field in self.fields else None, sentence)
            return None


class RegistrationPages(SetupPages):
    """The page ``setup/``, which proposes the agent where two people guard the workspace, or where it is asked to."""

    def form_of(
        self, request: HttpRequest, workspace: Workspace, *, starter: Starter, person: User
    ) -> SetupForm:
        if workspace.two_people or request.GET.get("propose"):
            return RegistrationForm(request.POST or None, workspace=workspace, starter=starter, person=person)
        return super().form_of(request, workspace, starter=starter, person=person)

    def carry_out(self, request: HttpRequest, form: SetupForm) -> HttpResponse | None:
        if not isinstance(form, RegistrationForm):
            return super().carry_out(request, form)
        if (proposal := form.register()) is None:
            return None
        return HttpResponseRedirect(reverse("proposal", args=[form.workspace.slug, proposal.public_id]))
