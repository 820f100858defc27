"""The provider protocol, and the table of the providers in the package."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from inspect import isawaitable
from types import MappingProxyType
from typing import Protocol

from pytest_ftgate.errors import Denied, FtgateError, Refused, Unavailable
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Open", "Provider", "Sends", "asked", "import_providers", "open_provider"]


class Sends(Protocol):
    """What brings the reply to a call: a provider, or something between it and who asks."""

    async def ask(self, call: Call) -> Reply:
        """Send one call."""
        raise NotImplementedError


class Provider(Protocol):
    """One way to bring replies. A provider from elsewhere derives from it, and needs ``ask`` alone.

    Args:
        calls: the calls that wait for it, which all share provider, address, key and model.
        environ: where credentials are read.

    Attributes:
        concurrency: how many calls it can well answer at once.
        most: how many it may be found to answer by sending more and more, where that is more.
        limits: headers of its last answer that tell what is left of a rate limit, by names in
            lower case.
    """

    concurrency: int = 16
    most: int = 0
    limits: Mapping[str, str] = MappingProxyType({})

    def __init__(self, calls: Sequence[Call], environ: Mapping[str, str]) -> None:
        del calls, environ

    async def ask(self, call: Call) -> Reply:
        """Send one call.

        Raises:
            Transient: it may succeed if asked again.
            Refused: it cannot succeed.
            Denied: no call like it can succeed.
        """
        raise NotImplementedError

    def serves(self, call: Call) -> bool:
        """Tell whether this open provider can answer *call* as well."""
        return bool(call)

    async def close(self) -> None:
        """Let go of connections, threads and loaded models."""


Open = Callable[[Sequence[Call], Mapping[str, str]], Provider]

_PACKAGE = "pytest_ftgate.providers"
_MODULES = {
    "anthropic": "anthropic",
    "bedrock": "anthropic",
    "classical": "local",
    "llamacpp": "llamacpp",
    "openai-compatible": "openai",
    "python": "local",
}


def import_providers(calls: Iterable[Call]) -> None:
    """Import what will send *calls*; what cannot be imported is told where it is opened."""
    needed = {"anthropic_batches" if call.batch else _MODULES.get(call.provider) for call in calls}
    for name in filter(None, needed):
        with suppress(ImportError):
            import_module(f"{_PACKAGE}.{name}")


def open_provider(
    calls: Sequence[Call], environ: Mapping[str, str], others: Mapping[str, Open]
) -> Provider:
    """Open the provider that answers *calls*, which all share provider, address and model.

    Args:
        calls: what waits for it.
        environ: where credentials are read.
        others: providers that do not come with the package, by name.

    Raises:
        Unavailable: a package, weights or credentials are missing.
    """
    name = calls[0].provider
    if name in others:
        return _from_elsewhere(name, others[name], calls, environ)
    if name not in _MODULES:
        raise Unavailable(f"no plugin offers the provider {name} here")
    # Each module imports one SDK, and only the ones in use are imported.
    try:
        module = import_module(f"{_PACKAGE}.{_MODULES[name]}")
    except ImportError as error:
        told = f'provider {name}: {error}; pip install "pytest-ftgate[{name}]"'
        raise Unavailable(told) from error
    opened: Provider = module.open_provider(calls, environ)
    return opened


def _from_elsewhere(
    name: str, opens: Open, calls: Sequence[Call], environ: Mapping[str, str]
) -> Provider:
    """Open what a plugin offers, and hold it to the protocol: a lane waits for it for ever."""
    try:
        found = opens(calls, environ)
        wrong = _unfit(found, calls[0])
    except FtgateError:
        raise
    # Also what is no Exception: sys.exit and pytest.fail must not end the thread of the loop.
    except BaseException as error:
        what = f"{type(error).__name__}: {error}"
        raise Unavailable(f"provider {name} cannot be opened: {what}") from error
    if wrong:
        raise Unavailable(f"provider {name}: {wrong}")
    return found


def _unfit(found: Provider, call: Call) -> str:
    absent = [key for key in ("ask", "serves", "close", "concurrency") if not hasattr(found, key)]
    if absent:
        kind = type(found).__name__
        return f"{kind} has no {absent[0]}; derive it from pytest_ftgate.Provider"
    if not isinstance(found.concurrency, int) or found.concurrency < 1:
        return f"concurrency is {found.concurrency}; write a whole number from 1 up"
    return "" if found.serves(call) else "it does not serve the call that it was opened for"


async def asked(provider: Sends, call: Call) -> Reply:
    """Send *call*, and make sure that what comes back is a reply.

    Raises:
        Denied: it is none, so nothing that this provider brings can be judged.
        Refused: the provider tried to end the run.
    """
    try:
        sent: object = provider.ask(call)
        found: object = await sent if isawaitable(sent) else None
    except (Exception, CancelledError):
        raise
    # What is no Exception, such as sys.exit and pytest.fail, would end the loop that awaits this.
    except BaseException as error:
        what = f"{type(error).__name__}: {error}"
        raise Refused(f"provider {call.provider} raised {what}") from error
    if not isawaitable(sent):
        raise Denied(f"provider {call.provider}: ask is not async; write async def ask")
    if isinstance(found, Reply) and isinstance(found.text, str):
        return found
    kind = "a Reply without text" if isinstance(found, Reply) else type(found).__name__
    raise Denied(f"provider {call.provider} returned {kind}; it must return a Reply with text")
