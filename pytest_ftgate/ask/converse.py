"""From a call to its whole reply: a model that uses tools is asked until it has answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.ask.uses import ran
from pytest_ftgate.plan.call import Call, Step
from pytest_ftgate.suite.model import digest

__all__ = ["Keep", "Send", "converse"]

#: What sends one request and brings its reply.
Send = Callable[[Call], Awaitable[Reply]]
#: What keeps the reply to one request.
Keep = Callable[[Call, Reply], None]


async def converse(call: Call, send: Send, keep: Keep) -> Reply:
    """Return the reply to *call*, with the passages that it was shown.

    Args:
        call: what is asked, with the tools that the model may call.
        send: brings the reply to one request, kept or new.
        keep: called once more with each reply whose tools have been run.
    """
    reply = await (_in_turns(call, send, keep) if call.tools else send(call))
    return replace(reply, passages=call.passages) if call.passages else reply


async def _in_turns(call: Call, send: Send, keep: Keep) -> Reply:
    """Ask, and run the tools that the model wants, until it answers or has had its turns."""
    replies: list[Reply] = []
    while True:
        turn = _turn(call)
        replies.append(await send(turn))
        wanted = replies[-1].steps if replies[-1].stop == "tool" else ()
        if not wanted or len(replies) == call.max_turns:
            return _whole(replies, call.steps, call.served_as or call.model)
        step = wanted[0]
        if not _has_run(step):
            step = await ran(step, call)
            # With its results, so that after a kill no tool that acts is run twice.
            keep(turn, replace(replies[-1], steps=(step,)))
        call = replace(call, steps=(*call.steps, step))


def _turn(call: Call) -> Call:
    """Return the next request as a call of its own: *call* names the whole conversation."""
    steps = [asdict(step) for step in call.steps]
    return replace(call, fingerprint=digest([call.fingerprint, "turn", steps]))


def _has_run(step: Step) -> bool:
    return all(use.result is not None for use in step.calls)


def _whole(replies: Sequence[Reply], steps: tuple[Step, ...], model: str) -> Reply:
    usage: Counter[str] = Counter()
    for reply in replies:
        usage.update(reply.usage)
    last = replies[-1]
    # Each turn must be by the model that is asked for, so a stranger among them is the one told.
    models = [reply.model for reply in replies if reply.model not in (None, model)]
    return replace(
        last,
        model=models[0] if models else last.model,
        unsent=tuple(sorted({name for reply in replies for name in reply.unsent})),
        steps=(*steps, *last.steps),
        usage=dict(usage),
        seconds=sum(reply.seconds for reply in replies),
    )
