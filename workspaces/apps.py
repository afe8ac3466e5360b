"""The workspaces app: who there is, and what they were given."""

from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"

    def ready(self) -> None:
        from workspaces import kinds

        kinds.register()
