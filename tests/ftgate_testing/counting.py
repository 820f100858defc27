"""A slow server on loopback that counts its requests, and a suite whose function sends them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from ftgate_testing.answer_files import write_rows
from ftgate_testing.loopback import Handler, loopback

LABELS = ("billing", "refund")
#: The functions of the suite: they return the response of the server, and take as long.
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
    """The requests to the server, in order, and how many are open."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    open: int = 0
    lock: Lock = field(default_factory=Lock)

    def wait_until_idle(self) -> None:
        # A request in flight when its sender dies still arrives.
        time.sleep(0.05)
        while self.open:
            time.sleep(0.01)


@contextmanager
def counting(seconds: float) -> Iterator[Counting]:
    """Serve until the block ends, with a delay of *seconds* for each response."""
    counter = Counting()

    class Slow(Handler):
        protocol_version = "HTTP/1.0"

        def get(self) -> None:
            with counter.lock:
                counter.asked.append(self.path[1:])
                counter.open += 1
            try:
                time.sleep(seconds)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(LABELS[int(self.path.rpartition("t")[2]) % 2].encode())
            except OSError:
                pass  # the client was killed
            finally:
                with counter.lock:
                    counter.open -= 1

    with loopback(Slow) as address:
        counter.port = int(address.rpartition(":")[2])
        yield counter


def write_suite(folder: Path, cases: int, port: int) -> int:
    """Write a suite that sends its requests to the server; return their number."""
    rows = [
        {"id": f"t{n}", "input": f"Ticket {n}", "expected": LABELS[n % 2]} for n in range(cases)
    ]
    write_rows(folder / "tickets.cases.jsonl", rows)
    (folder / "asking.py").write_text(FUNCTION.replace("PORT", str(port)), "utf-8")
    (folder / "tickets.ftgate.yaml").write_text(SUITE, "utf-8")
    return 2 * cases
