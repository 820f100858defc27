"""The Chat Completions API: OpenAI, vLLM, llama.cpp's server, Ollama and compatible servers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from pytest_ftgate.errors import (
    ProviderRejected,
    ReplyError,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.base import REPLY_TOOL, Provider, declared_key
from pytest_ftgate.providers.http import (
    UnsupportedParams,
    error_message,
    http_error,
    is_page,
    limited_body,
    load_json,
    redirect_error,
    token_count,
)
from pytest_ftgate.providers.logprobs import given_reply_payload, logprob_options, with_logprobs
from pytest_ftgate.providers.served import BareError, BareErrors, ServedAdapters, ServerAccess
from pytest_ftgate.providers.server_template import ServedTemplate
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, Step, ToolCall
from pytest_ftgate.suite.providers import PROVIDERS


def chat_messages(request: Request) -> list[dict[str, Any]]:
    """Return the conversation of *request*, including the earlier turns with tool calls."""
    messages = [{"role": role, "content": text} for role, text in request.messages]
    return [*messages, *(message for step in request.steps for message in _step_messages(step))]


def chat_tools(request: Request) -> list[dict[str, Any]]:
    """Return the tools of *request* in the API's format."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in request.tools
    ]


def chat_step(message: Mapping[str, Any]) -> Step | None:
    """Return the text and the tool calls in *message*, or None if there is no tool call."""
    tool_calls = message.get("tool_calls")
    if not tool_calls:
        return None
    parsed = tuple(_tool_call(tool_call, index) for index, tool_call in enumerate(tool_calls))
    return Step(chat_text(message)[0], parsed)


