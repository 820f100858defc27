"""Chat completions through OpenAI's own SDK: OpenAI, vLLM, llama.cpp, Ollama, and many more."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI

from pytest_ftgate.ask.learned import Learned
from pytest_ftgate.ask.providers.chat_shape import messages_of, step_of, tools_of
from pytest_ftgate.ask.providers.wire import as_text, failure, said_in
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import Denied, Refused, ReplyError, Transient, Unavailable
from pytest_ftgate.plan.call import Call

__all__ = ["Chat", "open_provider"]

_STOPS = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool",
    "function_call": "tool",
}
_NOT_FOUND = 404
#: Seconds that a server may take to tell what it knows of its model.
_QUICKLY: Any = {"timeout": 5.0}
#: A rate limit that no waiting lifts: the account has run out of money.
_SPENT = ("insufficient_quota", "billing_hard_limit_reached")
#: How the API calls what a suite calls otherwise.
_NAMES = {"effort": "reasoning_effort"}
#: The tool that a reply is asked for through where a server takes no schema for replies.
_REPLY = "give_the_reply"


class Chat:
    """One client for one address, key and model."""

    concurrency = 16

    def __init__(self, client: AsyncOpenAI, *, at_home: bool) -> None:
        self._client = client
        self._learned = Learned()
        self._answers = False
        self._limit = "max_completion_tokens" if at_home else "max_tokens"
        self._facts: asyncio.Task[Mapping[str, str]] | None = None

    def serves(self, call: Call) -> bool:
        """Serve every call that comes to the same address, key and model."""
        return bool(call)

    async def ask(self, call: Call) -> Reply:
        """Send one request; retries are the engine's work, so that it sees every failure.

        Raises:
            Transient: overload, a timeout, a lost connection, a broken body.
            Refused: the request itself is wrong.
            Denied: credentials, spend limit, unknown model.
        """
        facts = await self._told(call.model)
        while True:
            sent = [key for key in _declared(call) if self._learned.takes(key)]
            request, start = self._request(call), time.perf_counter()
            try:
                completion = await self._created(request)
            except Refused as error:
                if not self._learn(str(error), sent, request):
                    raise
                continue
            self._answers = True
            reply = _reply(completion, time.perf_counter() - start)
            unsent = tuple(sorted({*_declared(call)} - {*sent}))
            return replace(reply, facts=facts, unsent=unsent)

    def _learn(self, said: str, sent: Sequence[str], request: Mapping[str, Any]) -> bool:
        if "max_completion_tokens" in said and "max_tokens" in request:
            self._limit = "max_completion_tokens"
            return True
        return self._learned.learn(_ours(said), sent)

    def _request(self, call: Call) -> dict[str, Any]:
        sampling = self._learned.taken(call.sampling)
        if "seed" in sampling:
            # Repeats of a sampled reply must differ, and be the same in the next run.
            sampling["seed"] += call.repeat
        request: dict[str, Any] = {
            "model": call.model,
            "messages": messages_of(call),
            self._limit: call.max_tokens,
            **{_NAMES.get(key, key): value for key, value in sampling.items()},
        }
        if call.tools:
            request["tools"] = tools_of(call)
        return request | self._held(call)

    def _held(self, call: Call) -> dict[str, Any]:
        if call.constraint is None:
            return {}
        schema = call.constraint["json_schema"]
        # A model that has tools of its own cannot be made to use another one.
        if self._learned.takes("response_format") or call.tools:
            # Servers that read "strict" refuse a schema that leaves anything open.
            named = {"name": "reply", "schema": schema, "strict": _is_closed(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        function = {"name": _REPLY, "parameters": schema, "strict": True}
        choice = {"type": "function", "function": {"name": _REPLY}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}

    async def _created(self, request: dict[str, Any]) -> Any:
        try:
            completion = await self._client.chat.completions.create(**request)
        except openai.APIStatusError as error:
            raise self._failure(error) from error
        except openai.APIResponseValidationError as error:
            raise Transient(f"the body cannot be read: {error}") from error
        # The SDK lets through what goes wrong while it reads a body.
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            told = f"no connection to {self._client.base_url}: {error.__cause__ or error!r}"
            raise Transient(told) from error
        except json.JSONDecodeError as error:
            told = f"the body is cut off or no JSON: {error}{self._hint()}"
            raise Transient(told) from error
        except openai.OpenAIError as error:
            raise Denied(str(error).splitlines()[0]) from error
        if not getattr(completion, "choices", None) or completion.choices[0].message is None:
            raise Transient(f"the body is no completion: {str(completion)[:80]!r}")
        return completion

    def _failure(self, error: openai.APIStatusError) -> ReplyError:
        said = said_in(error.body, error.message)
        said += self._hint() if error.status_code == _NOT_FOUND else ""
        headers, spent = error.response.headers, error.code in _SPENT
        return failure(error.status_code, said, headers, spent=spent, answers=self._answers)

    def _hint(self) -> str:
        address = str(self._client.base_url).rstrip("/")
        return "" if address.endswith("/v1") else f"; {address} does not end in /v1, as most do"

    async def _told(self, model: str) -> Mapping[str, str]:
        """Return what the server says of the model; asked once, and never a reason to fail."""
        if self._facts is None:
            self._facts = asyncio.create_task(self._ask_about(model))
        return await self._facts

    async def _ask_about(self, model: str) -> Mapping[str, str]:
        mine = await self._listed("/models", "data", "id", model)
        told = {key: mine[key] for key in ("parent", "root") if isinstance(mine.get(key), str)}
        if not told and self._limit == "max_tokens":
            # Ollama tells elsewhere which weights are behind a tag.
            tags = str(self._client.base_url.copy_with(path="/api/tags"))
            tag = await self._listed(tags, "models", "name", model)
            told |= {"digest": str(tag["digest"])} if "digest" in tag else {}
        return told | _retiring(mine)

    async def _listed(self, url: str, rows: str, key: str, model: str) -> dict[str, Any]:
        """Return the server's row on *model*, or an empty one."""
        try:
            body: Any = await self._client.get(url, cast_to=object, options=_QUICKLY)
            found = {str(row[key]).removesuffix(":latest"): dict(row) for row in body[rows]}
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, KeyError, TypeError):
            return {}
        return found.get(model.removesuffix(":latest"), {})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _retiring(row: Mapping[str, Any]) -> dict[str, str]:
    when = row.get("shutdown_date")
    if isinstance(when, int | float):
        when = datetime.fromtimestamp(when, UTC).date().isoformat()
    return {"retires": when} if isinstance(when, str) else {}


