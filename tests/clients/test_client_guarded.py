"""Guarded functions: what they ask, when they run, what they report."""

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest
from countersign import (
    Countersign,
    Decision,
    Misused,
    Unreachable,
    current_decision,
)

from tests.clients.faulty_server import (
    Gate,
    Request,
    Server,
    allow,
    asking,
    guarded_both_ways,
    response,
)


def test_arguments_are_the_bound_parameters_by_name(gate: Gate, client: Countersign) -> None:
    @client.guarded("read", session="run-42")
    def read(path: str, *more: str, limit: int = 10, **options: str) -> str:
        return path

    assert read("a", "b", mode="r") == "a"
    assert gate.requests[0].question["arguments"] == {"path": "a", "more": ["b"], "limit": 10, "mode": "r"}
    assert gate.requests[0].question["session"] == "run-42"


def test_arguments_may_be_named_as_the_tool_names_them(gate: Gate, client: Countersign) -> None:
    class Shelf:
        @client.guarded("read", arguments=lambda self, path, limit: {"file": path, "rows": limit})
        def read(self, path: str, limit: int = 10) -> str:
            return path

    assert Shelf().read("a") == "a"
    assert gate.requests[0].question["arguments"] == {"file": "a", "rows": 10}


def test_a_guarded_function_sees_the_decision_it_runs_under(client: Countersign) -> None:
    @client.guarded("read")
    def read() -> Decision:
        return current_decision()

    @client.guarded("read")
    async def read_async() -> Decision:
        await asyncio.sleep(0)
        return current_decision()

    assert read().resources == ["file:///reports/q3.csv"]
    assert asyncio.run(read_async()).resources == ["file:///reports/q3.csv"]
    with pytest.raises(Misused):
        current_decision()


def test_a_failure_is_reported_and_raised(gate: Gate, client: Countersign) -> None:
    @client.guarded("read")
    def read() -> None:
        raise FileNotFoundError("/secret/path")

    @client.guarded("read")
    async def read_async() -> None:
        raise asyncio.CancelledError

    with pytest.raises(FileNotFoundError):
        read()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(read_async())
    assert [report for _, report in gate.outcomes] == [
        {"status": "failed", "summary": "FileNotFoundError"},
        {"status": "failed", "summary": "CancelledError"},
    ]


def test_an_outcome_that_cannot_be_reported_does_not_hide_the_result() -> None:
    def check_only(request: Request, connection: socket.socket) -> None:
        number = len(server.requests)
        fine = request.path == "/v1/check"
        connection.sendall(response(allow(number)) if fine else response(b"", "500 Internal Server Error"))

    with Server(check_only) as server:
        client = asking(server)
        ran, calls = guarded_both_ways(client)
        assert [call() for call in calls] == ["A", "B"]
        with pytest.raises(ZeroDivisionError):
            client.guarded("read")(lambda: 1 / 0)()
    assert ran == ["a", "b"]
    assert [kept.status for kept in client.unreported] == ["succeeded", "succeeded", "failed"]
    assert all(isinstance(kept.error, Unreachable) for kept in client.unreported)


def test_a_generator_cannot_be_guarded(client: Countersign) -> None:
    def rows() -> Iterator[int]:
        yield 1

    with pytest.raises(Misused, match="generator"):
        client.guarded("read")(rows)


def test_what_a_call_is_expected_to_take_is_asked_and_what_it_took_is_reported(
    gate: Gate, client: Countersign
) -> None:
    @client.guarded(
        "read",
        arguments=lambda prompt, model: {"prompt": prompt},
        model=lambda prompt, model: model,
        estimated_usage=lambda prompt, model: {"input_tokens": len(prompt)},
        estimated_cost_usd="0.01",
        outcome=lambda answer: {"usage": {"input_tokens": 3, "output_tokens": len(answer)}, "result": "r"},
    )
    def ask(prompt: str, model: str = "gpt-4o") -> str:
        return prompt.upper()

    @client.guarded("read", model="gpt-4o", outcome=lambda answer: {"cost_usd": answer})
    async def ask_async() -> str:
        return "0.02"

    assert ask("ab", model="small") == "AB"
    assert asyncio.run(ask_async()) == "0.02"
    first, second = (each.question for each in gate.requests if each.path == "/v1/check")
    assert (first["model"], first["estimated_usage"], first["estimated_cost_usd"]) == (
        "small",
        {"input_tokens": 2},
        "0.01",
    )
    assert (second["model"], "estimated_usage" in second) == ("gpt-4o", False)
    assert [report for _, report in gate.outcomes] == [
        {"status": "succeeded", "usage": {"input_tokens": 3, "output_tokens": 2}, "result": "r"},
        {"status": "succeeded", "cost_usd": "0.02"},
    ]


@pytest.mark.parametrize("outcome", [lambda answer: answer.tokens, lambda answer: {"status": "failed"}])
def test_a_result_of_which_nothing_can_be_told_is_returned_and_reported_without(
    gate: Gate, client: Countersign, outcome: Callable[[str], dict[str, str]]
) -> None:
    assert client.guarded("read", outcome=outcome)(lambda: "done")() == "done"
    assert [report for _, report in gate.outcomes] == [{"status": "succeeded"}]
    assert [kept.status for kept in client.unreported] == ["succeeded"]
