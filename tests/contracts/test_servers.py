"""The servers that tests ask for are real, and a missing one cannot pass unnoticed."""

import smtplib
from email.message import EmailMessage
from pathlib import Path

import psycopg
import pytest

from tests.servers import PostgresServer, SmtpSink

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ["pytester"]

SUITE = """
import pytest
from tests.servers import executable

@pytest.mark.service
def test_with_a_service():
    executable("no-such-program-at-all")

def test_without_a_service():
    pytest.skip("for a reason of its own")

@pytest.mark.service
@pytest.mark.xfail
def test_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize(("required", "failed", "skipped"), [("1", 1, 1), ("", 0, 2)])
def test_a_skipped_service_test_fails_where_services_are_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: str, failed: int, skipped: int
) -> None:
    monkeypatch.setenv("COUNTERSIGN_REQUIRE_SERVICES", required)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    markers = [f"{name}: a service" for name in ("service", "postgres", "browser")]
    pytester.makeini("[pytest]\nmarkers =\n    " + "\n    ".join(markers))
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-p", "no:django", "-p", "tests.servers")
    result.assert_outcomes(failed=failed, skipped=skipped, xfailed=1)


def test_postgres_is_durable_and_survives_a_crash(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("contract")
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    postgres_server.stop("immediate")
    postgres_server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT seven FROM kept").fetchone() == (7,)
    postgres_server.drop_database("contract")


def test_the_mail_sink_keeps_what_it_is_sent(smtp_sink: SmtpSink) -> None:
    message = EmailMessage()
    message["Subject"] = "A refund waits for you"
    message.set_content("Open the link.")
    with smtplib.SMTP(smtp_sink.host, smtp_sink.port) as client:
        client.send_message(message, from_addr="portal@acme.test", to_addrs=["rita@acme.test"])
    [kept] = smtp_sink.sent_to("rita@acme.test")
    assert kept["Subject"] == "A refund waits for you"
    assert kept.get_content().strip() == "Open the link."
    assert smtp_sink.sent_to("olga@acme.test") == []