def _is_closed(schema: Any) -> bool:
    """Tell whether each object of *schema* names all of its keys and requires them."""
    if isinstance(schema, list):
        return all(map(_is_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    named = schema.get("properties")
    open_ = isinstance(named, Mapping) and set(named) != set(schema.get("required", ()))
    loose = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not (open_ or loose) and all(map(_is_closed, schema.values()))


def _declared(call: Call) -> list[str]:
    return [*call.sampling, *(["response_format"] if call.constraint else [])]


def _ours(said: str) -> str:
    """Return the server's words with our name for a setting beside its own."""
    return f"{said} ({', '.join(key for key, name in _NAMES.items() if name in said)})"


def _reply(completion: Any, seconds: float) -> Reply:
    choice = completion.choices[0]
    message = choice.message
    step = step_of(message.model_dump(exclude_none=True))
    forced = step and [call for call in step.calls if call.name == _REPLY]
    text = message.content or ""
    stop = _STOPS.get(choice.finish_reason or "", "end")
    if forced:
        text, step = as_text(forced[0].arguments), None
        stop = "end" if stop == "tool" else stop
    if getattr(message, "refusal", None):
        text, stop = message.refusal, "refusal"
    return Reply(
        text=text,
        # A turn that was cut off holds half a call at the most.
        stop="tool" if step and stop not in ("length", "refusal") else stop,
        model=completion.model or None,
        usage=_usage(completion.usage),
        seconds=seconds,
        request_id=getattr(completion, "_request_id", None),
        steps=(step,) if step else (),
    )


def _usage(usage: Any) -> dict[str, int]:
    if usage is None:
        return {}
    read = getattr(usage.prompt_tokens_details, "cached_tokens", None) or 0
    thought = getattr(usage.completion_tokens_details, "reasoning_tokens", None) or 0
    counts = {
        # As at other providers, what was read from a cache is counted apart.
        "input": (usage.prompt_tokens or 0) - read,
        "output": usage.completion_tokens or 0,
        "cache_read": read,
        "thinking": thought,
    }
    return {key: count for key, count in counts.items() if count or key in ("input", "output")}


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> Chat:
    """Open a client for the address and key that *calls* name.

    Raises:
        Unavailable: the variable that should hold the key is not set.
    """
    call = calls[0]
    name = call.api_key_env
    if name is None:
        # Where a suite names no variable, only the environment's own address is given its key.
        at_home = call.base_url in (None, environ.get("OPENAI_BASE_URL"))
        name = "OPENAI_API_KEY" if at_home else ""
    key = environ.get(name) if name else "none"
    if not key:
        raise Unavailable(
            f"the key of {call.model} is missing: set {name}, "
            "or judge what is recorded with --ftgate-replies=recorded"
        )
    client = AsyncOpenAI(api_key=key, base_url=call.base_url, max_retries=0)
    return Chat(client, at_home=call.base_url is None)
