#!/usr/bin/env python
"""Run Countersign's management commands."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except RuntimeError as error:
        from audit.watermarks import Stopped

        if isinstance(error, Stopped):  # what has to be done is in the sentence, not in a traceback
            sys.exit(f"Nothing was done. {error} See docs/operations.md, “What to do when”.")
        raise
