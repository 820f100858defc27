"""What answers calls on a node of a cluster: one open provider, and patience with it."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_ftgate.ask.patience import Patience
from pytest_ftgate.ask.provider import Open, Provider, open_provider
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import FtgateError, ReplyError
from pytest_ftgate.plan.call import Call

__all__ = ["Asker", "Handed", "Opened", "handed"]

#: How the variables begin that the SDK of a provider reads by itself.
_READ = {
    "anthropic": ("ANTHROPIC_",),
    "bedrock": ("ANTHROPIC_", "AWS_"),
    "openai-compatible": ("OPENAI_",),
}


@dataclass(frozen=True, slots=True)
class Handed:
    """Variables with their values; they are never shown."""

    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """What an open provider can do: calls at once, and which of the kinds of calls it serves."""

    concurrency: int
    served: tuple[bool, ...]


def handed(calls: Iterable[Call], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of *environ* that *calls* name, or that their SDK reads by itself."""
    named = {call.api_key_env for call in calls}
    begins = tuple(begin for call in calls for begin in _READ.get(call.provider, ()))
    return {k: v for k, v in environ.items() if k in named or k.startswith(begins)}


class Asker:
    """A worker on a node: holds one open provider and asks with it.

    Args:
        calls: one of each kind that it must serve.
        environ: variables for the provider.
        opens: a provider from elsewhere, pickled, or None for one of the package's.
    """

    def __init__(self, calls: Sequence[Call], environ: Handed, opens: bytes | None) -> None:
        # SDKs read the environment of their process.
        os.environ.update(environ.values)
        self._calls, self._opens = calls, opens
        self._ending = asyncio.Event()
        self._patience = Patience(self._ending)
        self._opening: asyncio.Future[Provider] | None = None

    async def opened(self) -> Opened | FtgateError:
        """Open the provider, and tell what it can do, or why it cannot be opened."""
        try:
            provider = await self._provider()
        except Exception as error:  # noqa: BLE001 - what comes home is judged there
            return _told(error)
        return Opened(provider.concurrency, tuple(map(provider.serves, self._calls)))

    async def answer(self, call: Call) -> Reply | FtgateError:
        """Ask *call* until it is answered or has failed for good."""
        try:
            return await self._patience.answered(await self._provider(), call)
        except Exception as error:  # noqa: BLE001 - what comes home is judged there
            return _told(error)

    async def end(self) -> None:
        """Wait for no further attempt: the run has ended."""
        self._ending.set()

    async def close(self) -> None:
        """Let go of connections, threads and loaded models."""
        await (await self._provider()).close()

    def _provider(self) -> asyncio.Future[Provider]:
        # When it is first needed: a worker that Ray brings up again is told nothing but to answer.
        if self._opening is None:
            self._opening = asyncio.ensure_future(asyncio.to_thread(self._open))
        return self._opening

    def _open(self) -> Provider:
        others: dict[str, Open] = {}
        if self._opens is not None:
            # What the run itself has pickled.
            others = {self._calls[0].provider: pickle.loads(self._opens)}  # noqa: S301
        return open_provider(self._calls, os.environ, others)


def _told(error: Exception) -> FtgateError:
    """Return *error* as one that every process can read."""
    if isinstance(error, FtgateError):
        return error.with_traceback(None)
    return ReplyError(f"{type(error).__name__}: {error}")
