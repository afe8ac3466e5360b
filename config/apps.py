"""The admin as this portal has it."""

from django.contrib.admin.apps import AdminConfig


class PortalConfig(AdminConfig):
    """Django's admin with our site as the one that everything is registered with."""

    default_site = "config.portal.Portal"
