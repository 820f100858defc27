"""Anthropic's Messages API through its own SDK."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import anthropic
from anthropic import AsyncAnthropic
from anthropic.types import Message

from pytest_ftgate.ask.providers.block_shape import step_of, tools_of, turns_of
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import Denied, Refused, Transient, Unavailable
from pytest_ftgate.plan.call import Call

__all__ = ["Messages", "open_provider"]

_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop",
    "refusal": "refusal",
    "tool_use": "tool",
}
#: Every call of the variant will meet these: no key, no money, no access, no such model.
_HOPELESS = (401, 402, 403, 404)
#: Time-outs, conflicts and rate limits pass, as every fault of the server itself does.
_PASSING = (408, 409, 429)
#: The body that the SDK hands on where it has no argument for a setting.
_IN_BODY = ("temperature", "top_p")


class Messages:
    """One client for one address, key and model."""

    concurrency = 16

    def __init__(self, client: AsyncAnthropic) -> None:
        self._client = client

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
        start = time.perf_counter()
        try:
            message = await self._client.messages.create(**_request(call))
        except anthropic.APIStatusError as error:
            raise _from_status(error) from error
        except anthropic.APIResponseValidationError as error:
            raise Transient(f"the body cannot be read: {error}") from error
        except anthropic.APIConnectionError as error:
            raise Transient(f"no connection: {error.__cause__ or error}") from error
        except json.JSONDecodeError as error:
            raise Transient(f"the body is cut off or no JSON: {error}") from error
        except anthropic.AnthropicError as error:
            raise Denied(_without_key(str(error))) from error
        except TypeError as error:
            # The SDK says with a TypeError that it found no credentials.
            if "authentication" in str(error):
                raise Denied(_without_key(str(error))) from error
            raise
        if not isinstance(message, Message) or message.usage is None:
            raise Transient(f"the body is no message: {str(message)[:80]!r}")
        return _reply(message, time.perf_counter() - start)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _without_key(said: str) -> str:
    return (
        f"{said.splitlines()[0]}\n  set ANTHROPIC_API_KEY, or judge what is recorded "
        "with --ftgate-replies=recorded"
    )


def _request(call: Call) -> dict[str, Any]:
    system = "\n\n".join(text for role, text in call.messages if role == "system")
    sampling = dict(call.sampling)
    output: dict[str, Any] = {}
    if "effort" in sampling:
        output["effort"] = sampling["effort"]
    if call.constraint:
        schema = anthropic.transform_schema(dict(call.constraint["json_schema"]))
        output["format"] = {"type": "json_schema", "schema": schema}
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
        "output_config": output or None,
        "extra_body": body,
    }
    return {key: value for key, value in request.items() if value is not None}


def _from_status(error: anthropic.APIStatusError) -> Exception:
    said = f"{error.status_code} {error.message}"
    if error.status_code in _HOPELESS or "spend_limit" in str(getattr(error, "error_code", "")):
        return Denied(said)
    if isinstance(error, anthropic.InternalServerError) or error.status_code in _PASSING:
        return Transient(said, _wait(error.response.headers.get("retry-after")))
    return Refused(said)


def _wait(header: str | None) -> float | None:
    try:
        return float(header) if header else None
    except ValueError:
        return None


def _reply(message: Any, seconds: float) -> Reply:
    usage = message.usage
    counts = {
        "input": usage.input_tokens or 0,
        "output": usage.output_tokens or 0,
        "cache_read": usage.cache_read_input_tokens or 0,
        "cache_write": usage.cache_creation_input_tokens or 0,
    }
    step = step_of(message.content)
    return Reply(
        text="".join(block.text for block in message.content if block.type == "text"),
        stop=_STOPS.get(message.stop_reason or "", "end"),
        model=message.model,
        usage=counts,
        seconds=seconds,
        request_id=getattr(message, "_request_id", None),
        steps=(step,) if step else (),
    )


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> Messages:
    """Open a client for the address and key that *calls* name.

    Raises:
        Unavailable: the variable that should hold the key is not set.
    """
    call = calls[0]
    options: dict[str, Any] = {"max_retries": 0}
    if call.api_key_env is not None:
        key = environ.get(call.api_key_env)
        if not key:
            raise Unavailable(
                f"the key of {call.model} is missing: set {call.api_key_env}, "
                "or judge what is recorded with --ftgate-replies=recorded"
            )
        options["api_key"] = key
    if call.base_url:
        options["base_url"] = call.base_url
    try:
        return Messages(AsyncAnthropic(**options))
    except anthropic.AnthropicError as error:
        raise Unavailable(_without_key(str(error))) from error
