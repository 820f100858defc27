"""Chat completions: OpenAI, vLLM, llama.cpp's server, Ollama, and compatible servers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from pytest_ftgate.errors import Denied, Refused, ReplyError, Transient, Unavailable
from pytest_ftgate.providers.http import Learned, said_in, trouble
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call, Step, ToolCall

__all__ = [
    "REPLY_TOOL",
    "Chat",
    "is_closed",
    "messages_of",
    "open_provider",
    "refusal_of",
    "reply_of",
    "step_of",
    "tools_of",
]


def messages_of(call: Call) -> list[dict[str, Any]]:
    """Return the conversation of *call*: what is asked, and the turns with tools since then."""
    asked = [{"role": role, "content": text} for role, text in call.messages]
    return [*asked, *(message for step in call.steps for message in _turn(step))]


def tools_of(call: Call) -> list[dict[str, Any]]:
    """Return the functions that the model may call; empty where there are none."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in call.tools
    ]


def step_of(message: Mapping[str, Any]) -> Step | None:
    """Return the uses of tools that the model asks for in *message*, or None where it does not."""
    asked = message.get("tool_calls")
    if not asked:
        return None
    uses = tuple(_use(one, index) for index, one in enumerate(asked))
    return Step(message.get("content") or "", uses)


def _turn(step: Step) -> Iterator[dict[str, Any]]:
    calls = [
        {
            "id": use.id,
            "type": "function",
            "function": {"name": use.name, "arguments": _arguments(use)},
        }
        for use in step.calls
    ]
    yield {"role": "assistant", "content": step.text, "tool_calls": calls}
    for use in step.calls:
        yield {"role": "tool", "tool_call_id": use.id, "content": use.result}


def _arguments(use: ToolCall) -> str:
    # Servers read these again, and some break on what is no JSON; its result tells the model so.
    return json.dumps(use.arguments if isinstance(use.arguments, Mapping) else {})


def _use(asked: Mapping[str, Any], index: int) -> ToolCall:
    function = asked.get("function") or {}
    return ToolCall(
        name=str(function.get("name") or ""),
        arguments=_read(function.get("arguments")),
        # Some servers give none, and a result must name the use that it belongs to.
        id=str(asked.get("id") or f"call_{index}"),
    )


def _read(written: Any) -> Any:
    """Return arguments as a mapping; as text where they are none. No text is no arguments."""
    if isinstance(written, Mapping):
        return dict(written)
    try:
        found = json.loads(written or "{}")
    except (TypeError, ValueError):
        return str(written)
    return found if isinstance(found, dict) else str(written)


#: The tool that a reply is asked for through where a server takes no schema for replies.
REPLY_TOOL = "give_the_reply"
_STOPS = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool",
    "function_call": "tool",
}
#: So much is shown of a body that cannot be read.
_SHOWN = 80


def reply_of(body: bytes, headers: Mapping[str, str]) -> Reply:
    """Read a completion.

    Raises:
        Transient: it is none.
    """
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = {key: value for key, value in choice["message"].items() if value is not None}
    except ValueError as error:
        raise Transient(f"the body is cut off or no JSON: {error}") from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Transient(f"the body is no completion: {_start(body)}") from error
    text, stop = message.get("content", ""), _STOPS.get(choice.get("finish_reason") or "", "end")
    step = step_of(message)
    forced = [use for use in step.calls if use.name == REPLY_TOOL] if step else []
    if forced:
        text, step = forced[0].written, None
        stop = "end" if stop == "tool" else stop
    if message.get("refusal"):
        text, stop = message["refusal"], "refusal"
    return Reply(
        text=text,
        # A turn that was cut off holds half a call at the most.
        stop="tool" if step and stop not in ("length", "refusal") else stop,
        model=completion.get("model") or None,
        usage=_usage(completion.get("usage")),
        request_id=headers.get("x-request-id"),
        steps=(step,) if step else (),
    )


