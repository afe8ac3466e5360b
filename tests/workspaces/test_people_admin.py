"""The pages of people and reviewer groups."""

from tests.cast import Cast
from tests.portal import enter, latest, page, press
from workspaces import people
from workspaces.models import Membership, ReviewerGroup, User


def roles(person: User) -> set[str]:
    return set(Membership.objects.filter(person=person).values_list("role", flat=True))


def test_an_owner_brings_in_somebody_new(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"workspace": cast.acme.pk, "email": "New@acme.test", "name": "New Here"}
    press(client, "workspaces_user_add", **fields, roles=["operator", "auditor"])
    person = User.objects.get(email="new@acme.test")
    assert roles(person) == {"operator", "auditor"}
    assert not person.has_usable_password()
    assert not person.is_superuser


def test_somebody_known_elsewhere_keeps_their_name_and_their_roles_there_stay_unseen(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"workspace": cast.acme.pk, "email": "gina@globex.test", "name": "Renamed"}
    press(client, "workspaces_user_add", **fields, roles=["auditor"])
    shown = page(client, "workspaces_user_change", cast.gina.pk)
    assert "Gina Globex" in shown
    assert "Renamed" not in shown
    assert "globex-bot" not in shown
    assert "Roles in Globex" not in shown
    listed = page(client, "workspaces_user_changelist", q="gina")
    assert "Auditor" in listed
    assert "Owner, " not in listed


def test_roles_are_taken_and_the_last_one_lets_the_person_go(cast: Cast) -> None:
    client = enter(cast.olga)
    press(client, "workspaces_user_roles", cast.rita.pk, workspace="acme", roles=["approver"])
    assert roles(cast.rita) == {"approver"}
    assert latest(cast.acme).type == "workspaces.member.changed"
    press(client, "workspaces_user_roles", cast.otto.pk, workspace="acme")
    assert roles(cast.otto) == set()


def test_nobody_takes_the_owners_role_from_themselves(cast: Cast) -> None:
    told = press(enter(cast.olga), "workspaces_user_roles", cast.olga.pk, workspace="acme", roles=["auditor"])
    assert "ask another owner" in told
    assert roles(cast.olga) == {"owner"}


def test_roles_in_a_workspace_of_others_are_out_of_reach(cast: Cast) -> None:
    people.set_roles(cast.acme, cast.gina, roles=["auditor"], actor="system")
    answer = enter(cast.olga).post(
        f"/admin/workspaces/user/{cast.gina.pk}/roles/", {"workspace": "globex", "roles": ["auditor"]}
    )
    assert answer.status_code == 403
    assert roles(cast.gina) == {"owner", "auditor"}


def test_a_reviewer_group_seats_members_only(cast: Cast) -> None:
    client = enter(cast.olga)
    press(client, "workspaces_reviewergroup_add", workspace=cast.acme.pk, name="legal")
    group = ReviewerGroup.objects.get(name="legal")
    press(client, "workspaces_reviewergroup_change", group.pk, people=[cast.rita.pk])
    assert [seat.person for seat in group.members.all()] == [cast.rita]
    told = press(client, "workspaces_reviewergroup_change", group.pk, people=[cast.gina.pk])
    assert "Select a valid choice" in told