def chat_text(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of *message*, and the thought that stands apart from it."""
    content = message.get("content") or ""
    # Servers have two names for the thought; some send text and thought as parts.
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    parts = content if isinstance(content, list) else []
    thoughts = [thought, *(_part_text(part.get("thinking")) for part in parts)]
    text = "".join(_part_text(part.get("text")) for part in parts) if parts else content
    return text, "\n\n".join(text for text in thoughts if text and isinstance(text, str))


def _part_text(content: Any) -> str:
    """Return the text of a part of a message, whose thought may have parts itself."""
    if isinstance(content, list):
        return "".join(_part_text(part.get("text")) for part in content)
    return content if isinstance(content, str) else ""


def _step_messages(step: Step) -> Iterator[dict[str, Any]]:
    tool_calls = [
        {
            "id": tool_call.id,
            "type": "function",
            "function": {"name": tool_call.name, "arguments": _arguments_json(tool_call)},
        }
        for tool_call in step.calls
    ]
    yield {"role": "assistant", "content": step.text, "tool_calls": tool_calls}
    for tool_call in step.calls:
        yield {"role": "tool", "tool_call_id": tool_call.id, "content": tool_call.result}


def _arguments_json(tool_call: ToolCall) -> str:
    # Some servers fail on invalid JSON here; the tool's result reports it to the model anyway.
    return json.dumps(tool_call.arguments if isinstance(tool_call.arguments, Mapping) else {})


def _tool_call(raw: Mapping[str, Any], index: int) -> ToolCall:
    function = raw.get("function") or {}
    return ToolCall(
        name=str(function.get("name") or ""),
        arguments=_parse_arguments(function.get("arguments")),
        # Some servers send no id, and a result must name its tool call.
        id=str(raw.get("id") or f"call_{index}"),
    )


def _parse_arguments(arguments: Any) -> Any:
    """Return *arguments* as a mapping, or as text if they are not a JSON object; "" means {}."""
    if isinstance(arguments, Mapping):
        return dict(arguments)
    try:
        parsed = json.loads(arguments or "{}")
    except (TypeError, ValueError, RecursionError):
        return str(arguments)
    return parsed if isinstance(parsed, dict) else str(arguments)


_STOPS = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool",
    "function_call": "tool",
}
#: The number of characters that an error message shows of an unreadable body.
_SHOWN = 80


def parse_completion(body: bytes, headers: Mapping[str, str]) -> Reply:
    """Return the reply in the body of a response.

    Raises:
        RetryableError: the body is not a completion.
    """
    try:
        completion = load_json(body)
        choice = completion["choices"][0]
        message = {key: value for key, value in choice["message"].items() if value is not None}
    except ValueError as error:
        raise RetryableError(f"the body is cut off or no JSON: {error}") from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise RetryableError(f"the body is no completion: {_start(body)}") from error
    if message.keys() <= {"role"} and not choice.get("finish_reason"):
        raise RetryableError(f"the body has neither content nor finish_reason: {_start(body)}")
    text, thought = chat_text(message)
    stop = _STOPS.get(choice.get("finish_reason") or "", "end")
    step = chat_step(message)
    reply_calls = [call for call in step.calls if call.name == REPLY_TOOL] if step else []
    if reply_calls:
        text, step = reply_calls[0].arguments_text, None
        stop = "end" if stop == "tool" else stop
    if message.get("refusal"):
        text, stop = message["refusal"], "refusal"
    return Reply(
        text=text,
        # The last tool call of a truncated turn is incomplete.
        stop="tool" if step and stop not in ("length", "refusal") else stop,
        model=completion.get("model") or None,
        usage=_usage(completion.get("usage")),
        request_id=headers.get("x-request-id"),
        steps=(step,) if step else (),
        thought=thought,
    )


def completion_error(
    status: int, body: bytes, headers: Mapping[str, str], *, has_answered: bool
) -> ReplyError:
    """Return the error for an HTTP response with *status*, which is at least 400.

    *has_answered* is True if the server has answered other requests of the variant.
    """
    try:
        content = load_json(body)
    except ValueError:
        content = None
    error = content.get("error") if isinstance(content, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    shown = f"with {_start(body)}" if is_page(body) else _start(body)
    return http_error(
        status, error_message(content, shown), headers, code, has_answered=has_answered
    )


#: The key of the label in the object that a server without a choice returns.
_LABEL = "label"


def choice_grammar(labels: Iterable[str]) -> str:
    """Return the grammar of llama.cpp in which a reply is one of *labels*."""
    return f"root ::= {' | '.join(map(_quoted, labels))}"


def _quoted(label: str) -> str:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _choice_options(labels: Sequence[str], owner: str) -> dict[str, Any]:
    """Return the options that make a reply one of *labels* as it is; {} if there are none.

    *owner* is what the server states as the owner of its models. JSON around a label is not what
    most models were tuned to write: in it, they often choose another label.
    """
    if owner == "vllm":
        # The second is the name of the first in earlier versions, which ignore the first.
        return {"structured_outputs": {"choice": [*labels]}, "guided_choice": [*labels]}
    return {"grammar": choice_grammar(labels)} if owner == "llamacpp" else {}


def _reply_schema(constraint: Mapping[str, Any]) -> Any:
    """Return the schema that enforces *constraint*: for labels, an object with one of them.

    All servers with schemas take an object; some refuse a schema of bare text.
    """
    if "choice" not in constraint:
        return constraint["json_schema"]
    label = {"type": "string", "enum": [*constraint["choice"]]}
    closed = {"required": [_LABEL], "additionalProperties": False}
    return {"type": "object", "properties": {_LABEL: label}, **closed}


def _bare_label(text: str) -> str:
    """Return the label in a reply under the schema of labels; any other text is unchanged."""
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_label = isinstance(reply, dict) and [*reply] == [_LABEL] and isinstance(reply[_LABEL], str)
    return reply[_LABEL] if is_label else text


def is_closed_schema(schema: Any) -> bool:
    """Return True if every object of *schema* names all of its keys and requires them."""
    if isinstance(schema, list):
        return all(map(is_closed_schema, schema))
    if not isinstance(schema, Mapping):
        return True
    keys = schema.get("properties")
    has_optional = isinstance(keys, Mapping) and set(keys) != set(schema.get("required", ()))
    is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not (has_optional or is_open) and all(map(is_closed_schema, schema.values()))


def _start(body: bytes) -> str:
    return "a web page" if is_page(body) else body.decode(errors="replace")[:_SHOWN]


def _is_object(body: bytes) -> bool:
    with suppress(ValueError):
        return isinstance(load_json(body), Mapping)
    return False


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, Mapping):
        return {}
    cached = _token_detail(usage, "prompt_tokens_details", "cached_tokens")
    counts = {
        # Like the other providers, count cached input tokens apart.
        "input": max(0, token_count(usage.get("prompt_tokens")) - cached),
        "output": token_count(usage.get("completion_tokens")),
        "cache_read": cached,
        "thought": _token_detail(usage, "completion_tokens_details", "reasoning_tokens"),
    }
    return {key: count for key, count in counts.items() if count or key in ("input", "output")}


def _token_detail(usage: Mapping[str, Any], details: str, name: str) -> int:
    counts = usage.get(details)
    return token_count(counts.get(name)) if isinstance(counts, Mapping) else 0


#: Settings whose names in the API differ.
_API_NAMES = {"effort": "reasoning_effort"}
_OPENAI_URL = PROVIDERS["openai-compatible"].url
_REDIRECT, _BAD_REQUEST, _SERVER_ERROR = 300, 400, 500
#: Timeouts of a reply and of a connection, in seconds.
_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=5)
#: The timeout of a request for model facts, in seconds.
_FACTS_TIMEOUT = aiohttp.ClientTimeout(total=5)


class OpenAIProvider(Provider):
    """One client for one address, key and model.

    The URL of *access* has no trailing slash. *headers* are those of each request. *is_openai* is
    True if the address is OpenAI's own.
    """

    concurrency = PROVIDERS["openai-compatible"].concurrency
    max_concurrency = PROVIDERS["openai-compatible"].max_concurrency

    def __init__(
        self, access: ServerAccess, headers: Mapping[str, str], *, is_openai: bool
    ) -> None:
        self._access, self._url, self._headers = access, access.url, dict(headers)
        self._unsupported = UnsupportedParams()
        self._has_answered = False
        self._bare_errors = BareErrors()
        self._max_tokens_key = "max_completion_tokens" if is_openai else "max_tokens"
        self._facts: asyncio.Task[Mapping[str, str]] | None = None
        #: The models that the server lists, and what it states as their owner.
        self._served: tuple[str, ...] = ()
        self._owner = ""
        self._adapters = ServedAdapters(access.url, lambda: self._session, loads=not is_openai)
        self._template = ServedTemplate(access.url, lambda: self._session)

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        """The HTTP session; created on first use because it belongs to the running event loop."""
        # limit=0 means no limit of connections: the engine limits the requests in flight.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=_TIMEOUT,
            proxy=_proxy(self._url),
        )

    async def generate(self, request: Request) -> Reply:
        """Send one request without retries; the engine retries and counts every failure.

        Raises:
            RetryableError: overload, a timeout, a lost connection, a broken body.
            RequestRejected: the request itself is wrong.
            ProviderRejected: credentials, spending limit, unknown model.
        """
        model = await self._adapters.name_of(request)
        facts = {
            **await self.fetch_facts(model),
            **await self._template.fact(request, model, self._owner),
        }
        while True:
            unsent = self.unsent(request)
            payload, start = {**self.payload(request), "model": model}, time.perf_counter()
            try:
                reply = await self._post(payload, request)
            except RequestRejected as error:
                if not self.learn_rejection(str(error), request, unsent):
                    raise
                continue
            except BareError as error:
                raise self._bare_errors.counted(error, request) from error
            self._has_answered, seconds = True, time.perf_counter() - start
            # The name of a loaded adapter belongs to this run alone.
            is_own = reply.model == model != request.model
            name = request.served_model or request.model if is_own else reply.model
            reply = replace(reply, model=name, seconds=seconds, facts=facts)
            return finished_reply(reply, request, unsent)

    def unsent(self, request: Request) -> list[str]:
        """Return the settings that the payload of *request* leaves out.

        ``max_tokens`` is one of them if it is sent under its other name.
        """
        renamed = ["max_tokens"] if self._max_tokens_key != "max_tokens" else []
        declared = _declared_settings(request)
        return [key for key in declared if not self._unsupported.supports(key)] + renamed

    def learn_rejection(self, message: str, request: Request, unsent: Collection[str]) -> bool:
        """Record the settings that *message* rejects; return True if there are any.

        *unsent* are those that the rejected payload of *request* left out.
        """
        if "max_completion_tokens" in message and "max_tokens" not in unsent:
            self._max_tokens_key = "max_completion_tokens"
            return True
        sent = [key for key in _declared_settings(request) if key not in unsent]
        return self._unsupported.learn(_with_setting_names(message), sent)

    def payload(self, request: Request) -> dict[str, Any]:
        """Return the body of *request*, without the settings that the server rejects."""
        if request.given:
            return given_reply_payload(request, chat_messages(request))
        sampling = self._unsupported.supported(request.sampling)
        if "seed" in sampling:
            # Repeats must differ from each other, and each must be the same in the next run.
            sampling["seed"] += request.repeat
        payload: dict[str, Any] = {
            **request.extra,
            "model": request.model,
            "messages": chat_messages(request),
            self._max_tokens_key: request.max_tokens,
            **{_API_NAMES.get(key, key): value for key, value in sampling.items()},
        }
        if request.tools:
            payload["tools"] = chat_tools(request)
        return payload | logprob_options(request) | self._schema_options(request)

    def _schema_options(self, request: Request) -> dict[str, Any]:
        """Return the options that enforce the schema: the native one, or those of a forced tool."""
        if request.constraint is None:
            return {}
        labels = request.constraint.get("choice", ())
        choice_options = _choice_options(labels, self._owner) if labels else {}
        if choice_options and not request.tools:
            return choice_options
        schema = _reply_schema(request.constraint)
        # A request with tools of its own cannot force the reply tool.
        if self._unsupported.supports("response_format") or request.tools:
            # With "strict" servers reject schemas with optional or additional keys.
            reply_schema = {"name": "reply", "schema": schema, "strict": is_closed_schema(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": reply_schema}}
        function = {"name": REPLY_TOOL, "parameters": schema, "strict": True}
        choice = {"type": "function", "function": {"name": REPLY_TOOL}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}

    async def _post(self, payload: dict[str, Any], request: Request) -> Reply:
        status, body, headers = await self.send("POST", "chat/completions", json=payload)
        self.rate_limit_headers = headers
        if status >= _REDIRECT:
            raise self.error(status, body, headers)
        if is_page(body):
            raise self._access.page_error(has_answered=self._has_answered)
        try:
            reply = parse_completion(body, headers)
        except RetryableError as error:
            where = f"({self._url}, model {request.model}){self._access.path_hint}"
            raise RetryableError(f"{error} {where}") from error
        return with_logprobs(reply, request, body, self._url)

    async def send(
        self, method: str, path: str, *, limit: int | None = None, **content: Any
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Send *content* to *path* and return the status, the body and the headers of the response.

        The body has *limit* bytes at most.

        Raises:
            RetryableError: the connection failed.
            ProviderRejected: nothing can be sent to this address.
        """
        url = f"{self._url}/{path}"
        try:
            # A redirect would send the prompts to an address that no suite names.
            async with self._session.request(
                method, url, allow_redirects=False, **content
            ) as response:
                body = await limited_body(response.content.iter_any(), limit)
                return response.status, body, response.headers
        # Of the address, a proxy or a header: an aiohttp.InvalidURL or UnicodeError as well.
        except ValueError as error:
            raise ProviderRejected(f"nothing can be sent to {self._url}: {error}") from error
        except TimeoutError as error:
            raise RetryableError(f"no reply in time from {self._url}") from error
        except aiohttp.ClientConnectorError as error:
            raise self._access.connection_error(
                error.os_error, has_answered=self._has_answered
            ) from error
        except aiohttp.ClientError as error:
            raise RetryableError(f"no connection to {self._url}: {error}") from error

    def error(self, status: int, body: bytes, headers: Mapping[str, str]) -> ReplyError:
        """Return the error for a response with *status*, which is a redirect or an error."""
        if status < _BAD_REQUEST:
            return redirect_error(self._url, headers.get("location", ""))
        answered = self._has_answered
        error = completion_error(status, body, headers, has_answered=answered)
        if status == _SERVER_ERROR and not answered and not _is_object(body):
            error = BareError(str(error))
        return self._access.explain(error, status, self._served, has_answered=answered)

    async def fetch_facts(self, model: str) -> Mapping[str, str]:
        """Return the facts of the model; they are fetched once, and that never fails."""
        if self._facts is None:
            self._facts = asyncio.create_task(self._model_facts(model))
        return await self._facts

    async def template_difference(self, request: Request) -> str:
        """Return where the server's prompts differ from those of the training; "" if nowhere.

        No adapter is loaded for it: the template of a server is that of its base.
        """
        await self.fetch_facts(request.model)
        named = request.served_model or request.model
        model = named if named in self._served or not self._served else self._served[0]
        return await self._template.difference(request, model, self._owner)

    async def _model_facts(self, model: str) -> Mapping[str, str]:
        rows = await self._list_rows(f"{self._url}/models", "data", "id")
        entry = rows.get(_untagged(model), {})
        self._served = tuple(rows)
        # A server of one model lists it under a name of its own.
        self._owner = next((str(row["owned_by"]) for row in rows.values() if "owned_by" in row), "")
        facts = {key: entry[key] for key in ("parent", "root") if isinstance(entry.get(key), str)}
        if self._owner == "llamacpp":
            facts |= await self._template.scale_fact()
        if not facts and self._max_tokens_key == "max_tokens":
            # Ollama has its own endpoint for the weights behind a tag.
            tags = await self._list_rows(urljoin(self._url, "/api/tags"), "models", "name")
            tag = tags.get(_untagged(model), {})
            facts |= {"digest": str(tag["digest"])} if "digest" in tag else {}
        return facts | _retirement(entry)

    async def _list_rows(self, url: str, list_key: str, key: str) -> dict[str, dict[str, Any]]:
        """Return the models in the server's list at *url*, by name; {} if it has none."""
        try:
            async with self._session.get(
                url, timeout=_FACTS_TIMEOUT, allow_redirects=False
            ) as response:
                body = load_json(await limited_body(response.content.iter_any()))
            return {_untagged(str(row[key])): dict(row) for row in body[list_key]}
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, ReplyError):
            return {}

    async def close(self) -> None:
        """Unload what was loaded, and close the connections."""
        await self._adapters.unload()
        await self._session.close()


