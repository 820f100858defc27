"""The engine on a Ray cluster: providers run on its nodes, cache and plan stay here."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from threading import Lock
from typing import Any

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.client.budget import Budget
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.retry import Patience
from pytest_ftgate.errors import FtgateError, ReplyError, Transient, Unavailable
from pytest_ftgate.providers.base import Open, Provider, open_provider
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Asker", "Handed", "Opened", "RayEngine", "handed"]

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


#: The package's providers that are worth another machine; the others only read files.
_REMOTE = ("anthropic", "bedrock", "llamacpp", "openai-compatible", "python")
#: With fewer calls than this there is no use for another worker.
_SHARD = 16
#: How often Ray sends a call again whose worker was lost before it answered.
_AGAIN = 3
#: Seconds in which a cluster must answer.
_KNOCK = 10.0
#: Seconds for which a lost worker is given no call that another one can take.
_LOST = 10.0
#: Seconds in which the cluster must have found room for the workers.
_ROOM = 600.0


def _kind(call: Call) -> tuple[object, ...]:
    """Return what decides whether an open provider serves *call*: all but what is asked."""
    return (call.model, call.function, call.adapter, tuple(sorted(call.runtime.items())))


def _bare(call: Call) -> Call:
    """Return *call* without what it asks, which may be long and opens no provider."""
    return replace(call, messages=(), passages=(), case=None)


class _Workers(Provider):
    """The workers that answer the calls of one lane, as one provider."""

    def __init__(self, calls: Sequence[Call], actors: Sequence[Any], opened: Opened) -> None:
        self.concurrency = opened.concurrency * len(actors)
        self._flying = dict.fromkeys(actors, 0)
        #: When each was last found lost, by the clock of the machine.
        self._lost: dict[Any, float] = {}
        kinds = zip(calls, opened.served, strict=True)
        self._served = {_kind(call) for call, served in kinds if served}

    def serves(self, call: Call) -> bool:
        """Tell whether the workers were opened for calls like this one."""
        return _kind(call) in self._served

    async def ask(self, call: Call) -> Reply:
        """Let the worker answer that has the least to do.

        Raises:
            Transient: the worker was lost.
            ReplyError: the call brought no reply.
        """
        from ray.exceptions import RayActorError

        actor = min(self._flying, key=self._burden)
        self._flying[actor] += 1
        try:
            answer: Reply | FtgateError = await actor.answer.remote(call)
        except RayActorError as error:
            # Until the cluster has noticed the loss, its own attempts all go to the same place.
            self._lost[actor] = time.monotonic()
            raise Transient("the cluster lost the worker that was asking") from error
        finally:
            self._flying[actor] -= 1
        if isinstance(answer, Reply):
            return answer
        raise answer

    def _burden(self, actor: Any) -> tuple[bool, int]:
        lost = self._lost.get(actor)
        return lost is not None and time.monotonic() - lost < _LOST, self._flying[actor]

    def end(self) -> None:
        """Let the workers wait for no further attempt."""
        for actor in self._flying:
            actor.end.remote()

    async def close(self) -> None:
        """Let the workers go."""
        import ray

        await asyncio.gather(
            *(actor.close.remote() for actor in self._flying), return_exceptions=True
        )
        for actor in self._flying:
            ray.kill(actor)


class _Cluster:
    """The Ray cluster that ``RAY_ADDRESS`` names, or one on this machine alone."""

    def __init__(self, environ: Mapping[str, str], others: Mapping[str, Open]) -> None:
        if find_spec("ray") is None:
            raise Unavailable('the engine ray needs Ray: pip install "pytest-ftgate[ray]"')
        self._environ, self._others = environ, others
        self._joining, self._joined = Lock(), False
        self._workers: list[_Workers] = []

    def open(self, calls: Sequence[Call], environ: Mapping[str, str]) -> Provider:
        """Open the provider that answers *calls* on as many nodes as they are worth.

        Raises:
            Unavailable: there is no cluster or no room, or the provider cannot be opened there.
        """
        import ray

        with self._joining:
            self._join()
        kinds = list({_kind(call): _bare(call) for call in calls}.values())
        opens = self._others.get(kinds[0].provider)
        packed = _packed(kinds[0].provider, opens) if opens else None
        given = Handed(handed(kinds, environ))
        remote: Any = ray.remote(max_restarts=-1, max_task_retries=_AGAIN)(Asker)
        actors = [
            remote.options(scheduling_strategy=place).remote(kinds, given, packed)
            for place in self._places(len(calls))
        ]
        workers = _Workers(kinds, actors, _opened(actors))
        self._workers.append(workers)
        return workers

    def _places(self, calls: int) -> list[Any]:
        """Return the nodes for the workers of so many calls; where one is lost, any other does."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [one for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU")]
        first = len(self._workers)
        return [
            NodeAffinitySchedulingStrategy(nodes[(first + n) % len(nodes)]["NodeID"], soft=True)
            for n in range(min(len(nodes), -(-calls // _SHARD)))
        ]

    def _join(self) -> None:
        import ray

        if ray.is_initialized():
            return
        # A cluster that is started here tells nobody of it, unless the user wants it to.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Without an address Ray would join whichever cluster was started here last.
        address = self._environ.get("RAY_ADDRESS") or "local"
        try:
            _reach(address)
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            raise Unavailable(f"no Ray cluster at {address}: {error}") from error
        self._joined = True

    def end(self) -> None:
        """Let no worker wait for a further attempt."""
        for workers in self._workers:
            workers.end()

    def leave(self) -> None:
        """Leave the cluster, if it was joined here."""
        if self._joined:
            import ray

            ray.shutdown()


def _reach(address: str) -> None:
    """Knock at *address*, where it is ``host:port``: Ray would knock for minutes.

    Raises:
        OSError: nobody is there.
    """
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK).close()


def _opened(actors: Sequence[Any]) -> Opened:
    """Wait until all *actors* have opened their provider."""
    import ray
    from ray.exceptions import GetTimeoutError, RayError

    try:
        answers = ray.get([actor.opened.remote() for actor in actors], timeout=_ROOM)
    except GetTimeoutError as error:
        told = f"the cluster had no room for {len(actors)} workers in {_ROOM / 60:.0f} minutes"
        raise Unavailable(told) from error
    except RayError as error:
        raise Unavailable(f"a worker of the cluster cannot start: {error}") from error
    for answer in answers:
        if isinstance(answer, FtgateError):
            raise answer
    found: Opened = answers[0]
    return found


def _packed(name: str, opens: Open) -> bytes:
    """Pickle a provider from elsewhere whole: its module may be a conftest.py that no node has."""
    from ray import cloudpickle

    module = sys.modules.get(getattr(opens, "__module__", ""))
    if module:
        cloudpickle.register_pickle_by_value(module)
    try:
        packed: bytes = cloudpickle.dumps(opens)
    except Exception as error:
        told = f"provider {name} cannot be sent to the cluster: {error}"
        raise Unavailable(told) from error
    finally:
        if module:
            cloudpickle.unregister_pickle_by_value(module)
    return packed


class RayEngine(Engine):
    """Asks calls from the nodes of a Ray cluster; all else is as with the engine of one machine.

    Args:
        ledger: where replies are looked for and kept.
        environ: where credentials, addresses and ``RAY_ADDRESS`` are read.
        replies: ``auto``, ``fresh`` or ``recorded``.
        concurrency: calls in flight at once for each model, on all nodes together.
        others: providers that do not come with the package, by name.
        budget: what may be spent, or None for all.

    Raises:
        Unavailable: Ray is not installed.
    """

    def __init__(
        self,
        ledger: Ledger,
        environ: Mapping[str, str],
        *,
        replies: str = "auto",
        concurrency: int | None = None,
        others: Mapping[str, Open] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._cluster = _Cluster(environ, others or {})
        away = dict.fromkeys((*_REMOTE, *(others or {})), self._cluster.open)
        super().__init__(
            ledger,
            environ,
            replies=replies,
            concurrency=concurrency,
            others=away,
            budget=budget,
        )

    def close(self) -> None:
        """Give up what was not sent, let what is in flight come home, and leave the cluster."""
        self._cluster.end()
        super().close()
        self._cluster.leave()
