"""Fuzzing of what reads bytes from outside, with atheris (libFuzzer): `make fuzz`."""
