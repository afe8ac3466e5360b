"""The workspaces app: who there is, and what they were given."""

from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "workspaces"

    def ready(self) -> None:
        from audit import owed, rewrapping
        from workspaces import callbacks, emergencies, factors, kinds, mail

        kinds.register()
        rewrapping.secrets.append(callbacks.SECRETS)
        owed.performer(emergencies.MAIL)(mail.mail_owner)
        owed.performer(factors.MAIL)(mail.mail_of_factors)
