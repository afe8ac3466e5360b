"""``python -m demo``: the demonstration. ``python -m demo --serve``: the portal kept open."""

import argparse
import io
import os
import signal
import sys
from pathlib import Path

from demo import portal, stage
from demo.processes import ROOT


def main() -> int:
    """The exit code: 0 when everything went as it must."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--fault", choices=stage.FAULTS, help="plant this fault; the demonstration must fail")
    parser.add_argument(
        "--serve", action="store_true", help="keep a portal with the demonstration's workspace open"
    )
    parser.add_argument("--data", type=Path, default=ROOT / "var", help="the portal's folder (var)")
    parser.add_argument("--port", type=int, default=portal.PORT, help=f"the portal's port ({portal.PORT})")
    parser.add_argument("--new-key", action="store_true", help="make a new key for the agent, and print it")
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 still shows the table
    if options.serve and "DATABASE_URL" in os.environ:
        parser.error(
            "This portal keeps its data in SQLite. Unset DATABASE_URL, or start what Procfile names."
        )
    # A shell starts what runs in its background with Ctrl-C ignored, and so would everything started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if options.serve:
            return portal.run(options.data.resolve(), options.port, new_key=options.new_key)
        return stage.run(options.fault)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    except BrokenPipeError:  # whoever read the table has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
