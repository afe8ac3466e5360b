"""The gate app: the agents' front door."""

from django.apps import AppConfig


class GateConfig(AppConfig):
    name = "gate"
