"""The engine on a Ray cluster: providers run on its nodes, the cache and the plan stay here."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from threading import Lock
from typing import Any

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.errors import ConfigurationError, FtgateError, RetryableError
from pytest_ftgate.providers.base import Provider, ProviderFactory, generate_reply, open_provider
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.providers import PROVIDERS, provider_spec


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """Variables with their values, which no repr shows."""

    values: Mapping[str, str] = field(repr=False)


#: The abilities of a worker's provider: the number of requests in flight, and for each kind of
#: request, whether the provider serves it.
WorkerInfo = tuple[int, tuple[bool, ...]]


def provider_environment(requests: Iterable[Request], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of *environ* that *requests* name, or that their SDK reads by itself."""
    key_names = {name for request in requests for name in request.key_names}
    prefixes = tuple(
        prefix for request in requests for prefix in provider_spec(request.provider).sdk_variables
    )
    return {
        name: value
        for name, value in environ.items()
        if name in key_names or name.startswith(prefixes)
    }


class RayWorker:
    """A worker on a node: it holds one open provider and sends requests through it.

    *requests* has one request of each kind that the worker must serve. *pickled_factory* is that of
    a plugin's provider.
    """

    def __init__(
        self, requests: Sequence[Request], environ: WorkerEnvironment, pickled_factory: bytes | None
    ) -> None:
        # SDKs read the environment of their process.
        os.environ.update(environ.values)
        self._requests, self._pickled_factory = requests, pickled_factory
        self._ending = asyncio.Event()
        self._retry_policy = RetryPolicy(self._ending)
        self._opening: asyncio.Future[Provider] | None = None

    async def open(self) -> WorkerInfo | Exception:
        """Open the provider; return its abilities, or the error."""
        try:
            provider = await self._provider()
        except Exception as error:  # noqa: BLE001 - the driver handles the error
            return _portable_error(error)
        return provider.concurrency, tuple(map(provider.serves, self._requests))

    async def generate(self, request: Request) -> Reply | Exception:
        """Send *request*, with retries; return the reply or the error."""
        try:
            generate = partial(generate_reply, await self._provider())
            return await self._retry_policy.generate_with_retries(generate, request)
        except Exception as error:  # noqa: BLE001 - the driver handles the error
            return _portable_error(error)

    async def end(self) -> None:
        """Stop all retries: the run has ended."""
        self._ending.set()

    async def close(self) -> None:
        """Close the provider."""
        await (await self._provider()).close()

    def _provider(self) -> asyncio.Future[Provider]:
        # Opened on first use: Ray calls only `generate` on a worker that it has restarted.
        if self._opening is None:
            self._opening = asyncio.ensure_future(asyncio.to_thread(self._open_provider))
        return self._opening

    def _open_provider(self) -> Provider:
        plugin_providers: dict[str, ProviderFactory] = {}
        if self._pickled_factory is not None:
            # The run itself has pickled it.
            factory = pickle.loads(self._pickled_factory)  # noqa: S301
            plugin_providers = {self._requests[0].provider: factory}
        return open_provider(self._requests, os.environ, plugin_providers)


def _portable_error(error: Exception) -> Exception:
    """Return *error* as one that every process can unpickle; one that nothing expects stays so."""
    if isinstance(error, FtgateError):
        return error.with_traceback(None)
    return RuntimeError(f"{type(error).__name__}: {error}")


#: Each worker beyond the first needs at least this many requests more.
_REQUESTS_PER_WORKER = 16
#: How often Ray sends a request again whose worker was lost before it replied.
_TASK_RETRIES = 3
#: Seconds in which a cluster must accept a connection.
_CONNECT_TIMEOUT = 10.0
#: Seconds for which a lost worker gets no request that another one can take.
_LOST_WORKER_PAUSE = 10.0
#: Seconds in which the cluster must start the workers.
_START_TIMEOUT = 600.0


def _kind(request: Request) -> tuple[object, ...]:
    """Return what decides whether an open provider serves *request*."""
    runtime = tuple(sorted(request.runtime.items()))
    return (request.model, request.function, request.adapter, runtime)


def _without_content(request: Request) -> Request:
    """Return *request* without its messages, which may be long and do not matter for opening."""
    return replace(request, messages=(), passages=(), case=None)


class _WorkerPool(Provider):
    """The workers for the requests of one scheduler, as one provider."""

    def __init__(
        self, requests: Sequence[Request], actors: Sequence[Any], info: WorkerInfo
    ) -> None:
        concurrency, served = info
        self.concurrency = concurrency * len(actors)
        self._in_flight = dict.fromkeys(actors, 0)
        #: The time at which each worker was last found lost.
        self._lost_at: dict[Any, float] = {}
        pairs = zip(requests, served, strict=True)
        self._served = {_kind(request) for request, is_served in pairs if is_served}

    def serves(self, request: Request) -> bool:
        """Return True if the workers were opened for requests of this kind."""
        return _kind(request) in self._served

    async def generate(self, request: Request) -> Reply:
        """Send *request* through the worker with the fewest requests in flight.

        Raises:
            RetryableError: the worker was lost.
            ReplyError: the request failed.
        """
        from ray.exceptions import RayActorError

        actor = min(self._in_flight, key=self._load)
        self._in_flight[actor] += 1
        try:
            result: Reply | Exception = await actor.generate.remote(request)
        except RayActorError as error:
            # Until Ray notices the loss, it sends its own retries to the lost worker as well.
            self._lost_at[actor] = time.monotonic()
            raise RetryableError("the cluster lost the worker of this request") from error
        finally:
            self._in_flight[actor] -= 1
        if isinstance(result, Reply):
            return result
        raise result

    def _load(self, actor: Any) -> tuple[bool, int]:
        lost_at = self._lost_at.get(actor)
        is_lost = lost_at is not None and time.monotonic() - lost_at < _LOST_WORKER_PAUSE
        return is_lost, self._in_flight[actor]

    def end(self) -> None:
        """Stop all retries of the workers."""
        for actor in self._in_flight:
            actor.end.remote()

    async def close(self) -> None:
        """Close the providers of the workers, and stop the workers."""
        import ray

        await asyncio.gather(
            *(actor.close.remote() for actor in self._in_flight), return_exceptions=True
        )
        for actor in self._in_flight:
            ray.kill(actor)


