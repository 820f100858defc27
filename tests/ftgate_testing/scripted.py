"""A provider that a test scripts, and the outcomes of requests to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from pytest_ftgate.requests.reply import Reply


class Scripted:
    """A provider that answers with the request's own text, unless *happens* decides otherwise."""

    def __init__(self, happens: Callable | None = None, concurrency: int = 4) -> None:
        self.concurrency, self.happens = concurrency, happens
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.closed = 0
        self.open = threading.Event()
        self.open.set()

    async def generate(self, request) -> Reply:
        text = request.messages[0][1]
        self.asked.append(text)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.to_thread(self.open.wait, 20)
            await asyncio.sleep(0)
            reply = self.happens(text, self.asked.count(text)) if self.happens else text
        finally:
            self.at_once -= 1
        return Reply(text=reply)

    def serves(self, request) -> bool:
        return True

    async def close(self) -> None:
        self.closed += 1


def outcome(answers, requests) -> list:
    results = (answers[request.fingerprint] for request in requests)
    return [getattr(result, "text", result) for result in results]


def trouble(error: Exception, times: int = 1_000_000) -> Callable[[str, int], str]:
    """Raise *error* on the first requests with a text, then answer."""

    def happens(text: str, attempt: int) -> str:
        if attempt <= times:
            raise error
        return text

    return happens