def finished_reply(reply: Reply, request: Request, unsent: Collection[str]) -> Reply:
    """Return *reply* with the bare label of a choice and the declared settings in *unsent*."""
    if request.constraint and "choice" in request.constraint:
        reply = replace(reply, text=_bare_label(reply.text))
    return replace(reply, unsent=tuple(sorted({*_declared_settings(request)} & {*unsent})))


def _untagged(model: str) -> str:
    return model.removesuffix(":latest")


def _proxy(url: str) -> str | None:
    """Return the proxy from the environment; aiohttp would look it up for each request."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _retirement(entry: Mapping[str, Any]) -> dict[str, str]:
    date = entry.get("shutdown_date")
    if isinstance(date, int | float):
        date = datetime.fromtimestamp(date, UTC).date().isoformat()
    return {"retires": date} if isinstance(date, str) else {}


def _declared_settings(request: Request) -> list[str]:
    return [*request.sampling, *(["response_format"] if request.constraint else [])]


def _with_setting_names(message: str) -> str:
    """Return the server's message with the suite's names of the settings that it mentions."""
    names = (key for key, api_name in _API_NAMES.items() if api_name in message)
    return f"{message} ({', '.join(names)})"


def open_openai(requests: Sequence[Request], environ: Mapping[str, str]) -> OpenAIProvider:
    """Open a client for the address and key that *requests* name.

    Raises:
        ConfigurationError: the environment variable of the key is not set.
    """
    request = requests[0]
    # OPENAI_API_KEY goes only to OpenAI or OPENAI_BASE_URL, never to an address that a suite names.
    is_default = request.base_url in (None, environ.get("OPENAI_BASE_URL"))
    name = request.api_key_env
    if name is None:
        name = "OPENAI_API_KEY" if is_default else ""
    key = declared_key(request, name, environ) if name else "none"
    url = request.base_url or environ.get("OPENAI_BASE_URL") or _OPENAI_URL
    headers = {
        "Authorization": f"Bearer {key}",
        **(_account_headers(environ) if is_default else {}),
    }
    access = ServerAccess(url.rstrip("/"), request.model, name)
    return OpenAIProvider(access, headers, is_openai=request.base_url is None)


def _account_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that select the account to bill, for a key of several accounts."""
    names = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    return {header: environ[name] for header, name in names.items() if environ.get(name)}
