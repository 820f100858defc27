"""llama.cpp in this process: local weights, an adapter for each request, grammars, tools."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_ftgate.adapters import adapter_facts
from pytest_ftgate.errors import Refused, Transient, Unavailable
from pytest_ftgate.providers.openai import messages_of, step_of, tools_of
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, Call, Step, Tool, ToolCall

__all__ = ["LlamaCpp", "open_provider", "prompted_messages", "prompted_schema", "read_prompted"]

_SLOTS = 8
#: Tokens that one slot holds: prompt and reply together.
_CONTEXT = 2048
_STOPS = {"stop": "end", "length": "length", "tool_calls": "tool"}
#: Part of the message with which the engine says that a prompt is too long.
_TOO_LONG = "exceed_context_size"
_EITHER = (
    "llama.cpp holds replies of {} to a schema or lets them use tools, not both; remove "
    "response_schema or tools"
)
#: Seconds that the engine in this process may take to tell what its model can do.
_PATIENCE = 60.0


class LlamaCpp:
    """One loaded model, with every adapter that any of its calls needs."""

    def __init__(self, calls: Sequence[Call], threads: int) -> None:
        self._model = calls[0].model
        self._adapters: list[Adapter] = list(
            {c.adapter.sha256: c.adapter for c in calls if c.adapter}.values()
        )
        runtime: dict[str, int] = {}
        for call in calls:
            # Variants share the loaded model, so the largest wish is met.
            runtime |= {k: max(v, runtime.get(k, 0)) for k, v in call.runtime.items()}
        self.concurrency = runtime.get("slots", _SLOTS)
        self._context = runtime.get("context", _CONTEXT)
        self._server = self._start(runtime.get("threads", threads))
        self._pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="ftgate-llamacpp")
        self._turns = _Turns()

    def _start(self, threads: int) -> Any:
        try:
            import xllamacpp
        except ImportError as error:
            message = 'provider llamacpp needs xllamacpp: pip install "pytest-ftgate[local]"'
            raise Unavailable(message) from error
        params = xllamacpp.CommonParams()
        params.model.path = self._model
        params.n_parallel = self.concurrency
        params.n_ctx = self._context * self.concurrency
        params.cpuparams.n_threads = threads
        params.verbosity = -1
        params.port = 0
        # States that its store of prompts gives back do not always answer like fresh ones: with
        # it a base under adapters repeated itself on 23 of 32 prompts, without it on all.
        params.cache_ram_mib = 0
        params.lora_adapters = [
            xllamacpp.CommonAdapterLoraInfo(str(a.path), a.scale) for a in self._adapters
        ]
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise Unavailable(f"llama.cpp cannot load {self._model}: {error}") from error

    @cached_property
    def _told(self) -> Mapping[str, Any]:
        """What the engine says of the model that it has loaded."""
        address = urlsplit(self._server.listening_address)
        with closing(HTTPConnection(address.netloc, timeout=_PATIENCE)) as connection:
            connection.request("GET", "/props")
            told: dict[str, Any] = json.load(connection.getresponse())
        return told

    def _tells_tools(self, call: Call) -> bool:
        """Whether tools are told in words: without a place in the template they would be lost."""
        return bool(call.tools) and not self._told["chat_template_caps"]["supports_tools"]

    def _facts(self, call: Call) -> dict[str, str]:
        template = sha256(self._told["chat_template"].encode()).hexdigest()
        adapter = adapter_facts(call.adapter.path) if call.adapter else {}
        return {"chat template sha256": template, **adapter}

    def serves(self, call: Call) -> bool:
        """Serve calls to the same weights, with no adapter or one that is loaded."""
        digests = [adapter.sha256 for adapter in self._adapters]
        loaded = call.adapter is None or call.adapter.sha256 in digests
        return loaded and call.model == self._model

    async def ask(self, call: Call) -> Reply:
        """Answer one call.

        Raises:
            Refused: the request cannot be answered, such as a prompt too long for the context.
            Transient: the engine failed.
        """
        loop = asyncio.get_running_loop()
        request = self._request(call)
        answer = self._server.handle_chat_completions
        async with self._turns.of(request["lora"]):
            start = time.perf_counter()
            try:
                raw = await loop.run_in_executor(self._pool, answer, request)
            except ValueError as error:
                # So the engine says that it cannot read a request, such as a schema that is none.
                raise Refused(str(error)) from error
            reply = self._reply(raw, time.perf_counter() - start)
        if self._tells_tools(call):
            text, step = read_prompted(reply.text)
            steps, stop = ((step,), "tool") if step else ((), reply.stop)
            reply = replace(reply, text=text, steps=steps, stop=stop)
        return replace(reply, facts=self._facts(call))

    def _request(self, call: Call) -> dict[str, Any]:
        # Every adapter is named: an empty list would leave all of them switched on.
        wanted = call.adapter
        lora = [
            {"id": i, "scale": wanted.scale if wanted and wanted.sha256 == loaded.sha256 else 0.0}
            for i, loaded in enumerate(self._adapters)
        ]
        return {
            **self._asked(call),
            "max_tokens": call.max_tokens,
            **call.sampling,
            # Repeats of a sampled reply must differ, and be the same in the next run.
            "seed": int(call.sampling.get("seed", 0)) + call.repeat,
            "lora": lora,
        }

    def _asked(self, call: Call) -> dict[str, Any]:
        if self._tells_tools(call):
            schema = prompted_schema(call)
            return {"messages": prompted_messages(call), "json_schema": schema}
        if not call.tools:
            return {"messages": messages_of(call), **_held_to(call.constraint)}
        if call.constraint:
            raise Refused(_EITHER.format(Path(self._model).name))
        return {"messages": messages_of(call), "tools": tools_of(call)}

    def _reply(self, raw: Mapping[str, Any], seconds: float) -> Reply:
        if "error" in raw:
            raise self._error(raw["error"])
        choice, usage = raw["choices"][0], raw.get("usage", {})
        step = step_of(choice["message"])
        return Reply(
            text=choice["message"].get("content") or "",
            stop=_STOPS.get(choice.get("finish_reason"), "end"),
            usage={
                "input": usage.get("prompt_tokens", 0),
                "output": usage.get("completion_tokens", 0),
            },
            seconds=seconds,
            steps=(step,) if step else (),
        )

    def _error(self, error: Mapping[str, Any]) -> Exception:
        said = str(error.get("message", error))
        if str(error.get("type", "")).startswith(_TOO_LONG):
            return Refused(f"{said}; set context: above {self._context} tokens on the variant")
        is_ours = error.get("type") == "invalid_request_error"
        return Refused(said) if is_ours else Transient(said)

    async def close(self) -> None:
        """Let the threads end, then the model go."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._server = None


