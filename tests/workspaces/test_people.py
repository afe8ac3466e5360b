"""People, their roles, reviewer groups and one-time sign-in links."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from audit import log
from audit.models import Detail, Entry
from tests.cast import ACTOR, Cast
from tests.details import opened
from tests.portal import enter
from tests.workspaces.journal import Journal, entries
from workspaces import access, people, tenancy
from workspaces.changes import Change, OtherWorkspace
from workspaces.models import (
    Installation,
    ReviewerGroupMember,
    SigninLink,
    User,
    Workspace,
    WorkspacePermission,
)

pytestmark = pytest.mark.django_db


def installation_journal() -> Journal:
    return Journal(log.installation_log_id())


def held(person: User, workspace: Workspace) -> set[str]:
    rows = WorkspacePermission.objects.filter(user=person, content_object=workspace)
    return set(rows.values_list("permission__codename", flat=True))


# The installation and its workspaces


def test_the_installation_is_set_up_once(db: None) -> None:
    journal = installation_journal()
    assert tenancy.install(actor=ACTOR) == tenancy.install(actor=ACTOR)
    assert (Installation.objects.count(), journal.types()) == (1, ["workspaces.installation.created"])


def test_a_workspace_begins_its_own_log_and_stands_in_the_installations(db: None) -> None:
    journal = installation_journal()
    acme = tenancy.create_workspace("acme", name="Acme", timezone="Europe/Berlin", actor="cli:root@host")
    (first,) = entries(acme.log_id)
    assert (first["type"], first["index"], first["actor"]) == (
        "workspaces.workspace.created",
        0,
        "cli:root@host",
    )
    (body,) = journal.new()
    assert body["data"] == {"workspace": acme.public_id, "log": str(acme.log.uuid)}


@pytest.mark.parametrize("wrong", [{"timezone": "Europe/Atlantis"}, {"timezone": "../etc"}, {"slug": "a b"}])
def test_a_workspace_that_cannot_stand_leaves_nothing(db: None, wrong: dict[str, Any]) -> None:
    journal = installation_journal()
    with pytest.raises(ValidationError):
        tenancy.create_workspace(**{"slug": "acme", **wrong}, actor=ACTOR)
    assert (Workspace.objects.count(), journal.new()) == (0, [])


def test_a_slug_is_taken_once(cast: Cast) -> None:
    with pytest.raises(ValidationError):
        tenancy.create_workspace("acme", actor=ACTOR)


def test_settings_that_are_the_same_write_nothing(acme: Workspace) -> None:
    journal = Journal(acme.log_id)
    assert tenancy.change_workspace(acme, name="Acme Support", actor=ACTOR).unchanged
    assert tenancy.change_workspace(acme, two_people=True, actor=ACTOR).change is Change.CHANGED
    assert journal.types() == ["workspaces.workspace.changed"]


def test_a_change_starts_from_the_row_as_it_is_now(acme: Workspace) -> None:
    stale = Workspace.objects.get(pk=acme.pk)
    tenancy.change_workspace(acme, two_people=True, actor=ACTOR)
    tenancy.change_workspace(stale, name="New name", actor=ACTOR)
    row = Workspace.objects.get(pk=acme.pk)
    assert (row.name, row.two_people) == ("New name", True)


# People


def test_a_person_is_created_without_a_password_and_known_by_address_once(db: None) -> None:
    journal = installation_journal()
    first = people.create_person("Ada@Acme.test", name="Ada", actor=ACTOR)
    again = people.create_person("ada@acme.test", name="Somebody else", actor=ACTOR)
    assert (first.change, again.change) == (Change.CREATED, Change.UNCHANGED)
    assert first.row == again.row
    assert again.row.name == "Ada"
    assert not first.row.has_usable_password()
    assert journal.types() == ["workspaces.person.created"]


def test_neither_address_nor_name_stand_in_an_entry(cast: Cast) -> None:
    people.rename(cast.otto, name="Otto Outspoken", actor=people.actor_of(cast.olga))
    bodies = b"\n".join(bytes(body) for body in Entry.objects.values_list("body", flat=True)).decode().lower()
    for word in ("otto@", "acme.test", "oncall", "outspoken", "partner.test", "customers.test"):
        assert word not in bodies
    logs = Detail.objects.values_list("log_id", flat=True).distinct()
    details = b"".join(content for log_id in logs for content in opened(log_id)).decode()
    assert "Otto Outspoken" in details


def test_what_is_no_address_is_no_person(db: None) -> None:
    with pytest.raises(ValidationError):
        people.create_person("not an address", actor=ACTOR)
    assert not User.objects.exists()


def test_roles_bring_their_permissions_in_one_entry(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    assert people.set_roles(cast.acme, cast.sam, roles={"auditor", "approver"}, actor=ACTOR) is Change.CREATED
    assert held(cast.sam, cast.acme) == {"view_workspace", "decide", "view_log", "export_log"}
    (body,) = journal.new()
    assert body["data"]["person"] == cast.sam.public_id
    assert body["data"]["roles"] == ["approver", "auditor"]
    kinds = [row["kind"] for row in body["data"]["rows"]]
    assert kinds.count("workspaces.membership") == 2
    assert kinds.count("workspaces.workspacepermission") == 4


def test_roles_are_authoritative_and_the_same_ones_write_nothing(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    assert people.set_roles(cast.acme, cast.rita, roles=["approver"], actor=ACTOR) is Change.CHANGED
    assert people.set_roles(cast.acme, cast.rita, roles=["approver"], actor=ACTOR) is Change.UNCHANGED
    assert held(cast.rita, cast.acme) == {"view_workspace", "decide"}
    (body,) = journal.new()
    assert {row["state"] for row in body["data"]["rows"]} == {None}


def test_without_a_role_one_is_a_stranger_and_no_reviewer(cast: Cast) -> None:
    assert people.set_roles(cast.acme, cast.rita, roles=[], actor=ACTOR) is Change.CHANGED
    assert held(cast.rita, cast.acme) == set()
    assert not ReviewerGroupMember.objects.filter(person=cast.rita).exists()


def test_a_reviewer_group_holds_members_only(cast: Cast) -> None:
    with pytest.raises(OtherWorkspace, match=cast.gina.public_id):
        people.set_reviewer_group(cast.acme, name="legal", people=[cast.rita, cast.gina], actor=ACTOR)
    journal = Journal(cast.acme.log_id)
    assert people.set_reviewer_group(
        cast.acme, name="finance", people=[cast.olga, cast.rita], actor=ACTOR
    ).unchanged
    people.set_reviewer_group(cast.acme, name="finance", people=[cast.otto], actor=ACTOR)
    seats = ReviewerGroupMember.objects.filter(reviewer_group__name="finance")
    assert [seat.person for seat in seats] == [cast.otto]
    assert journal.types() == ["workspaces.reviewers.changed"]


def test_a_removed_reviewer_group_takes_its_seats_into_the_entry(cast: Cast) -> None:
    group = cast.acme.reviewer_groups.get(name="finance")
    journal = Journal(cast.acme.log_id)
    people.remove_reviewer_group(group, actor=ACTOR)
    (body,) = journal.new()
    assert [row["kind"] for row in body["data"]["rows"]] == [
        "workspaces.reviewergroupmember",
        "workspaces.reviewergroupmember",
        "workspaces.reviewergroup",
    ]


def test_deactivation_stands_in_every_log_it_matters_to_and_can_be_undone(cast: Cast) -> None:
    people.set_roles(cast.globex, cast.rita, roles=["auditor"], actor=ACTOR)
    journals = [installation_journal(), Journal(cast.acme.log_id), Journal(cast.globex.log_id)]
    people.deactivate(cast.rita, actor=ACTOR)
    assert people.deactivate(cast.rita, actor=ACTOR).unchanged
    assert [journal.types() for journal in journals] == [
        ["workspaces.person.changed"],
        ["workspaces.member.changed"],
        ["workspaces.member.changed"],
    ]
    assert all(journal.bumped() for journal in journals)
    people.reactivate(cast.rita, actor=ACTOR)
    assert access.may(User.objects.get(pk=cast.rita.pk), "decide", cast.acme)


def test_deactivation_ends_sessions_and_links_and_coming_back_does_not_bring_them_back(cast: Cast) -> None:
    browser, token = enter(cast.rita), people.signin_link(cast.rita, actor=ACTOR)
    assert browser.get("/admin/").status_code == 200
    people.deactivate(cast.rita, actor=ACTOR)
    assert browser.get("/admin/").status_code == 302
    people.reactivate(cast.rita, actor=ACTOR)
    assert browser.get("/admin/").status_code == 302
    with pytest.raises(people.LinkRefused):
        people.redeem_signin_link(token)
    assert enter(User.objects.get(pk=cast.rita.pk)).get("/admin/").status_code == 200


def test_a_new_signing_key_keeps_sessions_only_while_the_old_one_is_named(cast: Cast, settings: Any) -> None:
    kept, late, old = enter(cast.olga), enter(cast.olga), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [old]
    assert kept.get("/admin/").status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert late.get("/admin/").status_code == 302


def test_a_password_is_set_and_committed_to_but_not_told(cast: Cast) -> None:
    journal = installation_journal()
    people.set_password(cast.olga, password="a long enough one", actor=people.actor_of(cast.olga))
    cast.olga.refresh_from_db()
    assert cast.olga.check_password("a long enough one")
    (body,) = journal.new()
    assert f"workspaces.user:{cast.olga.pk}:password" in body["detail"]
    assert "pbkdf2" not in json.dumps(body)


# Sign-in links


def test_a_link_signs_in_once(cast: Cast) -> None:
    token = people.signin_link(cast.olga, actor="cli:root@host")
    assert people.redeem_signin_link(token) == cast.olga
    with pytest.raises(people.LinkRefused):
        people.redeem_signin_link(token)


def test_a_link_ends(cast: Cast) -> None:
    token = people.signin_link(cast.olga, actor=ACTOR, expires_in=timedelta(0))
    with pytest.raises(people.LinkRefused):
        people.redeem_signin_link(token)


def test_a_link_is_no_use_to_who_was_deactivated(cast: Cast) -> None:
    token = people.signin_link(cast.olga, actor=ACTOR)
    people.deactivate(cast.olga, actor=ACTOR)
    with pytest.raises(people.LinkRefused):
        people.redeem_signin_link(token)


def test_a_link_is_kept_as_a_hash_and_its_making_is_an_entry(cast: Cast) -> None:
    journal = installation_journal()
    token = people.signin_link(cast.olga, actor=ACTOR)
    assert len(token) >= 128 / 6
    assert token not in {
        bytes(digest).decode("latin-1") for digest in SigninLink.objects.values_list("digest", flat=True)
    }
    assert journal.types() == ["workspaces.link.created"]
    assert token not in json.dumps(journal.new())


def test_an_unknown_link_is_refused(db: None) -> None:
    with pytest.raises(people.LinkRefused):
        people.redeem_signin_link("guess")
