"""Models of all makers at Amazon Bedrock, through the Converse API of boto3."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    ReplyError,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.api import NO_AWS_CREDENTIALS, REPLY_TOOL, turn_reply
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.providers.http import http_error, page_error, token_count
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, Step, ToolCall
from pytest_ftgate.suite.providers import PROVIDERS

_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop",
    "content_filtered": "refusal",
    "guardrail_intervened": "refusal",
    "tool_use": "tool",
}
#: The token counts of a reply, and their names in the API.
_COUNTS = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write": "cacheWriteInputTokens",
}
#: The settings of a request, and their names in the API.
_SAMPLING = {"temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
#: The seconds to wait for a reply, and for a connection.
_READ_TIMEOUT, _CONNECT_TIMEOUT = 600, 10


class ConverseProvider(Provider):
    """One client for one address and region."""

    def __init__(self, client: Any) -> None:
        spec = PROVIDERS["bedrock-converse"]
        self.concurrency, self.max_concurrency = spec.concurrency, spec.max_concurrency
        self._client = client
        self._has_answered = False
        self._pool = ThreadPoolExecutor(self.max_concurrency, thread_name_prefix="ftgate-converse")

    async def generate(self, request: Request) -> Reply:
        """Send one request without retries; the engine retries and counts every failure.

        Raises:
            RetryableError: overload, a timeout, a lost connection.
            RequestRejected: the request itself is wrong.
            ProviderRejected: credentials, access, unknown model.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._converse, request)

    def _converse(self, request: Request) -> Reply:
        start = time.perf_counter()
        with _translated_errors(self._client.meta.endpoint_url, has_answered=self._has_answered):
            response = self._client.converse(**payload(request))
        # boto3 takes a body that is no JSON for an empty response.
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        if "output" not in response and headers.get("content-type", "").startswith("text/html"):
            address = self._client.meta.endpoint_url
            raise page_error(address, request.model, has_answered=self._has_answered)
        self._has_answered = True
        self.rate_limit_headers = headers
        return parse_response(response, time.perf_counter() - start)

    async def close(self) -> None:
        """Wait for the threads, then close the connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()


def payload(request: Request) -> dict[str, Any]:
    """Return the arguments of ``converse`` for *request*."""
    system = [{"text": text} for role, text in request.messages if role == "system"]
    turns = [
        {"role": role, "content": [{"text": text}]}
        for role, text in request.messages
        if role != "system"
    ]
    turns += [turn for step in request.steps for turn in _step_turns(step)]
    sampling = {
        api_name: list(value) if name == "stop" else value
        for name, api_name in _SAMPLING.items()
        if (value := request.sampling.get(name)) is not None
    }
    arguments = {
        "modelId": request.model,
        "messages": turns,
        "system": system,
        "inferenceConfig": {"maxTokens": request.max_tokens, **sampling},
        "toolConfig": _tools(request),
        "additionalModelRequestFields": dict(request.extra),
    }
    return {name: value for name, value in arguments.items() if value}


def _tools(request: Request) -> dict[str, Any]:
    """Return the tools of *request*, or the one tool that the model must answer by."""
    tools = [(tool.name, tool.description, tool.parameters) for tool in request.tools]
    chosen: dict[str, Any] = {}
    if request.constraint:
        if tools:
            message = "Converse can hold a reply to a schema or give it tools, not both; remove one"
            raise RequestRejected(message)
        tools = [(REPLY_TOOL, "Give the reply.", request.constraint["json_schema"])]
        chosen = {"toolChoice": {"tool": {"name": REPLY_TOOL}}}
    specs = [
        {"name": name, "description": text, "inputSchema": {"json": dict(schema)}}
        for name, text, schema in tools
    ]
    return {"tools": [{"toolSpec": spec} for spec in specs], **chosen} if specs else {}


def _step_turns(step: Step) -> Iterator[dict[str, Any]]:
    text = [{"text": step.text}] if step.text else []
    # Blocks of other kinds, such as a signed thought, must come back as they were.
    blocks = list(step.blocks) or [*text, *map(_tool_use_block, step.calls)]
    yield {"role": "assistant", "content": blocks}
    yield {"role": "user", "content": [*map(_tool_result_block, step.calls)]}


def _tool_use_block(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments if isinstance(call.arguments, Mapping) else {}
    return {"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments}}


def _tool_result_block(call: ToolCall) -> dict[str, Any]:
    status = "error" if call.failed else "success"
    content = [{"text": call.result or ""}]
    return {"toolResult": {"toolUseId": call.id, "content": content, "status": status}}


def parse_response(response: Mapping[str, Any], seconds: float) -> Reply:
    """Return the reply in a response of ``converse``.

    Raises:
        RetryableError: the response has no message.
    """
    try:
        blocks = response["output"]["message"]["content"]
        text = "".join(block.get("text", "") for block in blocks)
        step, usage = _step(blocks, text), response.get("usage", {})
    except (KeyError, TypeError, AttributeError) as error:
        raise RetryableError(f"the response has no message: {str(response)[:80]}") from error
    thoughts = (
        block["reasoningContent"].get("reasoningText", {}).get("text", "")
        for block in blocks
        if "reasoningContent" in block
    )
    return turn_reply(
        text,
        step,
        _STOPS.get(response.get("stopReason", ""), "end"),
        usage={name: token_count(usage.get(api_name)) for name, api_name in _COUNTS.items()},
        seconds=seconds,
        request_id=response.get("ResponseMetadata", {}).get("RequestId"),
        thought="\n\n".join(filter(None, thoughts)),
    )


def _step(blocks: Sequence[Mapping[str, Any]], text: str) -> Step | None:
    """Return *text* and the tool calls in *blocks*, or None if there is no tool call."""
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    if not uses:
        return None
    calls = tuple(
        ToolCall(name=use["name"], arguments=use["input"], id=use["toolUseId"]) for use in uses
    )
    is_plain = all(block.keys() <= {"text", "toolUse"} for block in blocks)
    return Step(text, calls, () if is_plain else tuple(blocks))


@contextmanager
def _translated_errors(address: str, *, has_answered: bool) -> Iterator[None]:
    """Translate the exceptions of boto3 into those of this package.

    *has_answered* is True if the server has answered requests of the same variant.
    """
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    try:
        yield
    except exceptions.ClientError as error:
        raise _server_error(error, address, has_answered=has_answered) from error
    except exceptions.ParamValidationError as error:
        raise RequestRejected(str(error)) from error
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.TokenRetrievalError,
    ) as error:
        raise ProviderRejected(NO_AWS_CREDENTIALS.format(error)) from error
    # A refused connection is of another class than a lost one.
    except (exceptions.HTTPClientError, exceptions.ConnectionError, ResponseParserError) as error:
        raise RetryableError(f"no reply from {address}: {error}") from error
    except exceptions.BotoCoreError as error:
        raise ProviderRejected(str(error)) from error


def _server_error(error: Any, address: str, *, has_answered: bool) -> ReplyError:
    """Return the error for a response with a status of 300 or more."""
    details, facts = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    status, headers = facts.get("HTTPStatusCode", 500), facts.get("HTTPHeaders", {})
    message, code = str(details.get("Message") or error), details.get("Code", "")
    return http_error(address, status, message, headers, code, has_answered=has_answered)


def open_converse(requests: Sequence[Request], environ: Mapping[str, str]) -> ConverseProvider:
    """Open a client for the address and region that *requests* name.

    Raises:
        ConfigurationError: boto3 is not installed, or no region is set.
    """
    del environ  # boto3 reads it
    try:
        import boto3
        from botocore import config, exceptions
    except ImportError as error:
        message = 'provider bedrock-converse needs boto3: pip install "pytest-ftgate[bedrock]"'
        raise ConfigurationError(message) from error
    request, spec = requests[0], PROVIDERS["bedrock-converse"]
    # An ARN contains the region of its model: arn:aws:bedrock:us-west-2:…
    region = request.model.split(":")[3] if request.model.startswith("arn:") else None
    settings = config.Config(
        # The engine retries, and counts what it sends.
        retries={"total_max_attempts": 1},
        max_pool_connections=spec.max_concurrency,
        read_timeout=_READ_TIMEOUT,
        connect_timeout=_CONNECT_TIMEOUT,
    )
    try:
        # A session of its own: the default one keeps credentials for the whole process.
        client = boto3.Session().client(
            "bedrock-runtime", region_name=region, endpoint_url=request.base_url, config=settings
        )
    except exceptions.BotoCoreError as error:
        raise ConfigurationError(NO_AWS_CREDENTIALS.format(error)) from error
    return ConverseProvider(client)
