"""An entry's page: what it says, what it changed, where it leads, and its proof."""

import base64
import json
from re import search
from typing import Any

import pytest
from django.urls import reverse

from audit import log, merkle, notes, publishing
from audit.merkle import verify_inclusion
from audit.models import Cosignature, Entry
from tests.audit.publishers import verifier
from tests.cast import Cast, declare
from tests.governance.test_decision_admin import decide
from tests.portal import body_of, enter, latest, page
from workspaces import catalog
from workspaces.declarations import Action, Risk
from workspaces.models import Tool


def shown(cast: Cast, entry: Entry) -> str:
    """The page of an entry, as the compliance officer sees it."""
    return page(enter(cast.rita), "audit_entry_change", entry.pk)


def tool(cast: Cast, name: str, risk: str) -> Tool:
    """A tool of acme's, made or changed."""
    declaration = declare(name, Action.READ, risk=Risk(risk))
    row: Tool = catalog.set_tool(cast.acme, declaration=declaration, actor="system").row
    return row


def proof(cast: Cast, entry: Entry, **query: Any) -> dict[str, Any]:
    """The entry's proof as JSON."""
    answer = enter(cast.rita).get(reverse("log_proof", args=["acme", entry.index]), query)
    assert answer.status_code == 200
    found: dict[str, Any] = json.loads(answer.content)
    return found


def test_a_change_is_told_row_by_row_with_what_was_before(cast: Cast) -> None:
    tool(cast, "partners", "low")
    before = latest(cast.acme)
    decide(cast.report_bot)
    tool(cast, "partners", "critical")
    text = shown(cast, latest(cast.acme))
    assert "tool partners" in text
    assert '<del class="log-before">low</del>' in text
    assert '<ins class="log-after">critical</ins>' in text
    assert reverse("log_entry", args=["acme", before.index]) in text
    assert "added" in shown(cast, before)
    named = search(r"row=([^\"&]+)\"", text)
    assert named
    history = enter(cast.rita).get(f"{reverse('admin:audit_entry_changelist')}?workspace=acme&row={named[1]}")
    assert history.content.decode().count("data-result") == 2


def test_a_removed_row_shows_what_it_was(cast: Cast) -> None:
    catalog.remove_tool(tool(cast, "partners", "low"), actor="system")
    text = shown(cast, latest(cast.acme))
    assert "removed" in text
    assert '<del class="log-before">low</del>' in text


def test_what_only_a_commitment_tells_is_not_made_up(cast: Cast) -> None:
    for member in ("one.example", "two.example"):
        catalog.set_list(cast.acme, name="partners", members=[member], actor="system")
    text = shown(cast, latest(cast.acme))
    assert "No column that the entry tells in clear is another than before." in text
    assert "Personal columns (members) are only committed to." in text
    assert "two.example" not in text


def test_a_decision_is_told_in_tables_and_leads_on(cast: Cast) -> None:
    entry = decide(cast.report_bot)
    decide(cast.report_bot, kind="allowed")
    text = shown(cast, entry)
    assert "report-bot was denied files.read." in text
    assert "Calls before in the session" in text
    assert reverse("admin:governance_decisionrecord_change", args=[entry.pk]) in text
    call = search(r'href="([^"]*call=dec_1[^"]*)"', text)
    assert call
    assert enter(cast.rita).get(call[1].replace("&amp;", "&")).content.decode().count("data-result") == 2
    following = Entry.objects.get(log_id=cast.acme.log_id, index=entry.index + 1)
    assert reverse("admin:audit_entry_change", args=[following.pk]) in text


def test_personal_values_are_shown_on_asking_and_that_is_recorded(cast: Cast) -> None:
    entry = decide(cast.report_bot)
    size = latest(cast.acme).index
    assert "I must" not in shown(cast, entry)
    assert latest(cast.acme).index == size
    address = reverse("log_content", args=["acme", entry.index])
    client = enter(cast.rita)
    assert client.get(address).status_code == 405
    told = client.post(address).content.decode()
    assert "I must" in told
    assert "⟨U+202E⟩" in told
    assert body_of(latest(cast.acme))["data"]["entry"] == entry.index


