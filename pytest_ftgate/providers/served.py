"""Models behind a server: its errors in the user's words, and adapters that it loads."""

from __future__ import annotations

import asyncio
import errno
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp

from pytest_ftgate.adapters.lora import LoraConfig, adapter_sha256
from pytest_ftgate.errors import ConfigurationError, ProviderRejected, ReplyError, RetryableError
from pytest_ftgate.providers.http import error_message, limited_body, load_json, page_error
from pytest_ftgate.requests.api_keys import is_loopback
from pytest_ftgate.requests.request import Adapter, Request

_UNKNOWN_MODEL = (
    "; some servers answer so for an unknown model: correct model, or look into the server's log"
)
#: The number of models that a message names.
_MAX_NAMED = 8
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _SERVER_ERROR, _LOADING = 401, 403, 404, 500, 503


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """The access to one model of one server.

    Attributes:
        url: the base URL.
        model: the name of the model.
        key_name: the variable of the key that is sent; "" if none is sent.
    """

    url: str
    model: str
    key_name: str = ""

    @property
    def is_local(self) -> bool:
        """True if the server runs on this machine."""
        return is_loopback(urlsplit(self.url).hostname)

    @property
    def path_hint(self) -> str:
        """What may be wrong with the path of the address; "" if it is as usual."""
        return "" if self.url.endswith("/v1") else f"; {self.url} does not end in /v1, as most do"

    def connection_error(self, error: OSError, *, has_answered: bool) -> ReplyError:
        """Return the error for a connection that failed with *error*.

        A local port that refuses connections is not tried again, unless it *has_answered* before.
        """
        if error.errno != errno.ECONNREFUSED:
            return RetryableError(f"no connection to {self.url} for {self.model}: {error}")
        message = (
            f"nothing answers at {self.url} (connection refused): start the server of "
            f"{self.model}, or correct the address in base_url or in the variable of base_url_env"
        )
        is_final = self.is_local and not has_answered
        return ProviderRejected(message) if is_final else RetryableError(message)

    def page_error(self, *, has_answered: bool) -> ReplyError:
        """Return the error for a web page in place of a reply."""
        return page_error(self.url, self.model, self.path_hint, has_answered=has_answered)

    def explain(
        self, error: ReplyError, status: int, served: Collection[str], *, has_answered: bool
    ) -> ReplyError:
        """Add to *error* where it happened and what to write, in place; return it.

        *status* is that of the response, and *served* are the models that the server lists.
        """
        hint = self._hint(status, served, has_answered=has_answered)
        if hint or status == _NOT_FOUND:
            error.args = (f"{error} ({self.url}, model {self.model}){hint}", *error.args[1:])
        return error

    def _hint(self, status: int, served: Collection[str], *, has_answered: bool) -> str:
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            if self.key_name:
                return f"; the key is that of {self.key_name}"
            return "; no key was sent: name the variable that holds it in api_key_env"
        if status == _NOT_FOUND:
            return self._served_hint(served) or self.path_hint
        if status == _LOADING:
            return "; a server that loads its model answers so"
        if status == _SERVER_ERROR and not has_answered:
            return self._served_hint(served) or _UNKNOWN_MODEL
        return ""

    def _served_hint(self, served: Collection[str]) -> str:
        """Return which models the server lists, if the model is none of them; else ""."""
        if not served or self.model in served:
            return ""
        names = [*served]
        more = ", …" if len(names) > _MAX_NAMED else ""
        return f"; the server lists {', '.join(names[:_MAX_NAMED])}{more}: correct model"


#: So many bare errors, before any answer, end the variant if a request was sent again in vain.
_MAX_BARE_ERRORS = 3


class BareError(RetryableError):
    """An HTTP 500 without a word on what failed, from a server that has answered nothing yet."""


class BareErrors:
    """The bare errors that each request to one model has met.

    A server that says no more, again and again, probably does not know the model.
    """

    def __init__(self) -> None:
        self._counts = Counter[str]()

    def counted(self, error: BareError, request: Request) -> ReplyError:
        """Return *error* of *request*, or if there were too many, one that ends the variant."""
        self._counts[request.fingerprint] += 1
        total = self._counts.total()
        if total < _MAX_BARE_ERRORS or self._counts[request.fingerprint] == 1:
            return error
        return ProviderRejected(f"{error}; {total} times in a row")


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
