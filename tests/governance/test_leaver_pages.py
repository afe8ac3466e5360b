"""The pages on which somebody leaves: what they show before, and who may open them."""

import pytest
from django.urls import reverse

from governance import leavers
from governance.models import Approval
from tests import approving
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter, page
from workspaces import agents, people
from workspaces.models import Membership, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(cast: Cast) -> User:
    person = people.create_person("root@acme.test", name="Root", actor=ACTOR).row
    return people.set_operator(person, True, actor=ACTOR).row


def test_an_owner_sees_what_leaving_does_and_does_it(cast: Cast) -> None:
    employ(cast.acme, "ines@acme.test", "Ines", "owner", "approver")
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    client, address = enter(cast.olga), reverse("access_leave", args=["acme", cast.rita.public_id])
    shown = client.get(address).content.decode()
    assert "falls to owners" in shown
    assert "finance" in shown
    assert client.post(address, {"reason": " "}).status_code == 400
    assert Membership.objects.filter(person=cast.rita).exists()
    assert client.post(address, {"reason": "moved"}, follow=True).status_code == 200
    assert not Membership.objects.filter(person=cast.rita).exists()
    assert Approval.objects.get(pk=approval.pk).status == Approval.Status.PENDING
    assert client.get(address).status_code == 404


def test_only_owners_let_people_leave_their_workspace_and_not_themselves(cast: Cast) -> None:
    address = reverse("access_leave", args=["acme", cast.rita.public_id])
    for person, status in ((cast.otto, 403), (cast.gina, 404), (cast.sam, 404)):
        assert enter(person).post(address, {"reason": "x"}).status_code == status
    own = reverse("access_leave", args=["acme", cast.olga.public_id])
    shown = enter(cast.olga).post(own, {"reason": "x"}, follow=True).content.decode()
    assert "ask another owner" in shown
    assert Membership.objects.filter(person=cast.olga).exists()


def test_an_operator_lets_somebody_leave_for_good_and_back_in(cast: Cast, root: User) -> None:
    client, address = enter(root), reverse("leaver")
    shown = client.get(address, {"email": "Olga@acme.test"}).content.decode()
    assert "no\n            active owner" in shown
    assert "report-bot" not in shown
    assert "Nobody here has this address" in client.get(address, {"email": "x@y.test"}).content.decode()
    assert client.post(address, {"email": "olga@acme.test", "reason": ""}).status_code == 400
    client.post(address, {"email": "olga@acme.test", "reason": "left"})
    assert not User.objects.get(pk=cast.olga.pk).is_active
    assert "has left" in client.get(address, {"email": "olga@acme.test"}).content.decode()
    client.post(address, {"email": "olga@acme.test", "return": "1"})
    assert User.objects.get(pk=cast.olga.pk).is_active
    assert client.post(address, {"email": "root@acme.test", "reason": "me"}).status_code == 400
    assert User.objects.get(pk=root.pk).is_active


def test_nobody_but_operators_finds_the_installations_page(cast: Cast) -> None:
    for person in (cast.olga, cast.sam):
        assert enter(person).get(reverse("leaver")).status_code == 404
        assert enter(person).post(reverse("leaver"), {"email": "rita@acme.test"}).status_code == 404


def test_agents_without_an_owner_stand_on_the_desk_and_in_the_list(cast: Cast) -> None:
    ines = employ(cast.acme, "ines@acme.test", "Ines", "owner")
    client = enter(ines)
    assert "Agents without an owner" not in client.get("/admin/").content.decode()
    leavers.leave(cast.olga, reason="left", actor=ACTOR)
    shown = client.get("/admin/").content.decode()
    assert "Agents without an owner" in shown
    assert "report-bot" in shown
    listed = page(client, "workspaces_agent_changelist", owner_left="yes")
    assert "report-bot" in listed
    agents.change_agent(cast.report_bot, owner=ines, actor=ACTOR)
    assert "report-bot" not in page(client, "workspaces_agent_changelist", owner_left="yes")
