"""A Messages API and chat completions on loopback, with faults on demand."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ftgate_testing.loopback import Handler, loopback


@dataclass
class Answer:
    """What the loopback server gives back: bytes as they are, or a broken connection."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False


@dataclass
class Api:
    """The APIs on loopback: answer what is queued, then a plain message for ever.

    *pages* are by path; a function among them answers a POST by its body, with bytes as they are.
    """

    url: str
    queued: deque[Answer] = field(default_factory=deque)
    requests: list[dict] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    pages: dict[str, object] = field(default_factory=dict)

    def completion(self, text: str | None = "ok", stop: str = "stop", **fields) -> None:
        choice = {"index": 0, "finish_reason": stop}
        choice["message"] = {"role": "assistant", "content": text, **fields.pop("message", {})}
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        body = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": "served"}
        body |= {"choices": [choice], "usage": usage}
        self.raw(json.dumps(body | fields).encode(), **{"x-request-id": "req_8"})

    def message(self, text: str | None = "ok", stop: str = "end_turn", **fields) -> None:
        content = [] if text is None else [{"type": "text", "text": text}]
        usage = {"input_tokens": 9, "output_tokens": 2}
        usage |= {"cache_creation_input_tokens": 3, "cache_read_input_tokens": 4}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": content}
        message |= {"model": "served", "stop_reason": stop, "stop_sequence": None, "usage": usage}
        self.raw(json.dumps(message | fields).encode(), **{"request-id": "req_7"})

    def error(self, status: int, kind: str, code: str | None = None, **headers) -> None:
        error = {"type": kind, "message": f"no: {kind}"}
        error |= {"details": {"error_code": code}} if code else {}
        body = json.dumps({"type": "error", "error": error}).encode()
        self.raw(body, status, **{name.replace("_", "-"): value for name, value in headers.items()})

    def raw(self, body: bytes, status: int = 200, **headers) -> None:
        self.queued.append(Answer(body, status, {"content-type": "application/json"} | headers))

    def reset(self) -> None:
        self.queued.append(Answer(b"", reset=True))


def _handler(api: Api) -> type[Handler]:
    class Messages(Handler):
        def post(self) -> None:
            api.requests.append(json.loads(self.sent()))
            api.headers.append({k.lower(): v for k, v in self.headers.items()})
            api.paths.append(self.path)
            page = api.pages.get(self.path)
            if callable(page):
                content = page(api.requests[-1])
                plain = isinstance(content, bytes)
                self.give(200, content if plain else json.dumps(content).encode())
                return
            if not api.queued:
                (api.completion if self.path.endswith("/completions") else api.message)()
            self.give_answer(api.queued.popleft())

        def get(self) -> None:
            api.paths.append(self.path)
            page = api.pages.get(self.path)
            self.give_json(404 if page is None else 200, page or {"error": "none"})

        def give_answer(self, answer: Answer) -> None:
            if answer.reset:
                # A linger of no time makes the kernel send a reset in place of a farewell.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                os.close(self.connection.detach())
                self.close_connection = True
                return
            self.give(answer.status, answer.body, **answer.headers)

    return Messages


@contextmanager
def serving() -> Iterator[Api]:
    """Serve a Messages API until the block ends."""
    api = Api(url="")
    with loopback(_handler(api)) as api.url:
        yield api
