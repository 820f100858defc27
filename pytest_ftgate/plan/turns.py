"""One turn of a conversation: what was said so far, put to a variant as its own call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.plan.maker import Maker
from pytest_ftgate.suite.model import Case, Turn

__all__ = ["turn"]

#: Providers that have one reply to each case, whatever is said to them.
_DEAF = ("classical", "recorded")


def turn(
    make: Maker, case: Case, opening: str | None, later: Sequence[Turn], repeat: int = 0
) -> Ask:
    """Return the ask that goes on with a conversation.

    The first turn stands under the variant's prompt as a case does, so a conversation that opens
    with the case shares its call.

    Args:
        make: makes the calls of the variant.
        case: what the conversation is about.
        opening: the user's first words, or None where the case itself opens it.
        later: the turns since, a reply first and the user's words last; empty for the first turn.
        repeat: which of several conversations this is, from 0.

    Raises:
        Unavailable: the variant can only answer the case.
    """
    provider = make.variant.provider
    if provider in _DEAF and (later or opening is not None):
        raise Unavailable(f"provider {provider} has one reply to each case, so it cannot converse")
    first = case if opening is None else replace(case, input=opening, messages=())
    messages = (*make.prompted(first), *later)
    if later:
        said = first.messages or (("user", first.input),)
        first = replace(first, input="", messages=(*said, *later))
    return Ask(case, repeat, make.call(first, messages, repeat))
