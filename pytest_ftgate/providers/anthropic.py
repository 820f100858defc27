"""The Messages API through Anthropic's SDK: Anthropic, Bedrock and compatible servers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import anthropic
import httpx2
from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, DefaultAioHttpClient
from anthropic.resources.messages import messages as sdk
from anthropic.types import Message

from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.api import NO_AWS_CREDENTIALS, REPLY_TOOL, LearningProvider, turn_reply
from pytest_ftgate.providers.base import declared_key
from pytest_ftgate.providers.http import (
    error_message,
    http_error,
    is_page,
    limited_body,
    load_json,
    page_error,
    token_count,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, Step, ToolCall
from pytest_ftgate.suite.providers import PROVIDERS


def message_turns(request: Request) -> list[dict[str, Any]]:
    """Return the conversation of *request* without the system prompt, which the API has apart."""
    turns = [{"role": role, "content": text} for role, text in request.messages if role != "system"]
    return [*turns, *(turn for step in request.steps for turn in _step_turns(step))]


def message_tools(request: Request) -> list[dict[str, Any]]:
    """Return the tools of *request* in the API's format."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
        for tool in request.tools
    ]


def message_step(blocks: Sequence[Mapping[str, Any]]) -> Step | None:
    """Return the text and the tool calls in *blocks*, or None if there is no tool call."""
    tool_calls = tuple(
        ToolCall(name=block["name"], arguments=block["input"], id=block["id"])
        for block in blocks
        if block["type"] == "tool_use"
    )
    if not tool_calls:
        return None
    has_other_blocks = any(block["type"] not in ("text", "tool_use") for block in blocks)
    return Step(_text(blocks), tool_calls, tuple(blocks) if has_other_blocks else ())


def _step_turns(step: Step) -> Iterator[dict[str, Any]]:
    # The API rejects empty text blocks.
    text = [{"type": "text", "text": step.text}] if step.text else []
    blocks = list(step.blocks) or [*text, *map(_tool_use_block, step.calls)]
    yield {"role": "assistant", "content": blocks}
    yield {"role": "user", "content": [*map(_tool_result_block, step.calls)]}


def _tool_use_block(tool_call: ToolCall) -> dict[str, Any]:
    arguments = tool_call.arguments if isinstance(tool_call.arguments, Mapping) else {}
    return {"type": "tool_use", "id": tool_call.id, "name": tool_call.name, "input": arguments}


def _tool_result_block(tool_call: ToolCall) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": tool_call.id, "content": tool_call.result}
    return {**block, "is_error": True} if tool_call.failed else block


_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop",
    "refusal": "refusal",
    "tool_use": "tool",
}
#: The token counts of a reply, and their names in the API.
_COUNTS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}


