"""The gate and its agents, as an attacker finds them."""

from tests.gate.conftest import gate, policy, reporter, support

__all__ = ["gate", "policy", "reporter", "support"]
