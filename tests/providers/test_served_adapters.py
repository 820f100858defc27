"""Adapters on a server that loads them while it runs, in the protocol of vLLM."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pytest_ftgate.adapters.lora import adapter_sha256
from pytest_ftgate.errors import ProviderRejected, RetryableError
from pytest_ftgate.providers.openai import open_openai
from pytest_ftgate.requests.request import Adapter

BASE = {"id": "base", "root": "/models/base", "parent": None}


@dataclass
class LoraServer:
    """A server with one base. *refusal* is the status with which it loads no adapter, or 0."""

    refusal: int = 0
    forgets: bool = False
    models: dict = field(default_factory=lambda: {"base": BASE})
    url: str = ""
    asked: list = field(default_factory=list)

    def answer(self, path: str, body: dict) -> tuple[int, object]:
        self.asked.append((path, body))
        match path:
            case "/v1/models":
                return 200, {"data": [*self.models.values()]}
            case "/v1/load_lora_adapter" if self.refusal:
                error = {"message": "no such thing", "type": "NotFound", "code": self.refusal}
                return self.refusal, {"error": error}
            case "/v1/load_lora_adapter":
                entry = {"id": body["lora_name"], "root": body["lora_path"], "parent": "base"}
                self.models |= {} if self.forgets else {body["lora_name"]: entry}
                return 200, "Success: LoRA adapter added successfully."
            case "/v1/unload_lora_adapter":
                del self.models[body["lora_name"]]
                return 200, "Success: LoRA adapter removed successfully."
        message = {"role": "assistant", "content": "fine"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return 200, {"model": body["model"], "choices": [choice], "usage": {}}

    def paths(self, word: str) -> list:
        return [body for path, body in self.asked if word in path]


@contextmanager
def running(server: LoraServer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.give(*server.answer(self.path, {}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.give(*server.answer(self.path, json.loads(body)))

        def give(self, status: int, content: object) -> None:
            self.send_response(status)
            self.end_headers()
            text = content if isinstance(content, str) else json.dumps(content)
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            """Be silent."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.fixture
def server(request):
    with running(getattr(request, "param", LoraServer())) as server:
        yield server


@pytest.fixture
def adapter(tmp_path):
    """Write an adapter of rank 12 as trainers do."""
    folder = tmp_path / "my out"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 12, "lora_alpha": 24, "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_text("weights")
    return Adapter(path=folder, scale=1.0, sha256=adapter_sha256(folder))


@pytest.fixture
def tuned(call, server, adapter):
    def make(text: str = "hello", **changes):
        where = {"base_url": server.url, "api_key_env": "", "adapter": adapter}
        return call(
            text, **{"provider": "openai-compatible", "model": "tickets", **where, **changes}
        )

    return make


def together(calls, **environ):
    async def ask():
        provider = open_openai(calls, environ)
        try:
            return await asyncio.gather(*map(provider.generate, calls))
        finally:
            await provider.close()

    return asyncio.run(ask())


def test_a_folder_is_loaded_once_asked_by_its_name_and_unloaded_at_the_end(server, tuned, adapter):
    replies = together([tuned("one"), tuned("two")])

    (loaded,) = server.paths("/load_lora_adapter")
    assert loaded["lora_path"] == str(adapter.path)
    assert loaded["lora_name"].startswith(f"tickets-{adapter.sha256[:8]}-")
    assert [body["model"] for body in server.paths("chat")] == [loaded["lora_name"]] * 2
    assert server.models == {"base": BASE}
    assert [reply.model for reply in replies] == ["tickets"] * 2


def test_the_parent_that_the_server_lists_is_a_fact(server, tuned, adapter):
    (reply,) = together([tuned()])

    assert reply.facts == {"parent": "base", "root": str(adapter.path)}


def test_a_declared_name_of_the_served_model_is_kept(server, tuned):
    (reply,) = together([tuned(served_model="house/tickets")])

    assert reply.model == "house/tickets"


def test_two_runs_never_share_a_loaded_adapter(server, tuned):
    together([tuned()])
    together([tuned()])

    first, second = (body["lora_name"] for body in server.paths("/load_lora_adapter"))
    assert first != second


def test_requests_without_a_folder_load_nothing(server, tuned, tmp_path):
    (tmp_path / "a.gguf").write_text("GGUF")
    file = Adapter(path=tmp_path / "a.gguf", scale=1.0, sha256="0")

    together([tuned(adapter=None)])
    together([tuned(adapter=file)])

    assert server.paths("lora") == []
    assert [body["model"] for body in server.paths("chat")] == ["tickets"] * 2


@pytest.mark.parametrize(
    "server", [LoraServer(refusal=status) for status in (400, 403, 404)], indirect=True
)
def test_a_server_that_loads_nothing_is_an_error_with_the_command_that_serves_it(
    server, tuned, adapter
):
    with pytest.raises(ProviderRejected) as raised:
        together([tuned()])

    refused, command, hint = str(raised.value).splitlines()
    why = f"has no model tickets, and loads no adapter ({server.refusal} no such thing)"
    assert refused == f"{server.url} {why}; serve the adapter:"
    module = f"'tickets={adapter.path}'"
    assert command.strip() == (
        f"vllm serve org/base --enable-lora --lora-modules {module} --max-lora-rank 16"
    )
    assert hint.startswith("or let vLLM load it: VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve")
    assert server.paths("chat") == []


@pytest.mark.parametrize("server", [LoraServer(refusal=404)], indirect=True)
def test_a_server_that_loads_nothing_may_serve_the_adapter_already(server, tuned):
    server.models["tickets"] = {"id": "tickets", "root": "/adapters/7", "parent": "base"}

    (reply,) = together([tuned()])

    assert (reply.model, reply.facts["root"]) == ("tickets", "/adapters/7")
    assert "tickets" in server.models


@pytest.mark.parametrize("server", [LoraServer(forgets=True)], indirect=True)
def test_an_adapter_that_the_server_does_not_list_after_loading_is_not_proven(server, tuned):
    with pytest.raises(ProviderRejected, match="does not list the adapter after loading it"):
        together([tuned()])


def test_an_adapter_that_changed_since_the_plan_is_not_loaded(server, tuned, adapter):
    call = tuned()
    (adapter.path / "adapter_model.safetensors").write_text("other weights")

    with pytest.raises(ProviderRejected, match="has changed since the run began"):
        together([call])

    assert server.paths("lora") == []


def test_a_server_that_is_not_there_is_tried_again(tuned):
    with pytest.raises(RetryableError, match="no connection"):
        together([tuned(base_url="http://127.0.0.1:9/v1")])
