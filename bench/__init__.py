"""Measures decisions a second and their latency, with a baseline beside each figure."""
