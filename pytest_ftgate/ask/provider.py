"""What sends a call and brings the reply: the protocol, and where each provider is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Protocol

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan import Call

__all__ = ["Open", "Provider", "open_provider"]


class Provider(Protocol):
    """One way to bring replies.

    Attributes:
        concurrency: how many calls it can well answer at once.
    """

    concurrency: int

    async def ask(self, call: Call) -> Reply:
        """Send one call.

        Raises:
            Transient: it may succeed if asked again.
            Refused: it cannot succeed.
            Denied: no call like it can succeed.
        """

    def serves(self, call: Call) -> bool:
        """Tell whether this open provider can answer *call* as well."""

    async def close(self) -> None:
        """Let go of connections, threads and loaded models."""


Open = Callable[[Sequence[Call], Mapping[str, str]], Provider]

_MODULES = {
    "anthropic": "anthropic_messages",
    "classical": "classical",
    "llamacpp": "llamacpp",
    "python": "python_function",
    "recorded": "recorded",
}


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> Provider:
    """Open the provider that answers *calls*, which all share provider, address and model.

    Raises:
        Unavailable: a package, weights or credentials are missing.
    """
    name = _MODULES[calls[0].provider]
    # Each module imports one SDK, and only the ones in use are imported.
    module = import_module(f"pytest_ftgate.ask.providers.{name}")
    opened: Provider = module.open_provider(calls, environ)
    return opened
