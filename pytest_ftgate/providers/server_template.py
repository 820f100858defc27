"""Template parity: compares the prompts that a server writes with the template of the training."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from pytest_ftgate.adapters.chat_template import (
    SAMPLE_CHATS,
    SERVED_SCALE_FACT,
    TEMPLATE_FACT,
    TEMPLATE_OPTIONS,
    Chat,
    ChatTemplate,
    trained_template,
)
from pytest_ftgate.errors import ReplyError
from pytest_ftgate.providers.http import limited_body, load_json
from pytest_ftgate.requests.request import Request

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_OK = 200


def request_template(request: Request) -> ChatTemplate | None:
    """Return the template with which the adapter of *request* was trained, if it is known."""
    return trained_template(request.adapter.path) if request.adapter else None


def request_chats(request: Request) -> list[Chat]:
    """Return the chats on which templates are compared: that of *request*, and some samples."""
    return [request.messages, *SAMPLE_CHATS]


def template_options(request: Request) -> Mapping[str, Any]:
    """Return the variables that *request* declares for the chat template."""
    options = request.extra.get(TEMPLATE_OPTIONS)
    return options if isinstance(options, Mapping) else {}


def template_body(chat: Chat, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the request to llama.cpp and vLLM for the prompt of *chat*."""
    messages = [{"role": role, "content": text} for role, text in chat]
    return {"messages": messages, **({TEMPLATE_OPTIONS: dict(options)} if options else {})}


class ServedTemplate:
    """The chat template of a model at the base URL *url*, as far as its server shows prompts.

    llama.cpp's server and vLLM do, at no cost. *session* returns the HTTP session.
    """

    def __init__(self, url: str, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._root, self._session = url.removesuffix("/v1"), session
        #: Where the prompts differ from those of a training, by the digest of its adapter.
        self._differences: dict[str, asyncio.Task[str]] = {}

    async def fact(self, request: Request, model: str, owner: str) -> dict[str, str]:
        """Return the difference as a fact, found out once for each adapter; {} without one."""
        if request.adapter is None:
            return {}
        key = request.adapter.sha256
        if key not in self._differences:
            self._differences[key] = asyncio.create_task(self.difference(request, model, owner))
        found = await self._differences[key]
        return {TEMPLATE_FACT: found} if found else {}

    async def difference(self, request: Request, model: str, owner: str) -> str:
        """Return where the prompts differ from those of the training; "" if they do not.

        *model* is the server's name for the model of *request*, and *owner* what the server states
        as the owner of its models.
        """
        template = request_template(request) if owner in ("llamacpp", "vllm") else None
        if template is None:
            return ""
        options, prompts = template_options(request), list[tuple[str | None, str | None]]()
        for chat in request_chats(request):
            trained = template.render(chat, options)
            body = template_body(chat, options)
            served = None if trained is None else await self._prompt(body, model, owner)
            prompts.append((served, trained))
        found = template.difference(prompts)
        option = "--chat-template-file" if owner == "llamacpp" else "--chat-template"
        file = template.source if template.source.endswith(".jinja") else "FILE.jinja"
        # The cache keeps the replies to the other prompts.
        remedy = f"start the server with {option} {file}, and run with --ftgate-replies=fresh"
        return f"{found}; {remedy}" if found else ""

    async def scale_fact(self) -> dict[str, str]:
        """Return the scale at which llama.cpp's server applies an adapter, if it is unusual."""
        try:
            async with self._session().get(
                f"{self._root}/lora-adapters", timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                rows = load_json(await limited_body(response.content.iter_any()))
            scales = [row["scale"] for row in rows if row["scale"] not in (0, 1)]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, ReplyError):
            return {}
        return {SERVED_SCALE_FACT: ", ".join(f"{scale:g}" for scale in scales)} if scales else {}

    async def _prompt(self, body: Mapping[str, Any], model: str, owner: str) -> str | None:
        if owner == "llamacpp":
            return _text(await self._post("apply-template", body), "prompt")
        answer = await self._post("tokenize", {"model": model, **body})
        tokens = answer.get("tokens")
        if not isinstance(tokens, list):
            return None
        return _text(await self._post("detokenize", {"model": model, "tokens": tokens}), "prompt")

    async def _post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer, {} if there is none: the check never fails a request."""
        try:
            # A redirect would send the prompts to an address that no suite names.
            async with self._session().post(
                f"{self._root}/{path}", json=body, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                answer = load_json(await limited_body(response.content.iter_any()))
        except (aiohttp.ClientError, TimeoutError, ValueError, ReplyError):
            return {}
        return answer if response.status == _OK and isinstance(answer, Mapping) else {}


def _text(answer: Mapping[str, Any], key: str) -> str | None:
    value = answer.get(key)
    return value if isinstance(value, str) else None