def parse_message(body: bytes, headers: Mapping[str, str]) -> Reply:
    """Return the reply in the body of a response.

    Raises:
        RetryableError: the body is not a message.
    """
    try:
        return _reply(load_json(body), headers)
    except ValueError as error:
        raise RetryableError(f"the body is cut off or no JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        shown = body.decode(errors="replace")[:80]
        raise RetryableError(f"the body is no message: {shown!r}") from error


def _reply(message: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
    blocks, usage = message["content"], message["usage"]
    thoughts = (block["thinking"] for block in blocks if block["type"] == "thinking")
    counts = {name: token_count(usage.get(api_name)) for name, api_name in _COUNTS.items()}
    thinking = token_count((usage.get("output_tokens_details") or {}).get("thinking_tokens"))
    return turn_reply(
        _text(blocks),
        message_step(blocks),
        _STOPS.get(message.get("stop_reason") or "", "end"),
        model=message.get("model"),
        usage=counts | ({"thought": thinking} if thinking else {}),
        request_id=headers.get("request-id"),
        thought="\n\n".join(filter(None, thoughts)),
    )


def _text(blocks: Sequence[Mapping[str, Any]]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


#: The months as the SDK's list of retirements writes them, by their first letters.
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: The timeout of a request for model facts, in seconds.
_FACTS_TIMEOUT = 5.0
#: Settings that go into the body because the SDK has no argument for them.
_IN_BODY = ("temperature", "top_p")
#: ARNs of fine-tuned models.
_TUNED = re.compile(r"^arn:.*:(provisioned-model|custom-model|custom-model-deployment)/")


def retirement_date(model: str) -> str:
    """Return the day on which *model* retires (ISO) as the SDK knows it; "" if it does not."""
    written = str(getattr(sdk, "DEPRECATED_MODELS", {}).get(model, ""))
    try:
        # Such as "January 22nd, 2027", in English whatever the locale is.
        month, day, year = re.findall(r"[A-Za-z]{3,}|\d+", written.replace(",", ""))[:3]
        return date(int(year), _MONTHS.index(month[:3].lower()) + 1, int(day)).isoformat()
    except ValueError:
        return written


class AnthropicProvider(LearningProvider):
    """One client for one address, key and model."""

    schema_setting = "output_config"
    api_names: Mapping[str, str] = MappingProxyType(
        {"stop": "stop_sequences", "output_config": "output_format"}
    )

    def __init__(self, client: AsyncAnthropic | AsyncAnthropicBedrock) -> None:
        super().__init__()
        self.client = client
        self._provider = "anthropic" if isinstance(client, AsyncAnthropic) else "bedrock"
        spec = PROVIDERS[self._provider]
        self.concurrency, self.max_concurrency = spec.concurrency, spec.max_concurrency
        self._has_answered = False

    async def generate(self, request: Request) -> Reply:
        """Send one request without retries; the engine retries and counts every failure.

        Raises:
            RetryableError: overload, a timeout, a lost connection, a broken body.
            RequestRejected: the request itself is wrong.
            ProviderRejected: credentials, spending limit, unknown model.
        """
        waiting = self.facts(request.model)
        reply = await self._reply_to(request)
        facts = await waiting
        return replace(reply, facts=facts) if facts else reply

    def payload(self, request: Request) -> dict[str, Any]:
        """Return the SDK's arguments for *request*, without the settings rejected so far."""
        system = "\n\n".join(text for role, text in request.messages if role == "system")
        sampling = self.supported(request.sampling)
        output = {"effort": sampling["effort"]} if "effort" in sampling else {}
        native, forced = self._schema_options(request)
        # The model is named in the body only: as an argument, a deprecated model makes the SDK
        # warn, and under -W error the warning is an exception.
        in_body = {key: sampling[key] for key in _IN_BODY if key in sampling}
        payload: dict[str, Any] = {
            "model": "",
            "max_tokens": request.max_tokens,
            "messages": message_turns(request),
            "tools": message_tools(request) or None,
            "system": system or None,
            "stop_sequences": list(sampling["stop"]) if "stop" in sampling else None,
            "thinking": sampling.get("thinking"),
            "output_config": {**output, **native} or None,
            **forced,
            **_extra_options(request, {"model": request.model, **in_body}),
        }
        return {key: value for key, value in payload.items() if value is not None}

    def _schema_options(self, request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options that enforce the schema: a native one, and those of a forced tool."""
        if request.constraint is None:
            return {}, {}
        schema = anthropic.transform_schema(dict(request.constraint["json_schema"]))
        # A request with tools of its own cannot force the reply tool.
        if self.supports("output_config") or request.tools:
            return {"format": {"type": "json_schema", "schema": schema}}, {}
        tool = {"name": REPLY_TOOL, "description": "Give the reply.", "input_schema": schema}
        return {}, {"tools": [tool], "tool_choice": {"type": "tool", "name": REPLY_TOOL}}

    async def read(self, message: Any, request: Request) -> Reply:
        """Return the reply in *message*, an object of the SDK.

        Raises:
            RetryableError: the object is not a message.
        """
        if not isinstance(message, Message):
            raise RetryableError(f"the result is no message: {str(message)[:80]!r}")
        reply = parse_message(message.model_dump_json().encode(), {})
        return replace(reply, facts=await self.facts(request.model))

    async def _post(self, payload: dict[str, Any], request: Request) -> Reply:
        address = str(self.client.base_url)
        with translated_errors(self._provider, address, has_answered=self._has_answered):
            try:
                # Raw: building the SDK's objects costs more time than the rest of the request.
                raw = await self.client.messages.with_raw_response.create(**payload)
            except anthropic.APIStatusError as error:
                self.rate_limit_headers = error.response.headers
                raise
            self.rate_limit_headers = raw.headers
            body = await raw.read()
        if is_page(body):
            raise page_error(address, request.model, has_answered=self._has_answered)
        reply = parse_message(body, raw.headers)
        self._has_answered = True
        return reply

    async def _fetch_facts(self, model: str) -> Mapping[str, str]:
        retires = retirement_date(model)
        facts = {"retires": retires} if retires else {}
        if not isinstance(self.client, AsyncAnthropic):
            return facts
        try:
            info = await self.client.models.retrieve(model, timeout=_FACTS_TIMEOUT)
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError, TypeError):
            return facts
        retires_at: Any = getattr(info, "retires_at", None)
        facts |= {"retires": retires_at.date().isoformat()} if hasattr(retires_at, "date") else {}
        stage = getattr(info, "lifecycle", None)
        return facts | ({"lifecycle": stage} if stage and stage != "active" else {})

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


@contextmanager
def translated_errors(provider: str, address: str, *, has_answered: bool = False) -> Iterator[None]:
    """Translate the SDK's exceptions into those of this package.

    *provider* is ``anthropic`` or ``bedrock``. *has_answered* is True if the server has answered
    requests of the same variant.
    """
    try:
        yield
    except anthropic.APIStatusError as error:
        message, headers = error_message(error.body, error.message), error.response.headers
        code, status = getattr(error, "error_code", ""), error.status_code
        raise http_error(
            address, status, message, headers, code, has_answered=has_answered
        ) from error
    except anthropic.APIResponseValidationError as error:
        raise RetryableError(f"the body cannot be read: {error}") from error
    # The SDK does not wrap errors that occur while it reads a body.
    except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
        if isinstance(error.__cause__, RequestRejected):
            raise error.__cause__ from error
        raise RetryableError(f"no connection to {address}: {_first_cause(error)}") from error
    except json.JSONDecodeError as error:
        message = f"the body is cut off or no JSON: {error} ({address})"
        raise RetryableError(message) from error
    except anthropic.AnthropicError as error:
        raise ProviderRejected(_missing_credentials(str(error), provider)) from error
    except (TypeError, RuntimeError) as error:
        # The SDK reports missing credentials as a TypeError, and for AWS as a RuntimeError.
        if "authentication" in str(error) or "credentials" in str(error):
            raise ProviderRejected(_missing_credentials(str(error), provider)) from error
        raise


def _first_cause(error: BaseException) -> str:
    """Return what led to *error*, without the requests that the SDK shows with it."""
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    return str(first) or type(first).__name__


def _missing_credentials(message: str, provider: str) -> str:
    if provider == "bedrock":
        # Of several places with credentials, the SDK names the one that is incomplete.
        return NO_AWS_CREDENTIALS.format(message.splitlines()[0])
    remedy = "or evaluate what is recorded with --ftgate-replies=recorded"
    return f"no credentials: set ANTHROPIC_API_KEY, {remedy}"


def _extra_options(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with the API version, which Bedrock reads there and Anthropic in a header."""
    version = request.api_version
    if request.provider != "bedrock":
        headers = {"anthropic-version": version} if version else None
        return {"extra_body": body, "extra_headers": headers}
    # Bedrock fine-tunes older models only, and they accept no newer version than this.
    if version is None and _TUNED.search(request.model):
        version = "bedrock-2023-05-31"
    return {"extra_body": body | ({"anthropic_version": version} if version else {})}


async def _read_limited(response: httpx2.Response) -> None:
    """Read the body of *response*, unless it is too large; results of batches are read by line."""
    if not response.request.url.path.endswith("/results"):
        # What the SDK finds here it does not read again.
        response._content = await limited_body(response.aiter_bytes())  # noqa: SLF001


def open_anthropic(requests: Sequence[Request], environ: Mapping[str, str]) -> AnthropicProvider:
    """Open a client for the address and key that *requests* name.

    Raises:
        ConfigurationError: the environment variable of the key is not set.
    """
    request = requests[0]
    # A request takes half the processor time with aiohttp. 0 means no limit of connections: the
    # engine limits the requests in flight.
    # A redirect would send the prompts to an address that no suite names.
    limits, hooks = httpx2.Limits(max_connections=0), {"response": [_read_limited]}
    http = DefaultAioHttpClient(limits=limits, follow_redirects=False, event_hooks=hooks)
    options: dict[str, Any] = {"max_retries": 0, "http_client": http}
    if request.base_url:
        options["base_url"] = request.base_url
        options["default_headers"] = _omitted_headers(request, environ)
    try:
        if request.provider == "bedrock":
            return AnthropicProvider(_bedrock(request, options, environ))
        # Unused tracing spans cost a twentieth of a request.
        if "opentelemetry.sdk" not in sys.modules:
            options["open_telemetry"] = False
        client = AsyncAnthropic(**options, **_key(request, environ))
    except (anthropic.AnthropicError, ValueError) as error:
        raise ConfigurationError(_missing_credentials(str(error), request.provider)) from error
    headers = {name.lower() for name in client.default_headers}
    if not client.credentials and headers.isdisjoint(("authorization", "x-api-key")):
        raise ConfigurationError(_missing_credentials("", "anthropic"))
    return AnthropicProvider(client)


def _omitted_headers(request: Request, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the headers that the SDK must leave out: those of the environment, at other hosts."""
    is_own = request.base_url == environ.get("ANTHROPIC_BASE_URL")
    if is_own or request.api_key_env is None:
        return {}
    lines = environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")
    return {name.strip(): anthropic.Omit() for line in lines if (name := line.partition(":")[0])}


def _key(request: Request, environ: Mapping[str, str]) -> dict[str, Any]:
    if request.api_key_env is None:
        return {}
    name = request.api_key_env
    return {"api_key": declared_key(request, name, environ) if name else "none"}


def _bedrock(request: Request, options: dict[str, Any], environ: Mapping[str, str]) -> Any:
    if find_spec("boto3") is None and not environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        raise ConfigurationError(
            'provider bedrock needs boto3: pip install "pytest-ftgate[bedrock]"'
        )
    # An ARN contains the region of its model: arn:aws:bedrock:us-west-2:…
    if request.model.startswith("arn:"):
        options = options | {"aws_region": request.model.split(":")[3]}
    return AsyncAnthropicBedrock(**options)
