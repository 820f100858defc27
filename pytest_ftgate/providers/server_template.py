"""Template parity: compares the prompts that a server writes with the template of the training."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.adapters.chat_template import (
    SAMPLE_CHATS,
    TEMPLATE_OPTIONS,
    Chat,
    ChatTemplate,
    trained_template,
)
from pytest_ftgate.providers.served import Server
from pytest_ftgate.requests.reply import SERVED_SCALE_FACT, TEMPLATE_FACT
from pytest_ftgate.requests.request import Request

#: The timeout of one look-up, in seconds.
_TIMEOUT = 10.0


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
        return await self._server.look_up(method, url, _TIMEOUT, **options)
