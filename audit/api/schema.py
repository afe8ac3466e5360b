"""How the generator of the API's document reads our views."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework.mixins import CreateModelMixin


class PortalSchema(AutoSchema):
    """What the views say of themselves, in the generator's terms."""

    view: Any

    def get_tags(self) -> list[str]:
        """The kind of thing that an address is about: agents, policies, …"""
        steps = [step for step in self.path.removeprefix("/api/v1/").split("/") if not step.startswith("{")]
        return [steps[1] if steps[0] == "workspaces" and len(steps) > 1 else steps[0]]

    def get_summary(self) -> str:
        """The first sentence of the description."""
        return str(self.get_description()).split(".")[0].replace("\n", " ")

    def get_override_parameters(self) -> list[Any]:
        """What a GET takes in its address, where the view says so in one document."""
        asked = getattr(self.view, "query_class", None)
        return [asked] if asked is not None and self.method == "GET" else []

    def _get_filter_parameters(self) -> list[dict[str, Any]]:
        """A view outside of a request has no rows to tell its filters' table by."""
        if getattr(self.view, "filterset_class", None) is None:
            return []
        self.view.queryset = self.view.filterset_class._meta.model._default_manager.none()
        parameters: list[dict[str, Any]] = super()._get_filter_parameters()
        return parameters

    def _is_create_operation(self) -> bool:
        """A POST to a list makes a row."""
        return self.method == "POST" and isinstance(self.view, CreateModelMixin)
