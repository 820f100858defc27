"""Adapters that a server loads while it runs, as vLLM does on request."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import aiohttp

from pytest_ftgate.adapters.lora import LoraConfig, adapter_sha256
from pytest_ftgate.errors import ConfigurationError, ProviderRejected, RetryableError
from pytest_ftgate.providers.http import error_message, limited_body, load_json
from pytest_ftgate.requests.request import Adapter, Request

#: Timeouts of the list of models and of loading an adapter, in seconds.
_LIST_TIMEOUT, _LOAD_TIMEOUT = (aiohttp.ClientTimeout(total=seconds) for seconds in (10, 300))
_REDIRECT = 300
#: The ranks that vLLM can be started for.
_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


class ServedAdapters:
    """The adapters that a run has loaded into the server at *url*; `unload` removes them again.

    Each has a name that no other run uses, so no other weights can answer under it, and no other
    run can remove it. A server that loads nothing may serve the adapter under its declared name.
    *session* returns the HTTP session. Without *loads*, no request goes to the server.
    """

    def __init__(
        self, url: str, session: Callable[[], aiohttp.ClientSession], *, loads: bool
    ) -> None:
        self._url, self._session, self._loads = url, session, loads
        self._names: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._loaded: list[str] = []

    async def name_of(self, request: Request) -> str:
        """Return the server's name for the model of *request*; its adapter is loaded first.

        Raises:
            ProviderRejected: the server neither loads nor lists the adapter.
            RetryableError: the server cannot be reached.
        """
        adapter = request.adapter
        if adapter is None or not self._loads or not adapter.path.is_dir():
            return request.model
        key = (request.model, adapter.sha256)
        if key not in self._names:
            self._names[key] = asyncio.create_task(self._load(request.model, adapter))
        try:
            return await self._names[key]
        except RetryableError:
            self._names.pop(key, None)
            raise

    async def _load(self, model: str, adapter: Adapter) -> str:
        if adapter_sha256(adapter.path) != adapter.sha256:
            raise ProviderRejected(
                f"adapter {adapter.path.name} has changed since the run began; start it again"
            )
        name = f"{model}-{adapter.sha256[:8]}-{uuid4().hex[:8]}"
        try:
            refusal = await self._post("load", {"lora_name": name, "lora_path": str(adapter.path)})
            listed = await self._models()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryableError(f"no connection to {self._url}: {error!r}") from error
        if name in listed:
            self._loaded.append(name)
            return name
        if model in listed:
            return model
        reason = refusal or "it does not list the adapter after loading it"
        raise ProviderRejected(_refusal(self._url, reason, model, adapter))

    async def _post(self, verb: str, body: Mapping[str, str]) -> str:
        """Load or unload an adapter; return why the server refuses, or ""."""
        url = f"{self._url}/{verb}_lora_adapter"
        # A redirect would lead to an address that no suite names.
        async with self._session().post(
            url, json=body, timeout=_LOAD_TIMEOUT, allow_redirects=False
        ) as response:
            content = await limited_body(response.content.iter_any())
        text = content.decode(errors="replace")
        if response.status < _REDIRECT:
            return ""
        message = text
        with suppress(ValueError):
            message = error_message(load_json(content), text)
        return f"{response.status} {message}"

    async def _models(self) -> set[str]:
        async with self._session().get(
            f"{self._url}/models", timeout=_LIST_TIMEOUT, allow_redirects=False
        ) as response:
            text = await limited_body(response.content.iter_any())
        with suppress(ValueError, KeyError, TypeError):
            rows: list[dict[str, Any]] = load_json(text)["data"]
            return {str(row["id"]) for row in rows}
        return set()

    async def unload(self) -> None:
        """Remove the adapters that this run has loaded from the server."""
        for name in self._loaded:
            with suppress(aiohttp.ClientError, TimeoutError):
                await self._post("unload", {"lora_name": name})
        self._loaded.clear()


def _refusal(url: str, reason: str, model: str, adapter: Adapter) -> str:
    base, rank = "BASE", _VLLM_RANKS[0]
    with suppress(ConfigurationError, KeyError, TypeError, ValueError):
        config = LoraConfig.read(adapter.path)
        rank = next((size for size in _VLLM_RANKS if size >= config.max_rank()), config.max_rank())
        base = config.base or base
    command = ["vllm", "serve", base, "--enable-lora", "--lora-modules", f"{model}={adapter.path}"]
    return (
        f"{url} has no model {model}, and loads no adapter ({reason}); serve the adapter:\n"
        f"    {shlex.join([*command, '--max-lora-rank', str(rank)])}\n"
        "or let vLLM load it: VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve … --enable-lora"
    )
