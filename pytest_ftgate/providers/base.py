"""The provider protocol, the table of the package's own providers, and micro-batches.

Requests that wait are sent together to a provider that answers many at once.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, current_task
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from inspect import isawaitable
from types import MappingProxyType
from typing import Any, Protocol, cast

from pytest_ftgate.errors import ConfigurationError, FtgateError, ProviderRejected, RequestRejected
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, weights_of
from pytest_ftgate.suite.providers import PLUGIN_PROVIDER, provider_spec

#: Passes of the event loop without a new request after which no more are coming.
_QUIET_PASSES = 3


class MicroBatches:
    """Wraps a provider with ``generate_many``, so that it can be sent single requests.

    While one batch is computed, the next requests gather. A batch has requests to the same model
    and adapter alone, of similar length. As many requests again as one batch are in flight, so that
    it is full.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._waiting: list[tuple[Request, asyncio.Future[Reply]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._size: int = provider.batch_size
        self.concurrency = max(provider.concurrency, 2 * self._size)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the provider: what is not about batches is as it says."""
        return getattr(self._provider, name)

    async def generate(self, request: Request) -> Reply:
        """Return the reply to *request*, which is sent with others."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, reply))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return await reply

    async def _send(self) -> None:
        while self._waiting:
            await self._gather()
            batch = self._take()
            try:
                results = await self._results([request for request, _ in batch])
            except BaseException as error:  # noqa: BLE001 - each waiting request gets it
                results = [error] * len(batch)
            for (_, reply), result in zip(batch, results, strict=True):
                if reply.done():
                    continue
                if isinstance(result, BaseException):
                    reply.set_exception(_awaitable(result))
                else:
                    reply.set_result(result)

    async def _gather(self) -> None:
        """Wait until no request is about to be added, so that there are similar ones."""
        quiet, count = 0, 0
        while quiet < _QUIET_PASSES and len(self._waiting) < self.concurrency:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == count else 0
            count = len(self._waiting)

    def _take(self) -> list[tuple[Request, asyncio.Future[Reply]]]:
        """Take the request that waits longest, and those of the same weights nearest in length."""
        oldest = self._waiting[0]
        weights = weights_of(oldest[0])
        waiting = self._waiting
        fitting = [n for n, (request, _) in enumerate(waiting) if weights_of(request) == weights]
        # A batch is as long as its longest prompt and reply: the rest of each row is padding.
        fitting.sort(key=lambda n: _length(waiting[n][0]))
        end = max(fitting.index(0) + 1, min(self._size, len(fitting)))
        taken = fitting[max(0, end - self._size) : end]
        self._waiting = [pair for n, pair in enumerate(waiting) if n not in taken]
        return [waiting[n] for n in taken]

    async def _results(self, requests: Sequence[Request]) -> list[Any]:
        results = await self._provider.generate_many(requests)
        if not isinstance(results, list | tuple) or len(results) != len(requests):
            count = len(results) if isinstance(results, list | tuple) else type(results).__name__
            raise ProviderRejected(
                f"provider {requests[0].provider}: generate_many returned {count} for "
                f"{len(requests)} requests; return a list with a Reply, or an error, for each"
            )
        return [*results]


def _length(request: Request) -> tuple[int, int]:
    return request.max_tokens, sum(len(text) for _, text in request.messages)


def _awaitable(error: BaseException) -> BaseException:
    """Return *error* in a form that a future takes."""
    is_exit = not isinstance(error, Exception | asyncio.CancelledError)
    is_exit = is_exit or isinstance(error, StopIteration)
    return ProviderRejected(f"{type(error).__name__}: {error}") if is_exit else error


class Provider(Protocol):
    """A backend that answers requests.

    A plugin's provider derives from it and adds ``generate``, or ``generate_many`` if it answers
    several requests at once faster than one by one.

    Args:
        requests: the waiting requests, which all have the same provider, address, key and model.
        environ: the environment variables, which may hold credentials.

    Attributes:
        concurrency: the number of requests in flight at the start.
        max_concurrency: the largest number of requests in flight that the rate limiter may try;
            0 for *concurrency*.
        batch_size: the largest number of requests that ``generate_many`` gets.
        rate_limit_headers: the headers of the last response, which state what is left of a rate
            limit; their names are in lower case.
        notice: a sentence on how it works that a run shows once; "" if there is none.
    """

    concurrency: int = PLUGIN_PROVIDER.concurrency
    max_concurrency: int = PLUGIN_PROVIDER.max_concurrency
    batch_size: int = 16
    rate_limit_headers: Mapping[str, str] = MappingProxyType({})
    notice: str = ""

    def __init__(self, requests: Sequence[Request], environ: Mapping[str, str]) -> None:
        del requests, environ

    async def generate(self, request: Request) -> Reply:
        """Send *request* and return the reply.

        Raises:
            RetryableError: the request may succeed if it is sent again.
            RequestRejected: the request cannot succeed.
            ProviderRejected: no request of this variant can succeed.
        """
        if not _answers_many(self):
            raise NotImplementedError
        (result,) = await self.generate_many([request])
        if isinstance(result, Exception):
            raise result
        return result

    async def generate_many(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        """Send *requests*, and return a reply or an error for each of them, in their order.

        They all have the same model and adapter. An exception of the method itself is an error of
        all of them. If a provider defines this method, ``generate`` is not called.
        """
        return [await self.generate(request) for request in requests]

    def serves(self, request: Request) -> bool:
        """Return True if this open provider can answer *request*."""
        return bool(request)

    async def close(self) -> None:
        """Release connections, threads and loaded models."""


ProviderFactory = Callable[[Sequence[Request], Mapping[str, str]], Provider]

PACKAGE = "pytest_ftgate.providers"


def declared_key(request: Request, name: str, environ: Mapping[str, str]) -> str:
    """Return the key for *request* in the variable *name*.

    Raises:
        ConfigurationError: the variable is not set.
    """
    key = environ.get(name)
    if not key:
        raise ConfigurationError(
            f"the key of {request.model} is missing: set {name}, "
            "or evaluate what is recorded with --ftgate-replies=recorded"
        )
    return key


def import_providers(requests: Iterable[Request]) -> None:
    """Import the modules that send *requests*; `open_provider` reports what cannot be imported."""
    specs = ((provider_spec(request.provider), request.batch) for request in requests)
    modules = {spec.batch_module if batch else spec.module for spec, batch in specs}
    for name in filter(None, modules):
        with suppress(ImportError):
            import_module(f"{PACKAGE}.{name}")


def known_retirement(provider: str, model: str) -> str:
    """Return the day on which *model* retires (ISO), if the SDK of *provider* knows it; else ""."""
    module = provider_spec(provider).module
    if not module:
        return ""
    with suppress(ImportError, AttributeError):
        return str(import_module(f"{PACKAGE}.{module}").retirement_date(model))
    return ""


def open_provider(
    requests: Sequence[Request],
    environ: Mapping[str, str],
    plugin_providers: Mapping[str, ProviderFactory],
) -> Provider:
    """Open the provider that answers *requests*, which all have the same address and model.

    *environ* may hold credentials. *plugin_providers* are by name.

    Raises:
        ConfigurationError: a package, weights or credentials are missing.
    """
    name = requests[0].provider
    if name in plugin_providers:
        return _open_plugin_provider(name, plugin_providers[name], requests, environ)
    module_name = provider_spec(name).module
    if not module_name:
        raise ConfigurationError(f"no plugin offers the provider {name} here")
    # Each module imports one SDK, so only the modules in use are imported.
    try:
        module = import_module(f"{PACKAGE}.{module_name}")
    except ImportError as error:
        # The other providers' packages are installed with this one.
        package = f'"pytest-ftgate[{name}]"' if name == "transformers" else "pytest-ftgate"
        raise ConfigurationError(f"provider {name}: {error}; pip install {package}") from error
    opened: Provider = getattr(module, f"open_{module_name}")(requests, environ)
    return _with_micro_batches(opened)


def _answers_many(provider: Provider) -> bool:
    """Return True if *provider* has a ``generate_many`` of its own."""
    method = getattr(provider, "generate_many", None)
    return method is not None and getattr(method, "__func__", None) is not Provider.generate_many


def _with_micro_batches(provider: Provider) -> Provider:
    """Return *provider*, wrapped if it answers many requests at once."""
    return cast("Provider", MicroBatches(provider)) if _answers_many(provider) else provider


def _open_plugin_provider(
    name: str, factory: ProviderFactory, requests: Sequence[Request], environ: Mapping[str, str]
) -> Provider:
    """Open a plugin's provider and check the protocol: the scheduler would wait for it forever."""
    try:
        provider = factory(requests, environ)
        problem = _unfit(provider, requests[0])
    except FtgateError:
        raise
    # Not only Exception: sys.exit and pytest.fail must not end the event loop's thread.
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"provider {name} cannot be opened: {message}") from error
    if problem:
        raise ConfigurationError(f"provider {name}: {problem}")
    return _with_micro_batches(provider)


def _unfit(provider: Provider, request: Request) -> str:
    """Return how *provider* breaks the protocol; "" if it does not."""
    required = ("generate", "serves", "close", "concurrency")
    absent = [name for name in required if not hasattr(provider, name)]
    if absent:
        kind = type(provider).__name__
        return f"{kind} has no {absent[0]}; derive it from pytest_ftgate.Provider"
    own = getattr(provider.generate, "__func__", None)
    if own is Provider.generate and not _answers_many(provider):
        return f"{type(provider).__name__} defines neither generate nor generate_many"
    if not _is_count(provider.concurrency):
        return f"concurrency is {provider.concurrency}; write a whole number from 1 up"
    if _answers_many(provider) and not _is_count(provider.batch_size):
        return f"batch_size is {provider.batch_size}; write a whole number from 1 up"
    serves = provider.serves(request)
    return "" if serves else "it does not serve the request that it was opened for"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def _is_cancelled(error: BaseException) -> bool:
    """Return True if *error* comes from a wish to cancel this task, and not from a provider."""
    task = current_task()
    return isinstance(error, CancelledError) and task is not None and task.cancelling() > 0


async def generate_reply(provider: Provider, request: Request) -> Reply:
    """Send *request* and check that the result is a reply.

    What a plugin's provider raises is an error of the request. What a provider of the package
    raises by mistake is none: it ends the run.

    Raises:
        ProviderRejected: the provider returned something else, so none of its results is usable.
        RequestRejected: a plugin's provider raised an exception.
    """
    try:
        pending: object = provider.generate(request)
        result: object = await pending if isawaitable(pending) else None
    except FtgateError:
        raise
    # sys.exit and pytest.fail are not Exceptions and would end the event loop.
    except BaseException as error:
        if provider_spec(request.provider).module or _is_cancelled(error):
            raise
        message = f"{type(error).__name__}: {error}"
        raise RequestRejected(f"provider {request.provider} raised {message}") from error
    if not isawaitable(pending):
        raise ProviderRejected(
            f"provider {request.provider}: generate is not async; write async def generate"
        )
    if isinstance(result, Reply) and isinstance(result.text, str):
        return result
    kind = "a Reply without text" if isinstance(result, Reply) else type(result).__name__
    raise ProviderRejected(
        f"provider {request.provider} returned {kind}; it must return a Reply with text"
    )
