"""What asking would take, told before anything is asked."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from pytest_ftgate.plan.call import Call

__all__ = ["Estimate", "estimate", "tokens_in"]

#: A token is about so many characters of English.
_CHARACTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one variant would ask.

    Attributes:
        calls: distinct calls that no variant before it needs.
        kept: how many of them the ledger can answer.
        tokens: about how many tokens the others read and write; 0 where no model is asked.
    """

    variant: str
    calls: int
    kept: int
    tokens: int


def tokens_in(text: str) -> int:
    """Return about how many tokens *text* has."""
    return len(text) // _CHARACTERS


def estimate(variant: str, calls: Sequence[Call], kept: Container[str]) -> Estimate:
    """Estimate what asking *calls* takes, less those whose fingerprints are *kept*."""
    to_ask = [call for call in calls if call.fingerprint not in kept]
    by_model = [call for call in to_ask if call.case is None]
    read = sum(len(text) for call in by_model for _, text in call.messages) // _CHARACTERS
    tokens = read + sum(call.max_tokens for call in by_model)
    return Estimate(variant=variant, calls=len(calls), kept=len(calls) - len(to_ask), tokens=tokens)
