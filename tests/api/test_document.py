"""One OpenAPI document for portal and gate, current and with examples that fit; and views that say what they ask."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
from django.test import Client
from django.urls import URLPattern

from audit.api.document import document
from audit.api.views import OPERATOR, SIGNED_IN, PortalView
from config import urls_api
from config.openapi_examples import EXAMPLES
from tests.api.caller import Caller
from tests.cast import Cast
from tests.portal import enter
from workspaces.access import PERMISSIONS

COMMITTED = json.loads((Path(__file__).resolve().parents[2] / "docs/openapi.json").read_text())
GATE = json.loads((Path(__file__).resolve().parents[2] / "gate/openapi.json").read_text())
CODENAMES = frozenset().union(*PERMISSIONS.values()) | {SIGNED_IN, OPERATOR}


def views() -> Iterator[tuple[str, type[PortalView]]]:
    """(address, view) of the whole API, but for the page to browse it."""
    for pattern in urls_api.urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name != "api-docs":
            yield str(pattern.pattern), pattern.callback.view_class  # type: ignore[attr-defined]


def test_the_committed_document_is_current() -> None:
    assert json.loads(json.dumps(document())) == COMMITTED, "make openapi writes it anew"


def test_portal_and_gate_are_both_in_it() -> None:
    assert GATE["paths"].keys() <= COMMITTED["paths"].keys()
    portal = {path for path in COMMITTED["paths"] if path.startswith("/api/v1/")}
    described = [address for address, view in views() if getattr(view, "schema", None) is not None]
    assert len(portal) == len(described) > 40
    ids = [operation["operationId"] for path in COMMITTED["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_fit(name: str) -> None:
    components = {"components": COMMITTED["components"]}
    jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", **components}, validate_formats=True
    ).validate(EXAMPLES[name])


def test_every_body_has_an_example() -> None:
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path, operations in COMMITTED["paths"].items()
        for operation in operations.values()
        if path.startswith("/api/v1/") and "requestBody" in operation
    }
    assert bodies == EXAMPLES.keys()


@pytest.mark.parametrize(
    ("address", "view"), list(views()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_view_says_what_it_asks(address: str, view: type[PortalView]) -> None:
    asked = vars(view).get("permission")
    assert isinstance(asked, dict), f"{view.__name__} has no permission of its own"
    assert set(asked.values()) <= CODENAMES
    if address:  # the last one refuses everything
        assert asked.keys() == {name.upper() for name in view.http_method_names if hasattr(view, name)} - {
            "HEAD"
        }


@pytest.mark.django_db
def test_the_document_is_served_and_browsed_without_anything_from_elsewhere(cast: Cast) -> None:
    served = Caller(cast.sam).get("openapi.json")
    assert served == COMMITTED
    page = enter(cast.sam).get("/api/v1/docs/")
    assert page.status_code == 200
    text = page.content.decode() + enter(cast.sam).get("/api/v1/docs/?script=").content.decode()
    assert "/static/drf_spectacular_sidecar/" in text
    assert "cdn" not in text
    for address in ("/api/v1/docs/", "/api/v1/openapi.json"):
        assert Client().get(address).status_code in (302, 401)