def refusal_of(
    status: int, body: bytes, headers: Mapping[str, str], *, answers: bool
) -> ReplyError:
    """Return the error that an answer with *status* is.

    Args:
        status: from 400 up.
        body: of the answer.
        headers: of the answer.
        answers: the server has answered others of these calls.
    """
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    error = told.get("error") if isinstance(told, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return trouble(status, said_in(told, _start(body)), headers, code, answers=answers)


def is_closed(schema: Any) -> bool:
    """Tell whether each object of *schema* names all of its keys and requires them."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    named = schema.get("properties")
    open_ = isinstance(named, Mapping) and set(named) != set(schema.get("required", ()))
    loose = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not (open_ or loose) and all(map(is_closed, schema.values()))


def _start(body: bytes) -> str:
    return body.decode(errors="replace")[:_SHOWN]


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, Mapping):
        return {}
    read = _part(usage, "prompt_tokens_details", "cached_tokens")
    counts = {
        # As at other providers, what was read from a cache is counted apart.
        "input": (usage.get("prompt_tokens") or 0) - read,
        "output": usage.get("completion_tokens") or 0,
        "cache_read": read,
        "thinking": _part(usage, "completion_tokens_details", "reasoning_tokens"),
    }
    return {key: count for key, count in counts.items() if count or key in ("input", "output")}


def _part(usage: Mapping[str, Any], details: str, name: str) -> int:
    return int((usage.get(details) or {}).get(name) or 0)


#: How the API calls what a suite calls otherwise.
_NAMES = {"effort": "reasoning_effort"}
_HOME = "https://api.openai.com/v1"
_BAD, _NOT_FOUND = 400, 404
#: Seconds that a reply may take, and that a connection may.
_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=5)
#: Seconds that a server may take to tell what it knows of its model.
_QUICKLY = aiohttp.ClientTimeout(total=5)


class Chat:
    """One client for one address, key and model.

    Args:
        url: the address, without a slash at its end.
        headers: sent with each request.
        at_home: whether it is OpenAI's own.
    """

    concurrency, most = 8, 64

    def __init__(self, url: str, headers: Mapping[str, str], *, at_home: bool) -> None:
        self._url, self._headers = url, dict(headers)
        self._learned = Learned()
        self._answers = False
        self._limit = "max_completion_tokens" if at_home else "max_tokens"
        self._facts: asyncio.Task[Mapping[str, str]] | None = None
        self.limits: Mapping[str, str] = {}

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        """The connections; made where they are used, since they belong to its loop."""
        # As many as are asked for at once: how many that is is the engine's to say.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=_TIMEOUT,
            proxy=_proxy(self._url),
        )

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
                reply = await self._answered(request)
            except Refused as error:
                if not self._learn(str(error), sent, request):
                    raise
                continue
            self._answers, took = True, time.perf_counter() - start
            unsent = tuple(sorted({*_declared(call)} - {*sent}))
            return replace(reply, seconds=took, facts=facts, unsent=unsent)

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
            named = {"name": "reply", "schema": schema, "strict": is_closed(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        function = {"name": REPLY_TOOL, "parameters": schema, "strict": True}
        choice = {"type": "function", "function": {"name": REPLY_TOOL}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}

    async def _answered(self, request: dict[str, Any]) -> Reply:
        try:
            async with self._session.post(f"{self._url}/chat/completions", json=request) as answer:
                body, self.limits = await answer.read(), answer.headers
        except aiohttp.InvalidURL as error:
            raise Denied(f"{self._url} is no address") from error
        except TimeoutError as error:
            raise Transient("no reply in time") from error
        except aiohttp.ClientError as error:
            raise Transient(f"no connection to {self._url}: {error!r}") from error
        if answer.status >= _BAD:
            raise self._failure(answer.status, body, answer.headers)
        try:
            return reply_of(body, answer.headers)
        except Transient as error:
            raise Transient(f"{error}{self._hint()}") from error

    def _failure(self, status: int, body: bytes, headers: Mapping[str, str]) -> ReplyError:
        error = refusal_of(status, body, headers, answers=self._answers)
        return type(error)(f"{error}{self._hint()}") if status == _NOT_FOUND else error

    def _hint(self) -> str:
        return "" if self._url.endswith("/v1") else f"; {self._url} does not end in /v1, as most do"

    async def _told(self, model: str) -> Mapping[str, str]:
        """Return what the server says of the model; asked once, and never a reason to fail."""
        if self._facts is None:
            self._facts = asyncio.create_task(self._ask_about(model))
        return await self._facts

    async def _ask_about(self, model: str) -> Mapping[str, str]:
        mine = await self._listed(f"{self._url}/models", "data", "id", model)
        told = {key: mine[key] for key in ("parent", "root") if isinstance(mine.get(key), str)}
        if not told and self._limit == "max_tokens":
            # Ollama tells elsewhere which weights are behind a tag.
            tag = await self._listed(urljoin(self._url, "/api/tags"), "models", "name", model)
            told |= {"digest": str(tag["digest"])} if "digest" in tag else {}
        return told | _retiring(mine)

    async def _listed(self, url: str, rows: str, key: str, model: str) -> dict[str, Any]:
        """Return the server's row on *model*, or an empty one."""
        try:
            async with self._session.get(url, timeout=_QUICKLY) as answer:
                body: Any = json.loads(await answer.read())
            found = {str(row[key]).removesuffix(":latest"): dict(row) for row in body[rows]}
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            return {}
        return found.get(model.removesuffix(":latest"), {})

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names; aiohttp would look it up for each request."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _retiring(row: Mapping[str, Any]) -> dict[str, str]:
    when = row.get("shutdown_date")
    if isinstance(when, int | float):
        when = datetime.fromtimestamp(when, UTC).date().isoformat()
    return {"retires": when} if isinstance(when, str) else {}


def _declared(call: Call) -> list[str]:
    return [*call.sampling, *(["response_format"] if call.constraint else [])]


def _ours(said: str) -> str:
    """Return the server's words with our name for a setting beside its own."""
    return f"{said} ({', '.join(key for key, name in _NAMES.items() if name in said)})"


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> Chat:
    """Open a client for the address and key that *calls* name.

    Raises:
        Unavailable: the variable that should hold the key is not set.
    """
    call = calls[0]
    # A key of OpenAI's goes where the environment says, never to an address that a suite names.
    at_home = call.base_url in (None, environ.get("OPENAI_BASE_URL"))
    name = call.api_key_env
    if name is None:
        name = "OPENAI_API_KEY" if at_home else ""
    key = environ.get(name) if name else "none"
    if not key:
        raise Unavailable(
            f"the key of {call.model} is missing: set {name}, "
            "or judge what is recorded with --ftgate-replies=recorded"
        )
    url = call.base_url or environ.get("OPENAI_BASE_URL") or _HOME
    headers = {"Authorization": f"Bearer {key}", **(_account(environ) if at_home else {})}
    return Chat(url.rstrip("/"), headers, at_home=call.base_url is None)


def _account(environ: Mapping[str, str]) -> dict[str, str]:
    """Return which of several accounts of one key pays."""
    names = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    return {header: environ[name] for header, name in names.items() if environ.get(name)}