def test_an_entry_that_nothing_was_signed_over_says_so(cast: Cast) -> None:
    entry = latest(cast.acme)
    assert "No checkpoint covers this entry yet." in shown(cast, entry)
    assert enter(cast.rita).get(reverse("log_proof", args=["acme", entry.index])).status_code == 404
    assert enter(cast.rita).get(reverse("log_proof", args=["acme", 10**9])).status_code == 404


def test_the_proof_leads_from_the_body_to_the_signed_root(cast: Cast) -> None:
    checkpoint = publishing.publish(cast.acme.log)
    assert checkpoint
    Cosignature.objects.create(
        checkpoint=checkpoint,
        witness="witness.example",
        line="— witness.example abcd\n",
        time=checkpoint.time,
    )
    for index in range(0, checkpoint.size, 5):
        found = proof(cast, Entry.objects.get(log_id=cast.acme.log_id, index=index))
        path = [base64.b64decode(each) for each in found["path"]]
        leaf = merkle.leaf_hash(base64.b64decode(found["body"]))
        verify_inclusion(leaf, index, found["size"], path, bytes(checkpoint.root))
        assert found["checkpoint"] == checkpoint.note + "— witness.example abcd\n"
    key = notes.Verifier.parse(found["key"])
    assert key == verifier(cast.acme.log.origin)
    assert notes.Note.parse(checkpoint.note).signed_by(key) == 0


def test_the_proof_tells_that_the_log_only_grew(cast: Cast) -> None:
    first = publishing.publish(cast.acme.log)
    assert first
    entry = decide(cast.report_bot)
    second = publishing.publish(cast.acme.log)
    assert second
    found = proof(cast, entry, first=first.size)
    hashes = [base64.b64decode(each) for each in found["consistency"]]
    merkle.verify_consistency(first.size, second.size, bytes(first.root), bytes(second.root), hashes)
    assert "consistency" not in proof(cast, entry, first=10**6)


def test_a_tlog_proof_is_as_c2sp_says(cast: Cast) -> None:
    checkpoint = publishing.publish(cast.acme.log)
    assert checkpoint
    answer = enter(cast.rita).get(reverse("log_tlog_proof", args=["acme", 2]))
    assert answer["Content-Disposition"] == 'attachment; filename="acme-2.tlog-proof"'
    header, blank, note = answer.content.decode().partition("\n\n")
    version, index, *hashes = header.split("\n")
    assert (version, index, note) == ("c2sp.org/tlog-proof@v1", "index 2", checkpoint.note)
    assert blank
    assert all(len(base64.b64decode(each)) == 32 for each in hashes)


def test_an_address_with_its_index_leads_to_the_entry(cast: Cast) -> None:
    entry = latest(cast.acme)
    answer = enter(cast.rita).get(reverse("log_entry", args=["acme", entry.index]))
    assert answer["Location"] == reverse("admin:audit_entry_change", args=[entry.pk])
    assert enter(cast.sam).get(reverse("log_entry", args=["acme", entry.index])).status_code == 404
    assert enter(cast.otto).get(reverse("log_entry", args=["acme", entry.index])).status_code == 403


@pytest.mark.parametrize("count", [1, 30])
def test_many_changed_rows_are_found_with_few_questions(
    cast: Cast, count: int, django_assert_max_num_queries: Any
) -> None:
    rows = [tool(cast, f"tool-{number}", "low") for number in range(count)]
    with log.write(cast.acme.log_id) as entries:
        for row in rows:
            row.risk = "high"
            row.save()
        entries.record("workspaces.tool.changed", actor="system", saved=rows)
    client = enter(cast.rita)
    address = reverse("admin:audit_entry_change", args=[latest(cast.acme).pk])
    client.get(address)
    with django_assert_max_num_queries(40):
        assert client.get(address).content.decode().count("log-before") == count
