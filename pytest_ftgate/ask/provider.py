"""What sends a call and brings the reply: the protocol, and where each provider is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Protocol

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import Unavailable
from pytest_ftgate.plan.call import Call

__all__ = ["Open", "Provider", "open_provider"]


class Provider(Protocol):
    """One way to bring replies. A provider from elsewhere derives from it, and needs ``ask`` alone.

    Args:
        calls: the calls that wait for it, which all share provider, address, key and model.
        environ: where credentials are read.

    Attributes:
        concurrency: how many calls it can well answer at once.
    """

    concurrency: int = 16

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

_MODULES = {
    "anthropic": "anthropic_messages",
    "bedrock": "anthropic_messages",
    "classical": "classical",
    "llamacpp": "llamacpp",
    "openai-compatible": "openai_chat",
    "python": "python_function",
    "recorded": "recorded",
}

#: provider -> the extra that installs what it needs, where it has another name
_EXTRAS = {"openai-compatible": "openai"}


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
        return others[name](calls, environ)
    if name not in _MODULES:
        raise Unavailable(f"no plugin offers the provider {name} here")
    # Each module imports one SDK, and only the ones in use are imported.
    try:
        module = import_module(f"pytest_ftgate.ask.providers.{_MODULES[name]}")
    except ImportError as error:
        extra = _EXTRAS.get(name, name)
        told = f'provider {name}: {error}; pip install "pytest-ftgate[{extra}]"'
        raise Unavailable(told) from error
    opened: Provider = module.open_provider(calls, environ)
    return opened
