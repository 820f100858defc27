"""A server of chat completions on loopback that answers, and misbehaves, as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ftgate_testing.loopback import Handler, loopback


@dataclass(slots=True)
class Said:
    """What the server says: the text, why it stopped, and which model it claims to be.

    The *thought* is beside the text, as a server with a reasoning parser sends it.
    """

    text: str
    stop: str = "stop"
    model: str | None = None
    thought: str = ""


#: Returns what is said to a request, or the bytes of a body that is no completion.
Answer = Callable[[dict[str, Any]], Said | bytes]


@dataclass(slots=True)
class ChatServer:
    """The running server, and the requests that came."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)


def body_of(said: Said, request: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": said.text}
    message |= {"reasoning_content": said.thought} if said.thought else {}
    choice = {"index": 0, "finish_reason": said.stop, "message": message}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    body = {"id": "chat-1", "object": "chat.completion", "created": 1, "choices": [choice]}
    return json.dumps(body | {"model": said.model or request["model"], "usage": usage}).encode()


@contextmanager
def chat_server(
    answer: Answer, models: list[dict[str, Any]] | None = None, port: int = 0
) -> Iterator[ChatServer]:
    """Serve chat completions by *answer* at *port*, and list *models* where it is given."""
    told = ChatServer(url="")

    class Chat(Handler):
        def post(self) -> None:
            request = json.loads(self.sent())
            told.requests.append(request)
            said = answer(request)
            self.give(200, said if isinstance(said, bytes) else body_of(said, request))

        def get(self) -> None:
            listed = models is not None and self.path == "/v1/models"
            self.give_json(200 if listed else 404, {"data": models or []})

    with loopback(Chat, port) as address:
        told.url = f"{address}/v1"
        yield told
