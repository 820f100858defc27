"""A server on loopback that answers some cases and meets each other one with a fault.

The model of a request names the fault.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from ftgate_testing.loopback import Handler, loopback

LABELS = ("billing", "refund")
#: The cases of the suite, and those that are always answered.
CASES, SOUND = 9, 3


@dataclass(slots=True)
class FaultyServer:
    """The running server.

    Attributes:
        answered: the model and the number of each case that was answered whole, in order.
        is_mended: from now on every case is answered.
    """

    url: str = ""
    answered: list[tuple[str, int]] = field(default_factory=list)
    is_mended: bool = False
    ending: Event = field(default_factory=Event)


def reply_body(model: str, text: str) -> dict[str, Any]:
    """Return a whole body of the chat completions API."""
    message = {"role": "assistant", "content": text}
    return {"id": "c", "model": model, "choices": [{"finish_reason": "stop", "message": message}]}


class _Handler(Handler):
    told: FaultyServer

    def post(self) -> None:
        request = json.loads(self.sent())
        model, text = request["model"], request["messages"][-1]["content"]
        number = int(text.split()[1])
        body = reply_body(model, LABELS[number % 2])
        with suppress(OSError):
            if number < SOUND or self.told.is_mended or model == "sound":
                self.give_json(200, body)
                self.told.answered.append((model, number))
            elif model == "204":
                self.give(204, b"")
            elif model.isdigit():
                self.give_json(int(model), {"error": {"message": f"fault {model}"}})
            else:
                FAULTS[model](self, body)


def _reset(handler: _Handler, _: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def _cut(handler: _Handler, body: Any) -> None:
    handler.give(200, json.dumps(body).encode()[:30], content_length="500")
    handler.close_connection = True


def _half_close(handler: _Handler, _: Any) -> None:
    handler.connection.shutdown(socket.SHUT_WR)
    handler.close_connection = True


def _drip(handler: _Handler, body: Any) -> None:
    content = json.dumps(body).encode()
    handler.send_response(200)
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.close_connection = True
    for byte in content:
        handler.wfile.write(bytes([byte]))
        if handler.told.ending.wait(0.1):
            return


def _garbage(handler: _Handler, _: Any) -> None:
    handler.wfile.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    handler.close_connection = True


#: What a server may answer that has lost its model.
NULLS = {
    "choices": [{"message": {"content": None}, "finish_reason": None}],
    "usage": None,
    "model": None,
}
#: What the server does, by the name of the fault.
FAULTS: dict[str, Callable[[_Handler, Any], None]] = {
    "reset": _reset,
    "cut off": _cut,
    "half-closed": _half_close,
    "slow drip": _drip,
    "no HTTP": _garbage,
    "no JSON": lambda handler, _: handler.give(200, b'{"choices": [{"message"'),
    "a page": lambda handler, _: handler.give(
        200, b"<html>Sign in</html>", content_type="text/html"
    ),
    "wrong type": lambda handler, _: handler.give_json(200, {"choices": "no", "content": 7}),
    "nulls": lambda handler, _: handler.give_json(200, NULLS),
    "an empty body": lambda handler, _: handler.give(200, b""),
    "bomb": lambda handler, _: handler.give(
        200, gzip.compress(b" " * 1_000_000), content_encoding="gzip"
    ),
    "redirect": lambda handler, _: handler.give_json(
        307, {}, location="http://elsewhere.example/v1"
    ),
    "another model": lambda handler, body: handler.give_json(200, body | {"model": "small"}),
}


@contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    """Serve until the block ends."""
    told = FaultyServer()
    with loopback(type("Faulty", (_Handler,), {"told": told})) as told.url:
        try:
            yield told
        finally:
            told.ending.set()
