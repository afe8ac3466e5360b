"""python -m fuzz [NAME…] [--seconds N]: fuzzes each target in a process of its own; exit code 1 for a find."""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

MISSING = "atheris is not installed, so nothing is fuzzed. For Linux: .venv/bin/pip install atheris\n"


def main() -> int:
    """Fuzz every named target, and go on after a find."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="Targets; all of them where none is named.")
    parser.add_argument("--seconds", type=int, default=60, help="For each target (60).")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write(MISSING)
        return 0
    if options.inside:
        fuzz(options.names[0], options.inside, options.seconds)
        return 0
    from fuzz.targets import TARGETS

    found = [name for name in options.names or TARGETS if is_defective(name, options.seconds)]
    sys.stdout.write(f"Defects in {', '.join(found)}.\n" if found else "No defect was found.\n")
    return 1 if found else 0


def is_defective(name: str, seconds: int) -> bool:
    """Whether fuzzing this target for so long finds anything; the bytes that did are left in the present folder."""
    from fuzz.targets import TARGETS

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[name].seeds):
            (Path(folder) / f"seed{number}").write_bytes(seed)
        command = [sys.executable, "-m", "fuzz", name, "--seconds", str(seconds), "--inside", folder]
        return subprocess.run(command, check=False).returncode != 0


def fuzz(name: str, folder: str, seconds: int) -> None:
    """Hand this process to libFuzzer, which ends it."""
    import atheris

    with atheris.instrument_imports(include=["audit"]):
        from fuzz.targets import TARGETS
    limits = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-timeout=10",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup(["fuzz", folder, *limits, f"-artifact_prefix={name}-"], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
