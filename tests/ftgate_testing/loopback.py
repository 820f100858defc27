"""A server on loopback that runs as long as a block, for the stand-ins of the APIs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, and logs nothing."""

    protocol_version = "HTTP/1.1"
    #: A body follows its headers at once; else it waits 40 ms until the client has told of these.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post()

    def get(self) -> None:
        self.give_json(404, {})

    post = get

    def sent(self) -> bytes:
        """Return the body of the request."""
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def give(self, status: int, body: bytes, **headers: str) -> None:
        """Answer with *body*; an underscore in the name of a header stands for a dash."""
        self.send_response(status)
        own = {"content-type": "application/json", "content-length": str(len(body))}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {**own, **given}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def give_json(self, status: int, value: Any, **headers: str) -> None:
        self.give(status, json.dumps(value).encode(), **headers)

    def log_message(self, *arguments: object) -> None:
        """Be silent."""


class _Server(ThreadingHTTPServer):
    #: As many as come at once; with fewer places the kernel turns some away.
    request_queue_size = 128

    def handle_error(self, *arguments: Any) -> None:
        """Be silent about a connection that has ended, or whose client was killed."""
        if not isinstance(sys.exception(), OSError | ValueError):
            super().handle_error(*arguments)


@contextmanager
def loopback(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Serve at *port*, or at any that is free, until the block ends; yield the address."""
    server = _Server(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
