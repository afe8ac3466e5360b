"""Telling whoever watches that a log grew, and nothing else: watchers read the database."""

from functools import partial

from django.db import transaction

from audit.live import watches

__all__ = ["announce", "publish"]


def announce(log_id: int) -> None:
    """After the commit, wake this process's watchers of a log."""
    transaction.on_commit(partial(publish, log_id))


def publish(log_id: int) -> None:
    """Wake the watchers of a log in this process, from any thread. Other processes see by themselves.

    Never raises, and costs a dictionary lookup where nobody watches: every committed batch comes here.
    """
    if log_id in watches.watched:
        watches.wake(log_id)
