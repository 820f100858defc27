"""llama.cpp in this process: local weights, an adapter for each request, grammars and tools."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import cached_property, partial
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_ftgate.adapters.chat_template import TEMPLATE_REMEDY, trained_template
from pytest_ftgate.adapters.conversion import gguf_adapter
from pytest_ftgate.adapters.lora import adapter_sha256
from pytest_ftgate.errors import ConfigurationError, RequestRejected, RetryableError
from pytest_ftgate.machine import usable_cores
from pytest_ftgate.providers.answers import StreamedReply, answer_end, obeyed
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.providers.openai import (
    chat_messages,
    chat_tools,
    choice_grammar,
    closed_object,
    completion_reply,
)
from pytest_ftgate.providers.served import trained_prompts
from pytest_ftgate.requests.reply import TEMPLATE_FACT, Reply
from pytest_ftgate.requests.request import Adapter, Request, Step, Tool, ToolCall
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.weights_file import check_gguf

#: The start of the error type for a prompt that is too long.
_TOO_LONG = "exceed_context_size"
_SCHEMA_AND_TOOLS = (
    "llama.cpp can restrict replies of {} to a schema or give it tools, not both; remove "
    "response_schema or tools"
)
#: The variables that set how the threads of OpenMP wait.
_WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
#: How often a waiting thread looks again before it sleeps: some microseconds.
_SPINS = "1000"
#: Each chunk of a streamed reply has the token counts so far.
_STREAM = {"stream": True, "timings_per_token": True}
#: The timeout of a request for the model's properties, in seconds.
_PROPERTIES_TIMEOUT = 60.0


class LlamaCppProvider(Provider):
    """One loaded model, with all adapters that its requests need."""

    def __init__(self, requests: Sequence[Request], threads: int) -> None:
        self._model = requests[0].model
        adapters = [request.adapter for request in requests if request.adapter]
        self._adapters = {adapter.sha256: adapter for adapter in adapters}
        runtime: dict[str, Any] = {}
        for request in requests:
            # Variants share the loaded model, so the largest value of each setting applies.
            runtime |= {k: max(v, runtime.get(k, 0)) for k, v in request.runtime.items()}
        spec = PROVIDERS["llamacpp"]
        self.concurrency = runtime.get("slots", spec.concurrency)
        self._context = runtime.get("context", spec.context)
        self._server = self._start(runtime.get("threads", threads))
        self._pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="ftgate-llamacpp")
        self._adapter_lock = _AdapterLock()
        #: Where the chat template differs from that of the training, by the adapter's digest.
        self._differences: dict[str, str] = {}

    def _start(self, threads: int) -> Any:
        check_gguf(Path(self._model))
        xllamacpp = _import_engine()
        params = xllamacpp.CommonParams()
        params.model.path = self._model
        params.n_parallel = self.concurrency
        params.n_ctx = self._context * self.concurrency
        params.cpuparams.n_threads = threads
        params.verbosity = -1
        params.port = 0
        # States from the prompt cache do not always give the replies of fresh ones: with the cache
        # a base under adapters repeated its reply on 23 of 32 prompts, without it on all 32.
        params.cache_ram_mib = 0
        params.lora_adapters = [
            xllamacpp.CommonAdapterLoraInfo(str(self._adapter_file(adapter)), adapter.scale)
            for adapter in self._adapters.values()
        ]
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise ConfigurationError(f"llama.cpp cannot load {self._model}: {error}") from error

    def _adapter_file(self, adapter: Adapter) -> Path:
        if adapter.path.exists() and adapter_sha256(adapter.path) != adapter.sha256:
            raise ConfigurationError(adapter.changed)
        path = gguf_adapter(adapter.path, Path(self._model))
        check_gguf(path)
        return path

    @cached_property
    def _properties(self) -> Mapping[str, Any]:
        """The engine's description of the loaded model."""
        return self._fetch("/props")

    def _fetch(self, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return what the engine answers at *path*, at its own address."""
        address = urlsplit(self._server.listening_address)
        sent = None if body is None else json.dumps(body)
        with closing(HTTPConnection(address.netloc, timeout=_PROPERTIES_TIMEOUT)) as connection:
            connection.request("GET" if sent is None else "POST", path, sent)
            answer: dict[str, Any] = json.load(connection.getresponse())
        return answer

    def _prompts_tools(self, request: Request) -> bool:
        """Return True if the tools go into the prompt because the chat template has none."""
        return bool(request.tools) and not self._properties["chat_template_caps"]["supports_tools"]

    def _facts(self, request: Request) -> dict[str, str]:
        template = sha256(self._properties["chat_template"].encode()).hexdigest()
        facts = {"chat template sha256": template}
        if request.adapter is not None:
            key = request.adapter.sha256
            if key not in self._differences:
                self._differences[key] = self._template_difference(request)
            facts |= {TEMPLATE_FACT: self._differences[key]} if self._differences[key] else {}
        return facts

    def _template_difference(self, request: Request) -> str:
        """Return where the prompts differ from those of the training; "" if they do not."""
        template = trained_template(request.adapter.path) if request.adapter else None
        if template is None:
            return ""
        prompts = [
            (self._fetch("/apply-template", body).get("prompt"), trained)
            for body, trained in trained_prompts(request, template)
        ]
        found = template.difference(prompts)
        return f"{found}; {TEMPLATE_REMEDY}" if found else ""

    def serves(self, request: Request) -> bool:
        """Return True for the same weights, without an adapter or with a loaded one."""
        loaded = request.adapter is None or request.adapter.sha256 in self._adapters
        return loaded and request.model == self._model

    async def generate(self, request: Request) -> Reply:
        """Return the reply to one request.

        Raises:
            RequestRejected: the request is invalid, such as a prompt longer than the context.
            RetryableError: the engine failed.
        """
        loop = asyncio.get_running_loop()
        payload = self._payload(request)
        complete = partial(self._complete, request)
        async with self._adapter_lock.shared(payload["lora"]):
            start = time.perf_counter()
            try:
                raw = await loop.run_in_executor(self._pool, complete, payload)
            except ValueError as error:
                # The engine raises it for a malformed request, such as an invalid schema.
                raise RequestRejected(str(error)) from error
            seconds = time.perf_counter() - start
        if "error" in raw:
            raise self._error(raw["error"])
        reply, usage = completion_reply(raw), raw.get("usage", {})
        if self._prompts_tools(request):
            text, step = parse_prompted(reply.text)
            steps, stop = ((step,), "tool") if step else ((), reply.stop)
            reply = replace(reply, text=text, steps=steps, stop=stop)
        counts = {"input": "prompt_tokens", "output": "completion_tokens"}
        return replace(
            reply,
            usage={name: usage.get(api_name, 0) for name, api_name in counts.items()},
            seconds=seconds,
            facts=self._facts(request),
        )

    def _complete(self, request: Request, payload: dict[str, Any]) -> Mapping[str, Any]:
        """Return the engine's answer, in which the reply ends where its answer ends."""
        end = answer_end(obeyed(request, self._properties["chat_template"]))
        if end is None:
            answer: Mapping[str, Any] = self._server.handle_chat_completions(payload)
            return answer
        reply = StreamedReply(end)
        self._server.handle_chat_completions({**payload, **_STREAM}, reply.add)
        return reply.completion()

    def _payload(self, request: Request) -> dict[str, Any]:
        # The list names every adapter: an empty list would leave all of them active.
        adapter = request.adapter
        lora = [
            {"id": i, "scale": adapter.scale if adapter and adapter.sha256 == loaded else 0.0}
            for i, loaded in enumerate(self._adapters)
        ]
        return {
            **request.extra,
            **self._prompt(request),
            "max_tokens": request.max_tokens,
            **request.sampling,
            # Repeats must differ from each other, and each must be the same in the next run.
            "seed": int(request.sampling.get("seed", 0)) + request.repeat,
            "lora": lora,
        }

    def _prompt(self, request: Request) -> dict[str, Any]:
        """Return the messages, and what restricts the reply: a grammar, a schema, or tools."""
        if self._prompts_tools(request):
            schema = prompted_schema(request)
            return {"messages": prompted_messages(request), "json_schema": schema}
        if not request.tools:
            return {"messages": chat_messages(request), **_constraint(request.constraint)}
        if request.constraint:
            raise RequestRejected(_SCHEMA_AND_TOOLS.format(Path(self._model).name))
        return {"messages": chat_messages(request), "tools": chat_tools(request)}

    def _error(self, error: Mapping[str, Any]) -> Exception:
        message = str(error.get("message", error))
        if str(error.get("type", "")).startswith(_TOO_LONG):
            return RequestRejected(
                f"{message}; set context: above {self._context} tokens on the variant"
            )
        is_invalid = error.get("type") == "invalid_request_error"
        return RequestRejected(message) if is_invalid else RetryableError(message)

    async def close(self) -> None:
        """Wait for the threads, then release the model."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._server = None


def _import_engine() -> Any:
    """Import the engine so that its threads soon sleep while they wait for each other.

    By default they spin for long. Beside any other load, a thread that spins takes the core of the
    thread that it waits for. Threads that never spin are slow too, since waking them takes long.
    """
    # OpenMP reads the variable once, when the engine loads it. No other process inherits it.
    is_set = any(name in os.environ for name in _WAIT_VARIABLES)
    if not is_set:
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        import xllamacpp
    except ImportError as error:
        message = 'provider llamacpp needs xllamacpp: pip install "pytest-ftgate[local]"'
        raise ConfigurationError(message) from error
    finally:
        if not is_set:
            del os.environ["GOMP_SPINCOUNT"]
    return xllamacpp


class _AdapterLock:
    """Allows several requests in flight only if they use the same adapters.

    llama.cpp cannot batch requests with different adapters. They would slow each other down, and
    the numerics of a reply would depend on the other requests in flight.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._in_flight, self._adapters = 0, list[dict[str, Any]]()

    @asynccontextmanager
    async def shared(self, adapters: list[dict[str, Any]]) -> AsyncIterator[None]:
        """Wait until no request with other adapters is in flight."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._in_flight or self._adapters == adapters)
            self._in_flight, self._adapters = self._in_flight + 1, adapters
        try:
            yield
        finally:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()


def _constraint(constraint: Mapping[str, Any] | None) -> dict[str, Any]:
    if constraint is None:
        return {}
    if "choice" in constraint:
        return {"grammar": choice_grammar(constraint["choice"])}
    return {"json_schema": constraint["json_schema"]}


def open_llamacpp(requests: Sequence[Request], environ: Mapping[str, str]) -> LlamaCppProvider:
    """Load the model that *requests* name.

    The models of pytest-xdist workers share the cores that this process may use.

    Raises:
        ConfigurationError: the engine is not installed, or fails to load the weights or an adapter.
    """
    workers = int(environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return LlamaCppProvider(requests, threads=max(1, usable_cores() // workers))


_HOW = (
    'To use one write {"tool": "its name", "arguments": {…}}, and you will be told what it '
    'returned. To answer write {"answer": …}.'
)


def prompted_messages(request: Request) -> list[dict[str, str]]:
    """Return the conversation of *request*, with its tools described in the system prompt."""
    tools = "\n".join(["You can use these tools:", *map(_tool_line, request.tools), _HOW])
    system = [text for role, text in request.messages if role == "system"]
    rest = [(role, text) for role, text in request.messages if role != "system"]
    turns = [("system", "\n\n".join([*system, tools])), *rest, *_step_turns(request.steps)]
    return [{"role": role, "content": text} for role, text in turns]


def _tool_line(tool: Tool) -> str:
    properties = tool.parameters.get("properties", {})
    definitions = tool.parameters.get("$defs", {})
    arguments = ", ".join(
        f"{name}: {_type_text(schema, definitions)}" for name, schema in properties.items()
    )
    return f"- {tool.name}({arguments}): {' '.join(tool.description.split())}"


def _type_text(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    resolved = {**definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], {}), **schema}
    values = " or ".join(json.dumps(value) for value in resolved.get("enum", ()))
    text = values or str(resolved.get("type", "any"))
    return f"{text}, {schema['description']}" if "description" in schema else text


def _step_turns(steps: tuple[Step, ...]) -> Iterator[tuple[str, str]]:
    for step in steps:
        (call,) = step.calls
        yield "assistant", json.dumps({"tool": call.name, "arguments": call.arguments})
        yield "user", f"{call.name} {'failed' if call.failed else 'returned'}: {call.result}"


def prompted_schema(request: Request) -> dict[str, Any]:
    """Return the schema of the next turn: a tool call or an answer; the last turn is an answer."""
    definitions: dict[str, Any] = {}
    answer = closed_object(
        {"answer": _lift_definitions(_answer_schema(request.constraint), "answer", definitions)}
    )
    tool_calls = [
        closed_object(
            {
                "tool": {"const": tool.name},
                "arguments": _lift_definitions(tool.parameters, tool.name, definitions),
            }
        )
        for tool in request.tools
    ]
    turn = answer if request.is_last_turn else {"anyOf": [*tool_calls, answer]}
    return {**turn, "$defs": definitions} if definitions else turn


def _lift_definitions(schema: Any, owner: str, definitions: dict[str, Any]) -> Any:
    """Return *schema* with its ``$defs`` moved to *definitions*: references start at the root."""
    text = json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{owner}.')
    lifted = json.loads(text)
    if isinstance(lifted, dict):
        nested = lifted.pop("$defs", {})
        definitions.update({f"{owner}.{name}": definition for name, definition in nested.items()})
    return lifted


def _answer_schema(constraint: Mapping[str, Any] | None) -> Any:
    if constraint is None:
        return {"type": "string"}
    return {"enum": constraint["choice"]} if "choice" in constraint else constraint["json_schema"]


def parse_prompted(text: str) -> tuple[str, Step | None]:
    """Return the answer in a turn and None, or "" and the turn's tool call.

    A truncated turn is returned unchanged.
    """
    try:
        turn = json.loads(text)
    except ValueError:
        return text, None
    if "tool" in turn:
        return "", Step("", (ToolCall(name=turn["tool"], arguments=turn["arguments"]),))
    answer = turn["answer"]
    return (answer if isinstance(answer, str) else json.dumps(answer)), None
