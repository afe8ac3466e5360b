"""The workspaces app: who there is, and what they were given."""

from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"

    def ready(self) -> None:
        from audit import owed
        from workspaces import emergencies, kinds, mail

        kinds.register()
        owed.performer(emergencies.MAIL)(mail.mail_owner)
