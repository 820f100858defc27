"""What a run may spend: asked before each request, and told of each reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan.call import Call

__all__ = ["Budget"]


class Budget(Protocol):
    """What a run may spend. All methods run in the loop of the engine, so they must be quick."""

    def check(self) -> str | None:
        """Return why nothing more may be sent, or None while there is something left."""

    def affords(self, calls: Sequence[Call]) -> int:
        """Return how many of *calls*, sent together in their order, may be sent."""

    def count(self, call: Call, reply: Reply) -> None:
        """Take in what one request has cost.

        Args:
            call: the request; of a model that uses tools, one for each turn.
            reply: what it brought, with the tokens that it used.
        """
