"""The Chat Completions API: OpenAI, vLLM, llama.cpp's server, Ollama and compatible servers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin

from pytest_ftgate.errors import ReplyError, RetryableError
from pytest_ftgate.providers.api import REPLY_TOOL, LearningProvider, turn_reply
from pytest_ftgate.providers.base import declared_key
from pytest_ftgate.providers.http import error_message, http_error, is_page, load_json, token_count
from pytest_ftgate.providers.served import (
    BareError,
    Response,
    ServedAdapters,
    ServedTemplate,
    Server,
)
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
    tool_calls: list[dict[str, Any]] = []
    for tool_call in step.calls:
        # Some servers fail on invalid JSON here; the tool's result reports it to the model anyway.
        arguments = tool_call.arguments if isinstance(tool_call.arguments, Mapping) else {}
        function = {"name": tool_call.name, "arguments": json.dumps(arguments)}
        tool_calls.append({"id": tool_call.id, "type": "function", "function": function})
    yield {"role": "assistant", "content": step.text, "tool_calls": tool_calls}
    for tool_call in step.calls:
        yield {"role": "tool", "tool_call_id": tool_call.id, "content": tool_call.result}


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
    reply = replace(
        completion_reply(completion),
        model=completion.get("model") or None,
        usage=_usage(completion.get("usage")),
        request_id=headers.get("x-request-id"),
    )
    refusal = message.get("refusal")
    return replace(reply, text=refusal, stop="refusal") if refusal else reply


def completion_reply(completion: Mapping[str, Any]) -> Reply:
    """Return the reply in *completion*."""
    choice = completion["choices"][0]
    message = choice["message"]
    text, thought = chat_text(message)
    step, stop = chat_step(message), _STOPS.get(choice.get("finish_reason") or "", "end")
    if step and stop not in ("length", "refusal"):
        # The last tool call of a truncated turn is incomplete.
        stop = "tool"
    return turn_reply(text, step, stop, thought=thought)


def completion_error(url: str, response: Response, *, has_answered: bool) -> ReplyError:
    """Return the error for *response* from *url*, whose status is at least 300.

    *has_answered* is True if the server has answered other requests of the variant.
    """
    status, body, headers = response
    try:
        content = load_json(body)
    except ValueError:
        content = None
    error = content.get("error") if isinstance(content, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    shown = f"with {_start(body)}" if is_page(body) else _start(body)
    message = error_message(content, shown)
    found = http_error(url, status, message, headers, code, has_answered=has_answered)
    is_bare = status == _SERVER_ERROR and not has_answered and not isinstance(content, Mapping)
    return BareError(str(found)) if is_bare else found


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
    return closed_object({_LABEL: {"type": "string", "enum": [*constraint["choice"]]}})


def closed_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with all *properties* and no others."""
    closed = {"required": [*properties], "additionalProperties": False}
    return {"type": "object", "properties": properties, **closed}


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


_OPENAI_URL = PROVIDERS["openai-compatible"].url
_REDIRECT, _SERVER_ERROR = 300, 500
#: The timeout of a request for model facts, in seconds.
_FACTS_TIMEOUT = 5.0


