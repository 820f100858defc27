"""Models behind a server: its errors in the user's words, adapters it loads, its chat template."""

from __future__ import annotations

import asyncio
import errno
import shlex
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from uuid import uuid4

import aiohttp

from pytest_ftgate.adapters.chat_template import (
    SAMPLE_CHATS,
    TEMPLATE_OPTIONS,
    Chat,
    ChatTemplate,
    trained_template,
)
from pytest_ftgate.adapters.lora import LoraConfig, adapter_sha256
from pytest_ftgate.errors import ConfigurationError, ProviderRejected, ReplyError, RetryableError
from pytest_ftgate.providers.http import error_message, limited_body, load_json, page_error
from pytest_ftgate.requests.api_keys import is_loopback
from pytest_ftgate.requests.reply import SERVED_SCALE_FACT, TEMPLATE_FACT
from pytest_ftgate.requests.request import Adapter, Request

_UNKNOWN_MODEL = (
    "; some servers answer so for an unknown model: correct model, or look into the server's log"
)
#: The number of models that a message names.
_MAX_NAMED = 8
_OK, _REDIRECT, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 300, 401, 403, 404
_SERVER_ERROR, _LOADING = 500, 503


#: Timeouts of a reply and of a connection, in seconds.
_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=5)


class Response(NamedTuple):
    """One HTTP response."""

    status: int
    body: bytes
    headers: Mapping[str, str]


#: So many bare errors, before any answer, end the variant if a request was sent again in vain.
_MAX_BARE_ERRORS = 3


class BareError(RetryableError):
    """An HTTP 500 without a word on what failed, from a server that has answered nothing yet."""


