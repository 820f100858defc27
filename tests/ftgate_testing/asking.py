"""Requests put to one open provider, without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from pytest_ftgate.providers.anthropic import open_anthropic
from pytest_ftgate.providers.openai import open_openai
from pytest_ftgate.requests.request import Request

KEY = "sk-very-secret-0123456789"
ENVIRON = MappingProxyType({"TEAM_KEY": KEY})
#: What opens each hosted API, and where the API begins on its server.
HOSTED = {"openai-compatible": (open_openai, "/v1"), "anthropic": (open_anthropic, "")}


def ask_all(
    opens: Callable[[Sequence[Request], Mapping[str, str]], Any],
    calls: Sequence[Request],
    environ: Mapping[str, str] = ENVIRON,
    *,
    at_once: bool = False,
    keep_errors: bool = False,
) -> list[Any]:
    """Open one provider for *calls*, and return its replies to them, one after the other.

    With *keep_errors*, an error stands in the place of the reply that it takes.
    """

    async def ask() -> list[Any]:
        provider = opens(calls, environ)
        together = partial(asyncio.gather, return_exceptions=keep_errors)
        try:
            if at_once:
                return [*await together(*map(provider.generate, calls))]
            return [(await together(provider.generate(call)))[0] for call in calls]
        finally:
            await provider.close()

    return asyncio.run(ask())