class _Turns:
    """Lets calls in flight together only where they use the same adapters.

    llama.cpp cannot batch others with them, so both would be slower, and a reply would depend in
    its last bits on which others happened to be beside it.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._flying, self._adapters = 0, list[dict[str, Any]]()

    @asynccontextmanager
    async def of(self, adapters: list[dict[str, Any]]) -> AsyncIterator[None]:
        """Wait until no call with other adapters is in flight."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._flying or self._adapters == adapters)
            self._flying, self._adapters = self._flying + 1, adapters
        try:
            yield
        finally:
            async with self._changed:
                self._flying -= 1
                self._changed.notify_all()


def _held_to(constraint: Mapping[str, Any] | None) -> dict[str, Any]:
    if constraint is None:
        return {}
    if "choice" in constraint:
        labels = " | ".join(_quoted(label) for label in constraint["choice"])
        return {"grammar": f"root ::= {labels}"}
    return {"json_schema": constraint["json_schema"]}


def _quoted(label: str) -> str:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> LlamaCpp:
    """Load the model that *calls* name.

    Several pytest-xdist workers share the machine's cores between their models.

    Raises:
        Unavailable: the engine is not installed, or cannot load the weights or an adapter.
    """
    workers = int(environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return LlamaCpp(calls, threads=max(1, (os.cpu_count() or 1) // workers))


_HOW = (
    'To use one write {"tool": "its name", "arguments": {…}}, and you will be told what it '
    'returned. To answer write {"answer": …}.'
)


def prompted_messages(call: Call) -> list[dict[str, str]]:
    """Return the conversation of *call*, with its tools told in the system prompt."""
    told = "\n".join(["You can use these tools:", *map(_line, call.tools), _HOW])
    system = [text for role, text in call.messages if role == "system"]
    asked = [(role, text) for role, text in call.messages if role != "system"]
    turns = [("system", "\n\n".join([*system, told])), *asked, *_since(call.steps)]
    return [{"role": role, "content": text} for role, text in turns]


def _line(tool: Tool) -> str:
    arguments = tool.parameters.get("properties", {})
    known = tool.parameters.get("$defs", {})
    named = ", ".join(f"{name}: {_kind(told, known)}" for name, told in arguments.items())
    return f"- {tool.name}({named}): {' '.join(tool.description.split())}"


def _kind(told: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    meant = {**known.get(str(told.get("$ref", "")).rpartition("/")[2], {}), **told}
    values = " or ".join(json.dumps(value) for value in meant.get("enum", ()))
    kind = values or str(meant.get("type", "any"))
    return f"{kind}, {told['description']}" if "description" in told else kind


def _since(steps: tuple[Step, ...]) -> Iterator[tuple[str, str]]:
    for step in steps:
        (use,) = step.calls
        yield "assistant", json.dumps({"tool": use.name, "arguments": use.arguments})
        yield "user", f"{use.name} {'failed' if use.failed else 'returned'}: {use.result}"


def prompted_schema(call: Call) -> dict[str, Any]:
    """Return the schema of the next turn: a use of a tool, or the answer; at last the answer."""
    shared: dict[str, Any] = {}
    answer = _object({"answer": _lifted(_answer(call.constraint), "answer", shared)})
    uses = [
        _object(
            {"tool": {"const": one.name}, "arguments": _lifted(one.parameters, one.name, shared)}
        )
        for one in call.tools
    ]
    turn = answer if call.is_last_turn else {"anyOf": [*uses, answer]}
    return {**turn, "$defs": shared} if shared else turn


def _lifted(schema: Any, owner: str, shared: dict[str, Any]) -> Any:
    """Return *schema* with its definitions moved to *shared*: references count from the root."""
    text = json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{owner}.')
    inner = json.loads(text)
    if isinstance(inner, dict):
        found = inner.pop("$defs", {})
        shared.update({f"{owner}.{name}": told for name, told in found.items()})
    return inner


def _answer(constraint: Mapping[str, Any] | None) -> Any:
    if constraint is None:
        return {"type": "string"}
    return {"enum": constraint["choice"]} if "choice" in constraint else constraint["json_schema"]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    closed = {"required": [*properties], "additionalProperties": False}
    return {"type": "object", "properties": properties, **closed}


def read_prompted(text: str) -> tuple[str, Step | None]:
    """Return the answer that a turn gives, or "" and the use of a tool that it asks for.

    A turn that was cut off is neither, and is returned as it is.
    """
    try:
        said = json.loads(text)
    except ValueError:
        return text, None
    if "tool" in said:
        return "", Step("", (ToolCall(name=said["tool"], arguments=said["arguments"]),))
    answer = said["answer"]
    return (answer if isinstance(answer, str) else json.dumps(answer)), None
