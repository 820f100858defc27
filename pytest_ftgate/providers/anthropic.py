"""The Messages API through Anthropic's SDK: Anthropic, Bedrock, and compatible servers."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import anthropic
import httpx2
from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, DefaultAioHttpClient
from anthropic.resources.messages import messages as sdk
from anthropic.types import Message

from pytest_ftgate.errors import Denied, Refused, Transient, Unavailable
from pytest_ftgate.providers.http import Learned, said_in, trouble
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call, Step, ToolCall

__all__ = [
    "REPLY_TOOL",
    "Messages",
    "declared",
    "failing",
    "open_provider",
    "reply_of",
    "step_of",
    "tools_of",
    "turns_of",
]


def turns_of(call: Call) -> list[dict[str, Any]]:
    """Return the conversation of *call* without the system prompt, which goes its own way."""
    asked = [{"role": role, "content": text} for role, text in call.messages if role != "system"]
    return [*asked, *(turn for step in call.steps for turn in _turns(step))]


def tools_of(call: Call) -> list[dict[str, Any]]:
    """Return the functions that the model may call; empty where there are none."""
    return [
        {"name": one.name, "description": one.description, "input_schema": dict(one.parameters)}
        for one in call.tools
    ]


def step_of(blocks: Sequence[Mapping[str, Any]]) -> Step | None:
    """Return the uses of tools that *blocks* ask for, or None where they ask for none."""
    uses = tuple(
        ToolCall(name=block["name"], arguments=block["input"], id=block["id"])
        for block in blocks
        if block["type"] == "tool_use"
    )
    if not uses:
        return None
    more = any(block["type"] not in ("text", "tool_use") for block in blocks)
    said = "".join(block["text"] for block in blocks if block["type"] == "text")
    return Step(said, uses, tuple(blocks) if more else ())


def _turns(step: Step) -> Iterator[dict[str, Any]]:
    # A block of empty text is refused.
    said = [{"type": "text", "text": step.text}] if step.text else []
    spoken = list(step.blocks) or [*said, *map(_use, step.calls)]
    yield {"role": "assistant", "content": spoken}
    yield {"role": "user", "content": [_result(use) for use in step.calls]}


def _use(use: ToolCall) -> dict[str, Any]:
    given = use.arguments if isinstance(use.arguments, Mapping) else {}
    return {"type": "tool_use", "id": use.id, "name": use.name, "input": given}


def _result(use: ToolCall) -> dict[str, Any]:
    told = {"type": "tool_result", "tool_use_id": use.id, "content": use.result}
    return {**told, "is_error": True} if use.failed else told


#: The tool that a reply is asked for through where a model takes no schema for replies.
REPLY_TOOL = "give_the_reply"
_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop",
    "refusal": "refusal",
    "tool_use": "tool",
}
#: What replies are counted by, and how the API calls it.
_COUNTS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}


def reply_of(body: bytes, headers: Mapping[str, str]) -> Reply:
    """Read a message.

    Raises:
        Transient: it is none.
    """
    try:
        return _reply(json.loads(body), headers)
    except ValueError as error:
        raise Transient(f"the body is cut off or no JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        shown = body.decode(errors="replace")[:80]
        raise Transient(f"the body is no message: {shown!r}") from error


def _reply(message: dict[str, Any], headers: Mapping[str, str]) -> Reply:
    step = step_of(message["content"])
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    stop = _STOPS.get(message.get("stop_reason") or "", "end")
    forced = [use for use in step.calls if use.name == REPLY_TOOL] if step else []
    if forced:
        text, step = forced[0].written, None
        stop = "end" if stop == "tool" else stop
    return Reply(
        text=text,
        stop=stop,
        model=message.get("model"),
        usage=_usage(message["usage"]),
        request_id=headers.get("request-id"),
        steps=(step,) if step else (),
    )


def _usage(usage: Mapping[str, Any]) -> dict[str, int]:
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    counts = {ours: usage.get(theirs) or 0 for ours, theirs in _COUNTS.items()}
    return counts | ({"thinking": thought} if thought else {})


#: Seconds that a server may take to tell what it knows of its model.
_PATIENCE = 5.0
#: The body that the SDK hands on where it has no argument for a setting.
_IN_BODY = ("temperature", "top_p")
#: How the API calls what a suite calls otherwise.
_NAMES = {"stop": "stop_sequences", "output_config": "output_format"}
#: ARNs of models that were tuned.
_TUNED = re.compile(r"^arn:.*:(provisioned-model|custom-model|custom-model-deployment)/")


class Messages:
    """One client for one address, key and model."""

    concurrency, most = 8, 128

    def __init__(self, client: AsyncAnthropic | AsyncAnthropicBedrock) -> None:
        self.client = client
        self.limits: Mapping[str, str] = {}
        self._provider = "anthropic" if isinstance(client, AsyncAnthropic) else "bedrock"
        self._learned = Learned()
        self._answers = False
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
        facts = self._told(call.model)
        while True:
            unsent, start = self.unsent(call), time.perf_counter()
            try:
                reply = await self._answered(self.request(call))
            except Refused as error:
                if not self.learns(str(error), call, unsent):
                    raise
                continue
            self._answers, took = True, time.perf_counter() - start
            return replace(reply, seconds=took, facts=await facts, unsent=unsent)

    def request(self, call: Call) -> dict[str, Any]:
        """Return what is sent for *call*, less the settings that were refused so far."""
        return _request(call, self._learned)

    def unsent(self, call: Call) -> tuple[str, ...]:
        """Return which settings of *call* are left out of its request by now."""
        return tuple(sorted(key for key in declared(call) if not self._learned.takes(key)))

    async def read(self, message: Any, call: Call) -> Reply:
        """Return the reply that *message*, one of the SDK's own, brings to *call*.

        Raises:
            Transient: it is no message.
        """
        if not isinstance(message, Message):
            raise Transient(f"the result is no message: {str(message)[:80]!r}")
        reply = reply_of(message.model_dump_json().encode(), {})
        return replace(reply, facts=await self._told(call.model))

    def learns(self, said: str, call: Call, unsent: Collection[str]) -> bool:
        """Take in why a request was refused; True where the next one will be another.

        Args:
            said: the server's own words.
            call: what was asked.
            unsent: the settings that the request left out.
        """
        sent = [key for key in declared(call) if key not in unsent]
        ours = [key for key, name in _NAMES.items() if name in said]
        return self._learned.learn(f"{said} ({', '.join(ours)})", sent)

    async def _answered(self, request: dict[str, Any]) -> Reply:
        with failing(self._provider, str(self.client.base_url), answers=self._answers):
            try:
                # Raw, since making the SDK's own objects of a body costs more than all we do.
                raw = await self.client.messages.with_raw_response.create(**request)
            except anthropic.APIStatusError as error:
                self.limits = error.response.headers
                raise
            self.limits = raw.headers
            return reply_of(await raw.read(), raw.headers)

    def _told(self, model: str) -> asyncio.Task[Mapping[str, str]]:
        """Ask the server what it says of the model; once, and never a reason to fail."""
        if self._facts is None:
            self._facts = asyncio.create_task(self._ask_about(model))
        return self._facts

    async def _ask_about(self, model: str) -> Mapping[str, str]:
        known = getattr(sdk, "DEPRECATED_MODELS", {}).get(model)
        told = {"retires": known} if known else {}
        if not isinstance(self.client, AsyncAnthropic):
            return told
        try:
            found = await self.client.models.retrieve(model, timeout=_PATIENCE)
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError, TypeError):
            return told
        when: Any = getattr(found, "retires_at", None)
        told |= {"retires": when.date().isoformat()} if hasattr(when, "date") else {}
        stage = getattr(found, "lifecycle", None)
        return told | ({"lifecycle": stage} if stage and stage != "active" else {})

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


@contextmanager
def failing(provider: str, address: str, *, answers: bool = False) -> Iterator[None]:
    """Turn what the SDK raises into what this package says of it.

    Args:
        provider: of the two that are asked through this SDK.
        address: where the request went.
        answers: the server has answered requests like it before.
    """
    try:
        yield
    except anthropic.APIStatusError as error:
        said, headers = said_in(error.body, error.message), error.response.headers
        code = getattr(error, "error_code", "")
        raise trouble(error.status_code, said, headers, code, answers=answers) from error
    except anthropic.APIResponseValidationError as error:
        raise Transient(f"the body cannot be read: {error}") from error
    # The SDK lets through what goes wrong while it reads a body.
    except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
        raise Transient(f"no connection to {address}: {error.__cause__ or error!r}") from error
    except json.JSONDecodeError as error:
        told = f"the body is cut off or no JSON: {error} ({address})"
        raise Transient(told) from error
    except anthropic.AnthropicError as error:
        raise Denied(_without_key(str(error), provider)) from error
    except (TypeError, RuntimeError) as error:
        # The SDK says with a TypeError, and for AWS with another, that it found no credentials.
        if "authentication" in str(error) or "credentials" in str(error):
            raise Denied(_without_key(str(error), provider)) from error
        raise


def _without_key(said: str, provider: str = "anthropic") -> str:
    wanted = "ANTHROPIC_API_KEY"
    if provider == "bedrock":
        wanted = "AWS_REGION, and AWS_BEARER_TOKEN_BEDROCK or credentials that boto3 finds"
    return (
        f"no credentials: set {wanted}, or judge what is recorded "
        f"with --ftgate-replies=recorded ({said.splitlines()[0]})"
    )


def declared(call: Call) -> list[str]:
    """Return the settings that *call* declares and a server may refuse."""
    return [*call.sampling, *(["output_config"] if call.constraint else [])]


def _request(call: Call, learned: Learned) -> dict[str, Any]:
    system = "\n\n".join(text for role, text in call.messages if role == "system")
    sampling = learned.taken(call.sampling)
    output = {"effort": sampling["effort"]} if "effort" in sampling else {}
    native, forced = _held(call, learned)
    # The model goes into the body itself: named as the argument, a deprecated one makes the SDK
    # warn, and under -W error a warning is an exception that no call survives.
    body = {"model": call.model, **{key: sampling[key] for key in _IN_BODY if key in sampling}}
    request: dict[str, Any] = {
        "model": "",
        "max_tokens": call.max_tokens,
        "messages": turns_of(call),
        "tools": tools_of(call) or None,
        "system": system or None,
        "stop_sequences": list(sampling["stop"]) if "stop" in sampling else None,
        "thinking": sampling.get("thinking"),
        "output_config": {**output, **native} or None,
        **forced,
        **_versioned(call, body),
    }
    return {key: value for key, value in request.items() if value is not None}


def _held(call: Call, learned: Learned) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what holds a reply to its schema: natively, or a tool that the model must use."""
    if call.constraint is None:
        return {}, {}
    schema = anthropic.transform_schema(dict(call.constraint["json_schema"]))
    # A model that has tools of its own cannot be made to use another one.
    if learned.takes("output_config") or call.tools:
        return {"format": {"type": "json_schema", "schema": schema}}, {}
    tool = {"name": REPLY_TOOL, "description": "Give the reply.", "input_schema": schema}
    return {}, {"tools": [tool], "tool_choice": {"type": "tool", "name": REPLY_TOOL}}


