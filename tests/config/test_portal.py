"""Signing in, changing a password and searching, on the admin's own pages."""

import re

from django.test import Client
from django.urls import reverse

from audit import log
from audit.models import Entry
from tests import approving
from tests.cast import Cast
from tests.portal import body_of, enter, page
from workspaces import people
from workspaces.models import User

PASSWORD = "correct horse battery staple"


def newest() -> Entry:
    return Entry.objects.filter(log_id=log.installation_log_id()).latest("index")


def test_signing_in_by_a_password_is_an_entry(cast: Cast) -> None:
    people.set_password(cast.olga, password=PASSWORD, actor="system")
    client, address = Client(), reverse("admin:login")
    assert client.post(address, {"username": "olga@acme.test", "password": "wrong"}).status_code == 200
    assert newest().type == "workspaces.person.refused"
    assert client.post(address, {"username": "olga@acme.test", "password": PASSWORD}).status_code == 302
    entry = newest()
    assert (entry.type, entry.actor) == ("workspaces.person.signed_in", f"person:{cast.olga.public_id}")
    assert body_of(entry)["data"]["known_by"] == "password"


def test_a_password_is_changed_through_people_and_the_session_stays(cast: Cast) -> None:
    people.set_password(cast.olga, password=PASSWORD, actor="system")
    client = enter(cast.olga)
    fields = {"old_password": PASSWORD, "new_password1": PASSWORD[::-1], "new_password2": PASSWORD[::-1]}
    assert client.post(reverse("admin:password_change"), fields).status_code == 302
    entry = newest()
    assert (entry.type, entry.actor) == ("workspaces.person.changed", f"person:{cast.olga.public_id}")
    cast.olga.refresh_from_db()
    assert cast.olga.check_password(PASSWORD[::-1])
    page(client, "index")


def test_who_came_by_a_link_sets_a_first_password_without_an_old_one(cast: Cast) -> None:
    assert not cast.olga.has_usable_password()
    client = enter(cast.olga)
    assert "Set a password" in page(client, "index")
    assert "old_password" not in page(client, "password_change")
    fields = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    assert client.post(reverse("admin:password_change"), fields).status_code == 302
    assert newest().type == "workspaces.person.changed"
    cast.olga.refresh_from_db()
    assert cast.olga.check_password(PASSWORD)
    assert "Change password" in page(client, "index")


def test_who_forgot_the_password_sets_another_by_a_link_once(cast: Cast) -> None:
    people.set_password(cast.olga, password=PASSWORD, actor="system")
    client = Client()
    client.post(reverse("sign_in", args=[people.signin_link(cast.olga, actor="system")]))
    fields = {"new_password1": PASSWORD[::-1], "new_password2": PASSWORD[::-1]}
    assert client.post(reverse("admin:password_change"), fields).status_code == 302
    cast.olga.refresh_from_db()
    assert cast.olga.check_password(PASSWORD[::-1])
    assert "old_password" in page(client, "password_change")


def test_who_has_a_password_changes_it_with_the_old_one_only(cast: Cast) -> None:
    people.set_password(cast.olga, password=PASSWORD, actor="system")
    client = enter(cast.olga)
    assert "old_password" in page(client, "password_change")
    fields = {"new_password1": PASSWORD[::-1], "new_password2": PASSWORD[::-1]}
    assert client.post(reverse("admin:password_change"), fields).status_code == 200
    cast.olga.refresh_from_db()
    assert cast.olga.check_password(PASSWORD)


def test_a_search_finds_pages_and_rows_and_forgets_them(cast: Cast) -> None:
    client = enter(cast.otto)
    address = reverse("admin:search")
    assert "report-bot" in client.get(address, {"s": "report-"}).content.decode()
    assert "Agents" in client.get(address, {"s": "agent", "extended": "1"}).content.decode()
    people.set_roles(cast.acme, cast.otto, roles=[], actor="system")
    assert "report-bot" not in client.get(address, {"s": "report-"}).content.decode()
    assert client.get(address, {"s": "  "}).content == b""


def test_the_sign_in_page_tells_the_way_in_without_a_password(cast: Cast) -> None:
    assert "manage.py signin_link" in Client().get(reverse("admin:login")).content.decode()


def test_nobody_gets_anywhere_without_signing_in(cast: Cast) -> None:
    for name in ("index", "workspaces_agent_changelist", "search"):
        answer = Client().get(reverse(f"admin:{name}"))
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("admin:login"))


def test_the_desk_of_somebody_without_a_workspace_says_what_to_do(cast: Cast) -> None:
    shown = page(enter(cast.sam), "index")
    assert "You are in no workspace yet" in shown
    assert "Acme" not in shown


def search(person: User, term: str) -> str:
    answer = enter(person).get(reverse("admin:search"), {"s": term, "extended": "1"})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_public_id_finds_its_page_and_ends_at_the_wall(cast: Cast) -> None:
    approval = approving.ask(cast.report_bot, [approving.requirement(cast.rita)])
    entry = Entry.objects.get(log_id=cast.acme.log_id, index=approval.entry_index)
    pages = {
        cast.report_bot.public_id: ("workspaces_agent_change", cast.report_bot.pk),
        approval.public_id: ("governance_approval_change", approval.pk),
        approval.decision: ("governance_decisionrecord_change", entry.pk),
        cast.tools["mail.send"].public_id: ("workspaces_tool_change", cast.tools["mail.send"].pk),
        cast.resources["web"].public_id: ("workspaces_resource_change", cast.resources["web"].pk),
        cast.rita.public_id: ("workspaces_user_change", cast.rita.pk),
        f"#{entry.index}": ("governance_decisionrecord_change", entry.pk),
    }
    for term, (name, key) in pages.items():
        address = f'href="{reverse(f"admin:{name}", args=[key])}"'
        assert address in search(cast.otto, term), term
        assert address not in search(cast.gina, term), term


def test_a_denied_decision_is_found_by_the_id_in_its_entry(cast: Cast) -> None:
    with log.write(cast.acme.log_id) as entries:
        entries.append(
            "governance.check.denied",
            actor="agent:x",
            agent=cast.report_bot.public_id,
            tool="files.read",
            data={"decision": "dec_denied4711"},
        )
    found = search(cast.otto, "dec_denied4711")
    assert "denied: files.read" in found
    assert "files.read" not in search(cast.gina, "dec_denied4711")
    assert "files.read" not in search(cast.otto, "dec_denied4712")


def test_an_index_finds_an_entry_only_for_those_who_may_read_it(cast: Cast) -> None:
    assert "#0 workspaces.workspace.created" in search(cast.olga, "0")
    assert "workspaces.workspace.created" not in search(cast.otto, "0")


def test_a_list_is_named_after_what_it_lists(cast: Cast) -> None:
    assert re.search(r"<title>\s*Agents\b", page(enter(cast.olga), "workspaces_agent_changelist"))
