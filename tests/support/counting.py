"""A slow server on loopback that counts what it is asked, and a suite whose function asks it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

LABELS = ("billing", "refund")
#: The functions of the suite: they say what the server says, and take as long.
FUNCTION = """\
import asyncio

async def current(case):
    return await asked(f"current/{case.id}")

async def draft(case):
    return await asked(f"draft/{case.id}")

async def asked(path):
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(f"GET /{path} HTTP/1.0\\r\\n\\r\\n".encode())
    said = (await reader.read()).decode().partition("\\r\\n\\r\\n")[2]
    writer.close()
    await writer.wait_closed()
    assert said, "the server went away"
    return said
"""
SUITE = """\
cases: tickets.cases.jsonl
reply: {format: {choice: [billing, refund]}}
variants:
  current: {provider: python, function: "asking:current"}
  draft: {provider: python, function: "asking:draft"}
gates: {accuracy: {min: 0.5, max_drop: 0.2}, format: {min: 0.5, max_drop: 0.2}}
"""


@dataclass(slots=True)
class Counting:
    """What the server was asked, in order, and how many requests it has not answered yet."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    open: int = 0
    lock: Lock = field(default_factory=Lock)

    def wait_until_idle(self) -> None:
        # What is on its way when its sender dies is still counted.
        time.sleep(0.05)
        while self.open:
            time.sleep(0.01)


@contextmanager
def counting(seconds: float) -> Iterator[Counting]:
    """Serve until the block ends, taking *seconds* for each answer."""
    told = Counting()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with told.lock:
                told.asked.append(self.path[1:])
                told.open += 1
            try:
                time.sleep(seconds)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(LABELS[int(self.path.rpartition("t")[2]) % 2].encode())
            except OSError:
                pass  # who asked was killed
            finally:
                with told.lock:
                    told.open -= 1

        def log_message(self, *arguments: object) -> None:
            """Be silent."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, *arguments: object) -> None:
            """Be silent where who asked was killed."""

    server = Server(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_suite(folder: Path, cases: int, port: int) -> int:
    """Write a suite whose calls go to the server; return how many they are."""
    rows = [
        {"id": f"t{n}", "input": f"Ticket {n}", "expected": LABELS[n % 2]} for n in range(cases)
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "tickets.cases.jsonl").write_text(lines, "utf-8")
    (folder / "asking.py").write_text(FUNCTION.replace("PORT", str(port)), "utf-8")
    (folder / "tickets.ftgate.yaml").write_text(SUITE, "utf-8")
    return 2 * cases
