"""What may stop the asking before everything is asked."""

from __future__ import annotations

from typing import Protocol

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan.call import Call

__all__ = ["Budget"]


class Budget(Protocol):
    """Bounds what a run may take; the engine's loop alone calls it."""

    def check(self) -> str | None:
        """Return why nothing more may be sent, or None where it may."""

    def count(self, call: Call, reply: Reply) -> None:
        """Take note of what a request brought."""
