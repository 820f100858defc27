"""A server of chat completions on loopback that answers, and misbehaves, as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(slots=True)
class Said:
    """What the server says: the text, why it stopped, and which model it claims to be.

    The *thought* is beside the text, as a server with a reasoning parser sends it. *logprobs* are
    those of the tokens of the text, *prompt_logprobs* those of the prompt, as vLLM sends them.
    """

    text: str
    stop: str = "stop"
    model: str | None = None
    thought: str = ""
    logprobs: list[dict[str, Any]] | None = None
    prompt_logprobs: list[Any] | None = None


Answer = Callable[[dict[str, Any]], Said]


@dataclass(slots=True)
class ChatServer:
    """The running server, and the requests that came."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)


def body_of(said: Said, request: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": said.text}
    message |= {"reasoning_content": said.thought} if said.thought else {}
    choice = {"index": 0, "finish_reason": said.stop, "message": message}
    choice |= {"logprobs": {"content": said.logprobs}} if said.logprobs is not None else {}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    body = {"id": "chat-1", "object": "chat.completion", "created": 1, "choices": [choice]}
    body |= {} if said.prompt_logprobs is None else {"prompt_logprobs": said.prompt_logprobs}
    return json.dumps(body | {"model": said.model or request["model"], "usage": usage}).encode()


class _Server(ThreadingHTTPServer):
    #: As many as come at once; with fewer places the kernel turns some away.
    request_queue_size = 128


@contextmanager
def chat_server(answer: Answer, models: list[dict[str, Any]] | None = None) -> Iterator[ChatServer]:
    """Serve chat completions by *answer*, and list *models* where it is given."""
    told = ChatServer(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.requests.append(request)
            self.give(200, body_of(answer(request), request))

        def do_GET(self) -> None:
            listed = models is not None and self.path == "/v1/models"
            self.give(200 if listed else 404, json.dumps({"data": models or []}).encode())

        def give(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Be silent."""

    server = _Server(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