def _check_connection(address: str) -> None:
    """Connect to *address* if it is ``host:port``; Ray itself would try for minutes.

    Raises:
        OSError: the connection fails.
    """
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT).close()


def _await_workers(actors: Sequence[Any]) -> WorkerInfo:
    """Wait until all *actors* have opened their provider."""
    import ray
    from ray.exceptions import GetTimeoutError, RayError

    try:
        results = ray.get([actor.open.remote() for actor in actors], timeout=_START_TIMEOUT)
    except GetTimeoutError as error:
        minutes = f"{_START_TIMEOUT / 60:.0f} minutes"
        message = f"the cluster had no room for {len(actors)} workers in {minutes}"
        raise ConfigurationError(message) from error
    except RayError as error:
        raise ConfigurationError(f"a worker of the cluster cannot start: {error}") from error
    for result in results:
        if isinstance(result, Exception):
            raise result
    info: WorkerInfo = results[0]
    return info


def _pickle_factory(name: str, factory: ProviderFactory) -> bytes:
    """Pickle a plugin's provider by value: its module may be a conftest.py that no node has."""
    from ray import cloudpickle

    module = sys.modules.get(getattr(factory, "__module__", ""))
    if module:
        cloudpickle.register_pickle_by_value(module)
    try:
        pickled: bytes = cloudpickle.dumps(factory)
    except Exception as error:
        message = f"provider {name} cannot be sent to the cluster: {error}"
        raise ConfigurationError(message) from error
    finally:
        if module:
            cloudpickle.unregister_pickle_by_value(module)
    return pickled


class RayEngine(Engine):
    """Sends requests from the nodes of a Ray cluster; otherwise it is like the local engine.

    The cluster is that at ``RAY_ADDRESS`` in *environ*, or a new one on this machine. The
    concurrency counts requests on all nodes together. *options* are those of the engine.

    Raises:
        ConfigurationError: Ray is not installed.
    """

    def __init__(self, cache: Cache, environ: Mapping[str, str], **options: Any) -> None:
        if find_spec("ray") is None:
            raise ConfigurationError('the engine ray needs Ray: pip install "pytest-ftgate[ray]"')
        self._lock, self._has_joined = Lock(), False
        self._pools: list[_WorkerPool] = []
        super().__init__(cache, environ, **options)

    def _provider_factories(
        self, plugin_providers: Mapping[str, ProviderFactory]
    ) -> Mapping[str, ProviderFactory]:
        self._on_workers = plugin_providers
        remote = (name for name, spec in PROVIDERS.items() if spec.reads_messages)
        return dict.fromkeys((*remote, *plugin_providers), self._open_workers)

    def _open_workers(self, requests: Sequence[Request], environ: Mapping[str, str]) -> Provider:
        """Open the provider for *requests* on as many nodes as are useful.

        Raises:
            ConfigurationError: there is no cluster or no capacity, or the provider cannot be
                opened there.
        """
        import ray

        with self._lock:
            self._join()
        kinds = list({_kind(request): _without_content(request) for request in requests}.values())
        factory = self._on_workers.get(kinds[0].provider)
        pickled_factory = _pickle_factory(kinds[0].provider, factory) if factory else None
        variables = WorkerEnvironment(provider_environment(kinds, environ))
        remote: Any = ray.remote(max_restarts=-1, max_task_retries=_TASK_RETRIES)(RayWorker)
        actors = [
            remote.options(scheduling_strategy=strategy).remote(kinds, variables, pickled_factory)
            for strategy in self._scheduling_strategies(len(requests))
        ]
        pool = _WorkerPool(kinds, actors, _await_workers(actors))
        self._pools.append(pool)
        return pool

    def _scheduling_strategies(self, requests: int) -> list[Any]:
        """Return one strategy for each worker: it prefers a node, but accepts any other."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        first = len(self._pools)
        return [
            NodeAffinitySchedulingStrategy(nodes[(first + n) % len(nodes)]["NodeID"], soft=True)
            for n in range(min(len(nodes), -(-requests // _REQUESTS_PER_WORKER)))
        ]

    def _join(self) -> None:
        import ray

        if ray.is_initialized():
            return
        # A cluster that is started here sends no usage statistics, unless the user enables them.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Without an address Ray would join the cluster that was started last on this machine.
        address = self._environ.get("RAY_ADDRESS") or "local"
        try:
            _check_connection(address)
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigurationError(f"no Ray cluster at {address}: {error}") from error
        self._has_joined = True

    def close(self) -> None:
        """Drop waiting requests, wait for the requests in flight, and leave the cluster."""
        for pool in self._pools:
            pool.end()
        super().close()
        if self._has_joined:
            import ray

            ray.shutdown()