def _versioned(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Put the version of the API where the address reads it: a header, or at Bedrock the body."""
    version = call.api_version
    if call.provider != "bedrock":
        headers = {"anthropic-version": version} if version else None
        return {"extra_body": body, "extra_headers": headers}
    # What can be fine-tuned there are older models, which take no newer version than this.
    if version is None and _TUNED.search(call.model):
        version = "bedrock-2023-05-31"
    return {"extra_body": body | ({"anthropic_version": version} if version else {})}


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> Messages:
    """Open a client for the address and key that *calls* name.

    Raises:
        Unavailable: the variable that should hold the key is not set.
    """
    call = calls[0]
    # On aiohttp a call takes half the processor time. To it 0 is no limit of connections: how
    # many calls are in flight is the engine's to say.
    http = DefaultAioHttpClient(limits=httpx2.Limits(max_connections=0))
    options: dict[str, Any] = {"max_retries": 0, "http_client": http}
    if call.base_url:
        options["base_url"] = call.base_url
    try:
        if call.provider == "bedrock":
            return Messages(_bedrock(call, options, environ))
        # Spans that nobody takes cost a twentieth of a call.
        if "opentelemetry.sdk" not in sys.modules:
            options["open_telemetry"] = False
        return Messages(AsyncAnthropic(**options, **_key(call, environ)))
    except (anthropic.AnthropicError, ValueError) as error:
        raise Unavailable(_without_key(str(error), call.provider)) from error


def _key(call: Call, environ: Mapping[str, str]) -> dict[str, Any]:
    if call.api_key_env is None:
        return {}
    if not call.api_key_env:
        return {"api_key": "none"}
    key = environ.get(call.api_key_env)
    if not key:
        raise Unavailable(
            f"the key of {call.model} is missing: set {call.api_key_env}, "
            "or judge what is recorded with --ftgate-replies=recorded"
        )
    return {"api_key": key}


def _bedrock(call: Call, options: dict[str, Any], environ: Mapping[str, str]) -> Any:
    if find_spec("boto3") is None and not environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        raise Unavailable('provider bedrock needs boto3: pip install "pytest-ftgate[bedrock]"')
    # An ARN says where its model is: arn:aws:bedrock:us-west-2:…
    if call.model.startswith("arn:"):
        options = options | {"aws_region": call.model.split(":")[3]}
    return AsyncAnthropicBedrock(**options)
