"""From a call to its whole reply: a model that uses tools is asked until it has answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan.call import Call

__all__ = ["Send", "converse"]

#: What sends one request and brings its reply.
Send = Callable[[Call], Awaitable[Reply]]


async def converse(call: Call, send: Send) -> Reply:
    """Return the reply to *call*, with the passages that it was shown."""
    reply = await send(call)
    return replace(reply, passages=call.passages) if call.passages else reply