class Server:
    """One model of one server: its connection, and its errors in the user's words.

    *headers* are those of each request.

    Attributes:
        url: the base URL, without a trailing slash.
        has_answered: True once the server has answered a request of the variant.
        listed: the models that the server lists.
        owner: what the server states as the owner of its models.
    """

    def __init__(self, url: str, model: str, key_name: str, headers: Mapping[str, str]) -> None:
        self.url, self._model, self._key_name, self._headers = url, model, key_name, headers
        self.has_answered = False
        self.listed: tuple[str, ...] = ()
        self.owner = ""
        #: The bare errors that each request has met.
        self._bare_errors = Counter[str]()

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        """The HTTP session; created on first use because it belongs to the running event loop."""
        # limit=0 means no limit of connections: the engine limits the requests in flight.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=_TIMEOUT,
            proxy=_proxy(self.url),
        )

    async def fetch(
        self, method: str, url: str, *, limit: int | None = None, **options: Any
    ) -> Response:
        """Return the response to one request; its body has *limit* bytes at most.

        Raises:
            aiohttp.ClientError, TimeoutError, ValueError: there is none.
            RequestRejected: the body is too large.
        """
        # A redirect would send the prompts to an address that no suite names.
        async with self._session.request(method, url, allow_redirects=False, **options) as response:
            body = await limited_body(response.content.iter_any(), limit)
            return Response(response.status, body, response.headers)

    async def look_up(self, method: str, url: str, seconds: float, **options: Any) -> Any:
        """Return the JSON at *url*; None if there is none: what is looked up fails no request."""
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            response = await self.fetch(method, url, timeout=timeout, **options)
            return load_json(response.body) if response.status == _OK else None
        except (aiohttp.ClientError, TimeoutError, ValueError, ReplyError):
            return None

    async def send(self, method: str, path: str, **options: Any) -> Response:
        """Return the response to a request to *path*; *options* are those of `fetch`.

        Raises:
            RetryableError: the connection failed.
            ProviderRejected: nothing can be sent to this address.
        """
        try:
            return await self.fetch(method, f"{self.url}/{path}", **options)
        # Of the address, a proxy or a header: an aiohttp.InvalidURL or UnicodeError as well.
        except ValueError as error:
            raise ProviderRejected(f"nothing can be sent to {self.url}: {error}") from error
        except TimeoutError as error:
            raise RetryableError(f"no reply in time from {self.url}") from error
        except aiohttp.ClientConnectorError as error:
            raise self._connection_error(error.os_error) from error
        except aiohttp.ClientError as error:
            raise RetryableError(f"no connection to {self.url}: {error}") from error

    @property
    def path_hint(self) -> str:
        """What may be wrong with the path of the address; "" if it is as usual."""
        return "" if self.url.endswith("/v1") else f"; {self.url} does not end in /v1, as most do"

    def _connection_error(self, error: OSError) -> ReplyError:
        """Return the error for a connection that failed with *error*.

        A local port that refuses connections is not tried again, unless it has answered before.
        """
        if error.errno != errno.ECONNREFUSED:
            return RetryableError(f"no connection to {self.url} for {self._model}: {error}")
        message = (
            f"nothing answers at {self.url} (connection refused): start the server of "
            f"{self._model}, or correct the address in base_url or in the variable of base_url_env"
        )
        is_final = is_loopback(urlsplit(self.url).hostname) and not self.has_answered
        return ProviderRejected(message) if is_final else RetryableError(message)

    def page_error(self) -> RetryableError:
        """Return the error for a web page in place of a reply."""
        return page_error(self.url, self._model, self.path_hint, has_answered=self.has_answered)

    def explain(self, error: ReplyError, status: int) -> ReplyError:
        """Add to *error* where it happened and what to write, in place; return it.

        *status* is that of the response.
        """
        hint = self._hint(status)
        if hint or status == _NOT_FOUND:
            error.args = (f"{error} ({self.url}, model {self._model}){hint}", *error.args[1:])
        return error

    def _hint(self, status: int) -> str:
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            if self._key_name:
                return f"; the key is that of {self._key_name}"
            return "; no key was sent: name the variable that holds it in api_key_env"
        if status == _NOT_FOUND:
            return self._listed_hint() or self.path_hint
        if status == _LOADING:
            return "; a server that loads its model answers so"
        if status == _SERVER_ERROR and not self.has_answered:
            return self._listed_hint() or _UNKNOWN_MODEL
        return ""

    def _listed_hint(self) -> str:
        """Return which models the server lists, if the model is none of them; else ""."""
        if not self.listed or self._model in self.listed:
            return ""
        more = ", …" if len(self.listed) > _MAX_NAMED else ""
        return f"; the server lists {', '.join(self.listed[:_MAX_NAMED])}{more}: correct model"

    def counted(self, error: ReplyError, request: Request) -> ReplyError:
        """Return *error* of *request*, or if it is one bare error too many, the end of all.

        A server that says no more, again and again, probably does not know the model.
        """
        if not isinstance(error, BareError):
            return error
        self._bare_errors[request.fingerprint] += 1
        total = self._bare_errors.total()
        if total < _MAX_BARE_ERRORS or self._bare_errors[request.fingerprint] == 1:
            return error
        return ProviderRejected(f"{error}; {total} times in a row")

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _proxy(url: str) -> str | None:
    """Return the proxy from the environment; aiohttp would look it up for each request."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


#: Timeouts of the list of models and of loading an adapter, in seconds.
_LIST_TIMEOUT, _LOAD_TIMEOUT = (aiohttp.ClientTimeout(total=seconds) for seconds in (10, 300))
#: The ranks that vLLM can be started for.
_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


class ServedAdapters:
    """The adapters that a run has loaded into *server*; `unload` removes them again.

    Each has a name that no other run uses, so no other weights can answer under it, and no other
    run can remove it. A server that loads nothing may serve the adapter under its declared name.
    Without *loads*, no request goes to the server.
    """

    def __init__(self, server: Server, *, loads: bool) -> None:
        self._server, self._loads = server, loads
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
            raise ProviderRejected(adapter.changed)
        name = f"{model}-{adapter.sha256[:8]}-{uuid4().hex[:8]}"
        try:
            refusal = await self._post("load", {"lora_name": name, "lora_path": str(adapter.path)})
            listed = await self._models()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryableError(f"no connection to {self._server.url}: {error!r}") from error
        if name in listed:
            self._loaded.append(name)
            return name
        if model in listed:
            return model
        reason = refusal or "it does not list the adapter after loading it"
        raise ProviderRejected(_refusal(self._server.url, reason, model, adapter))

    async def _post(self, verb: str, body: Mapping[str, str]) -> str:
        """Load or unload an adapter; return why the server refuses, or ""."""
        url = f"{self._server.url}/{verb}_lora_adapter"
        response = await self._server.fetch("POST", url, json=body, timeout=_LOAD_TIMEOUT)
        if response.status < _REDIRECT:
            return ""
        message = text = response.body.decode(errors="replace")
        with suppress(ValueError):
            message = error_message(load_json(response.body), text)
        return f"{response.status} {message}"

    async def _models(self) -> set[str]:
        url = f"{self._server.url}/models"
        response = await self._server.fetch("GET", url, timeout=_LIST_TIMEOUT)
        with suppress(ValueError, KeyError, TypeError):
            return {str(row["id"]) for row in load_json(response.body)["data"]}
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


#: The timeout of one look-up of a prompt, in seconds.
_PROMPT_TIMEOUT = 10.0


def template_body(chat: Chat, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the request to llama.cpp and vLLM for the prompt of *chat*."""
    messages = [{"role": role, "content": text} for role, text in chat]
    return {"messages": messages, **({TEMPLATE_OPTIONS: dict(options)} if options else {})}


