"""The portal's API is asked everything that its document allows, and what it forbids, with each role's token.

No answer may be a server error, a status or a body that the document does not describe, or given to who is nobody.
The seed is kept: ``COUNTERSIGN_API_SEED`` and ``COUNTERSIGN_API_EXAMPLES`` make another or a longer run.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from audit.api.document import document
from billing import limits
from governance import campaigns, policies, replays
from tests import approving
from tests.api.caller import Caller
from tests.cast import ACTOR, Cast, employ
from workspaces import people
from workspaces.models import Membership

pytestmark = pytest.mark.django_db

SEED = int(os.environ.get("COUNTERSIGN_API_SEED", "20261123"))
EXAMPLES = int(os.environ.get("COUNTERSIGN_API_EXAMPLES", "2"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
SERVER = "http://testserver"
ROLES = [role.value for role in Membership.Role]


@pytest.fixture
def addresses(cast: Cast) -> dict[str, Any]:
    """What stands in the addresses of acme's rows, one of each kind."""
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    budget = limits.set_budget(cast.acme, window="day", limit_amount=10**9, actor=ACTOR).row
    rule = {"name": "No refunds", "tools": ["billing.refund"], "effect": "deny"}
    version = policies.replace(cast.acme, [rule], actor=ACTOR)
    return {
        "slug": "acme",
        "agent": cast.support_bot.public_id,
        "key": cast.support_bot.keys.get().public_id,
        "person": cast.rita.public_id,
        "permission": "use",
        "target": cast.tools["web.fetch"].public_id,
        "approval": approval.public_id,
        "budget": budget.public_id,
        "number": {"policies": version.number, "reviews": 1},
        "replay": replays.start(version, person=cast.rita).public_id,
        "review_id": campaigns.start(
            cast.acme, title="All", due=timezone.now() + timedelta(days=9), undecided="keep", person=cast.rita
        ).public_id,
        "uuid": str(cast.acme.log.uuid),
        "index": approval.entry_index,
        "name": {"reviewer-groups": "finance", "lists": "partners", "roles": "analyst"},
        "public_id": {
            "tools": cast.tools["files.read"].public_id,
            "resources": cast.resources["web"].public_id,
        },
    }


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """Requests leave the test's connection open, as those of Django's own test client do."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


def operations() -> Iterator[Any]:
    """The portal's operations, as schemathesis reads them from the document."""
    schema = schemathesis.openapi.from_dict(document())
    schema.app = get_wsgi_application()
    for result in schema.include(path_regex="^/api/v1/").get_all_operations():
        yield result.ok()  # type: ignore[union-attr]  # an error would be raised here


OPERATIONS = list(operations())


def aim(case: Case, addresses: dict[str, Any], parts: set[str]) -> None:
    """Put the ids of real rows into the address, for these of its parts."""
    for name in parts & set(case.path_parameters):
        known = addresses.get(name)
        if isinstance(known, dict):
            known = known[case.path.split("/")[5]]
        if known is not None:
            case.path_parameters[name] = known


def explore(operation: Any, addresses: dict[str, Any], headers: dict[str, str]) -> None:
    """Ask one operation some of all that could be asked; whatever an answer did is undone."""
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    cases = modes.flatmap(lambda mode: operation.as_strategy(generation_mode=mode))
    names = [parameter.name for parameter in operation.path_parameters]
    # Mostly rows that are there: everything else is 404.
    aimed = st.one_of(
        st.just(set(names)), st.just(set(names)), st.sets(st.sampled_from(names)) if names else st.just(set())
    )

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, parts=aimed)
    def ask(case: Case, parts: set[str]) -> None:
        aim(case, addresses, parts)
        with transaction.atomic():
            case.call_and_validate(base_url=SERVER, headers=headers, checks=CHECKS)
            transaction.set_rollback(True)

    ask()


@pytest.mark.parametrize("role", ROLES)
def test_no_role_finds_an_answer_that_is_not_described(
    cast: Cast, addresses: dict[str, Any], role: str
) -> None:
    person = employ(cast.acme, f"{role}@acme.test", role, role)
    people.set_operator(person, role == "operator", actor=ACTOR)
    caller = Caller(person)
    headers = {"authorization": f"Bearer {caller.text}"}
    found = []
    for operation in OPERATIONS:
        try:
            explore(operation, addresses | {"token": caller.token.public_id}, headers)
        except FailureGroup as group:
            found += [
                f"{operation.label}: {failure.title}. {failure.message}" for failure in group.exceptions
            ]
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer cst_" + "0" * 64}], ids=["nothing", "nonsense"]
)
def test_nobody_gets_an_answer(cast: Cast, addresses: dict[str, Any], headers: dict[str, str]) -> None:
    for operation in OPERATIONS:
        case = operation.Case(
            path_parameters={parameter.name: "x" for parameter in operation.path_parameters}
        )
        aim(case, addresses | {"token": "tok_x"}, set(case.path_parameters))
        response = case.call(base_url=SERVER, headers=headers)
        assert response.status_code == 401, operation.label
        case.validate_response(response, checks=CHECKS)
