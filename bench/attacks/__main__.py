"""``python -m bench.attacks [--entries N] [ATTACK …]``: carry out each attack on a copy of a real installation.

Printed is what finds it, and what that needs. Each is also looked at without that anchor, where it must go unnoticed:
one that changes nothing would be no anchor. Exit status 1 where something is not as promised."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.attacks import world
from bench.attacks.attacks import PLACE, STORIES

LEAST = 2 * PLACE


def main() -> int:
    """Exit status 0 when every look finds what it must, and nothing else."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="part of an attack's name")
    parser.add_argument(
        "--entries", type=int, default=world.ENTRIES, help=f"checks beforehand ({world.ENTRIES:,})"
    )
    options = parser.parse_args()
    if options.entries < LEAST:
        parser.error(f"The attacks are on entry {PLACE:,} and after it: give --entries {LEAST:,} at least.")
    chosen = [
        name for name in STORIES if not options.attacks or any(part in name for part in options.attacks)
    ]
    wrong = 0
    with TemporaryDirectory(prefix="countersign-attacks-") as folder:
        sys.stdout.write(f"An installation serves {options.entries:,} checks, is published and witnessed.\n")
        honest = world.build(Path(folder), options.entries)
        for name in chosen:
            sys.stdout.write(f"\n{name}\n")
            for look in STORIES[name](honest):
                wrong += not look.as_promised
                sys.stdout.write(
                    f"  {mark(look.as_promised, look.must_find)}  {look.anchor}\n{'':16}{look.verdict.line}\n"
                )
                sys.stdout.flush()
    sys.stdout.write(f"\n{len(chosen)} attacks, {wrong} looks not as promised.\n")
    return 1 if wrong else 0


def mark(promised: bool, must_find: bool) -> str:
    """What a look came to, in one word."""
    if not promised:
        return "NOT FOUND   " if must_find else "NOTICED     "
    return "found       " if must_find else "unnoticed   "


if __name__ == "__main__":
    sys.exit(main())