def trained_prompts(request: Request, template: ChatTemplate) -> list[tuple[dict[str, Any], str]]:
    """Return the chats on which templates are compared: that of *request*, and some samples.

    Each is the body that asks a server for its prompt, with the prompt that *template* makes of it.
    """
    declared = request.extra.get(TEMPLATE_OPTIONS)
    options = declared if isinstance(declared, Mapping) else {}
    return [
        (template_body(chat, options), prompt)
        for chat in (request.messages, *SAMPLE_CHATS)
        if (prompt := template.render(chat, options)) is not None
    ]


class ServedTemplate:
    """The chat template of a model at *server*, as far as the server shows prompts.

    llama.cpp's server and vLLM do, at no cost.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        #: Where the prompts differ from those of a training, by the digest of its adapter.
        self._differences: dict[str, asyncio.Task[str]] = {}

    async def fact(self, request: Request, model: str) -> dict[str, str]:
        """Return the difference as a fact, found out once for each adapter; {} without one."""
        if request.adapter is None:
            return {}
        key = request.adapter.sha256
        if key not in self._differences:
            self._differences[key] = asyncio.create_task(self.difference(request, model))
        found = await self._differences[key]
        return {TEMPLATE_FACT: found} if found else {}

    async def difference(self, request: Request, model: str) -> str:
        """Return where the prompts differ from those of the training; "" if they do not.

        *model* is the server's name for the model of *request*.
        """
        owner, adapter = self._server.owner, request.adapter
        if adapter is None or owner not in ("llamacpp", "vllm"):
            return ""
        template = trained_template(adapter.path)
        if template is None:
            return ""
        pairs = trained_prompts(request, template)
        found = template.difference(
            [(await self._prompt(body, model), trained) for body, trained in pairs]
        )
        option = "--chat-template-file" if owner == "llamacpp" else "--chat-template"
        file = template.source if template.source.endswith(".jinja") else "FILE.jinja"
        # The cache keeps the replies to the other prompts.
        remedy = f"start the server with {option} {file}, and run with --ftgate-replies=fresh"
        return f"{found}; {remedy}" if found else ""

    async def scale_fact(self) -> dict[str, str]:
        """Return the scale at which llama.cpp's server applies an adapter, if it is unusual."""
        rows = await self._look_up("GET", "lora-adapters")
        try:
            scales = [row["scale"] for row in rows if row["scale"] not in (0, 1)]
            shown = ", ".join(f"{scale:g}" for scale in scales)
        except (KeyError, TypeError, ValueError):
            return {}
        return {SERVED_SCALE_FACT: shown} if scales else {}

    async def _prompt(self, body: Mapping[str, Any], model: str) -> str | None:
        if self._server.owner == "llamacpp":
            answer = await self._look_up("POST", "apply-template", json=body)
        else:
            read = await self._look_up("POST", "tokenize", json={"model": model, **body})
            tokens = read.get("tokens") if isinstance(read, Mapping) else None
            if not isinstance(tokens, list):
                return None
            written = {"model": model, "tokens": tokens}
            answer = await self._look_up("POST", "detokenize", json=written)
        prompt = answer.get("prompt") if isinstance(answer, Mapping) else None
        return prompt if isinstance(prompt, str) else None

    async def _look_up(self, method: str, path: str, **options: Any) -> Any:
        url = f"{self._server.url.removesuffix('/v1')}/{path}"
        return await self._server.look_up(method, url, _PROMPT_TIMEOUT, **options)