class OpenAIProvider(LearningProvider):
    """One client for one address, key and model.

    *is_openai* is True if the address is OpenAI's own.
    """

    concurrency = PROVIDERS["openai-compatible"].concurrency
    max_concurrency = PROVIDERS["openai-compatible"].max_concurrency
    schema_setting = "response_format"
    api_names: Mapping[str, str] = MappingProxyType({"effort": "reasoning_effort"})

    def __init__(self, server: Server, *, is_openai: bool) -> None:
        super().__init__()
        self.server = server
        self._max_tokens_key = "max_completion_tokens" if is_openai else "max_tokens"
        self._adapters = ServedAdapters(server, loads=not is_openai)
        self._template = ServedTemplate(server)

    async def generate(self, request: Request) -> Reply:
        """Send one request without retries; the engine retries and counts every failure.

        Raises:
            RetryableError: overload, a timeout, a lost connection, a broken body.
            RequestRejected: the request itself is wrong.
            ProviderRejected: credentials, spending limit, unknown model.
        """
        model = await self._adapters.name_of(request)
        facts = {**await self.facts(model), **await self._template.fact(request, model)}
        reply = await self._reply_to(request, model=model)
        # The name of a loaded adapter belongs to this run alone.
        is_own = reply.model == model != request.model
        name = request.served_model or request.model if is_own else reply.model
        return replace(reply, model=name, facts=facts)

    def finished(self, reply: Reply, request: Request, unsent: Collection[str]) -> Reply:
        """Return *reply* with the bare label of a choice and the declared settings in *unsent*."""
        if request.constraint and "choice" in request.constraint:
            reply = replace(reply, text=_bare_label(reply.text))
        return super().finished(reply, request, unsent)

    def unsent(self, request: Request) -> Collection[str]:
        """Return the settings that the payload of *request* leaves out.

        ``max_tokens`` is one of them if it is sent under its other name.
        """
        renamed = () if self._max_tokens_key == "max_tokens" else ("max_tokens",)
        return {*super().unsent(request), *renamed}

    def learn_rejection(self, message: str, request: Request, unsent: Collection[str]) -> bool:
        """Record the settings that *message* rejects; return True if there are any.

        *unsent* are those that the rejected payload of *request* left out.
        """
        if "max_completion_tokens" in message and "max_tokens" not in unsent:
            self._max_tokens_key = "max_completion_tokens"
            return True
        return super().learn_rejection(message, request, unsent)

    def payload(self, request: Request) -> dict[str, Any]:
        """Return the body of *request*, without the settings that the server rejects."""
        sampling = self.supported(request.sampling)
        if "seed" in sampling:
            # Repeats must differ from each other, and each must be the same in the next run.
            sampling["seed"] += request.repeat
        payload: dict[str, Any] = {
            **request.extra,
            "model": request.model,
            "messages": chat_messages(request),
            self._max_tokens_key: request.max_tokens,
            **{self.api_names.get(key, key): value for key, value in sampling.items()},
        }
        if request.tools:
            payload["tools"] = chat_tools(request)
        return payload | self._schema_options(request)

    def _schema_options(self, request: Request) -> dict[str, Any]:
        """Return the options that enforce the schema: the native one, or those of a forced tool."""
        if request.constraint is None:
            return {}
        labels = request.constraint.get("choice", ())
        choice_options = _choice_options(labels, self.server.owner) if labels else {}
        if choice_options and not request.tools:
            return choice_options
        schema = _reply_schema(request.constraint)
        # A request with tools of its own cannot force the reply tool.
        if self.supports("response_format") or request.tools:
            # With "strict" servers reject schemas with optional or additional keys.
            reply_schema = {"name": "reply", "schema": schema, "strict": is_closed_schema(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": reply_schema}}
        function = {"name": REPLY_TOOL, "parameters": schema, "strict": True}
        choice = {"type": "function", "function": {"name": REPLY_TOOL}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}

    async def _post(self, payload: dict[str, Any], request: Request) -> Reply:
        response = await self.server.send("POST", "chat/completions", json=payload)
        status, body, self.rate_limit_headers = response
        if status >= _REDIRECT:
            raise self.server.counted(self.error(response), request)
        if is_page(body):
            raise self.server.page_error()
        try:
            reply = parse_completion(body, response.headers)
        except RetryableError as error:
            where = f"({self.server.url}, model {request.model}){self.server.path_hint}"
            raise RetryableError(f"{error} {where}") from error
        self.server.has_answered = True
        return reply

    def error(self, response: Response) -> ReplyError:
        """Return the error for *response*, which is a redirect or an error."""
        answered = self.server.has_answered
        error = completion_error(self.server.url, response, has_answered=answered)
        return self.server.explain(error, response.status)

    async def template_difference(self, request: Request) -> str:
        """Return where the server's prompts differ from those of the training; "" if nowhere.

        No adapter is loaded for it: the template of a server is that of its base.
        """
        await self.facts(request.model)
        named, listed = request.served_model or request.model, self.server.listed
        return await self._template.difference(
            request, named if named in listed or not listed else listed[0]
        )

    async def _fetch_facts(self, model: str) -> Mapping[str, str]:
        url = self.server.url
        rows = await self._list_rows(f"{url}/models", "data", "id")
        entry = rows.get(_untagged(model), {})
        self.server.listed = tuple(rows)
        # A server of one model lists it under a name of its own.
        owners = (str(row["owned_by"]) for row in rows.values() if "owned_by" in row)
        self.server.owner = next(owners, "")
        facts = {key: entry[key] for key in ("parent", "root") if isinstance(entry.get(key), str)}
        if self.server.owner == "llamacpp":
            facts |= await self._template.scale_fact()
        if not facts and self._max_tokens_key == "max_tokens":
            # Ollama has its own endpoint for the weights behind a tag.
            tags = await self._list_rows(urljoin(url, "/api/tags"), "models", "name")
            tag = tags.get(_untagged(model), {})
            facts |= {"digest": str(tag["digest"])} if "digest" in tag else {}
        return facts | _retirement(entry)

    async def _list_rows(self, url: str, list_key: str, key: str) -> dict[str, dict[str, Any]]:
        """Return the models in the server's list at *url*, by name; {} if it has none."""
        found = await self.server.look_up("GET", url, _FACTS_TIMEOUT)
        with suppress(ValueError, KeyError, TypeError):
            return {_untagged(str(row[key])): dict(row) for row in found[list_key]}
        return {}

    async def close(self) -> None:
        """Unload what was loaded, and close the connections."""
        await self._adapters.unload()
        await self.server.close()


def _untagged(model: str) -> str:
    return model.removesuffix(":latest")


def _retirement(entry: Mapping[str, Any]) -> dict[str, str]:
    date = entry.get("shutdown_date")
    if isinstance(date, int | float):
        date = datetime.fromtimestamp(date, UTC).date().isoformat()
    return {"retires": date} if isinstance(date, str) else {}


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
    server = Server(url.rstrip("/"), request.model, name, headers)
    return OpenAIProvider(server, is_openai=request.base_url is None)


def _account_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that select the account to bill, for a key of several accounts."""
    names = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    return {header: environ[name] for header, name in names.items() if environ.get(name)}
