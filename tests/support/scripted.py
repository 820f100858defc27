"""A provider that does what a test says, and how calls put to it ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from pytest_ftgate.requests.reply import Reply


class Scripted:
    """A provider that answers with the call's own text, unless a test says what happens."""

    def __init__(self, happens: Callable | None = None, concurrency: int = 4) -> None:
        self.concurrency, self.happens = concurrency, happens
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.closed = 0
        self.open = threading.Event()
        self.open.set()

    async def ask(self, call) -> Reply:
        text = call.messages[0][1]
        self.asked.append(text)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.to_thread(self.open.wait, 20)
            await asyncio.sleep(0)
            said = self.happens(text, self.asked.count(text)) if self.happens else text
        finally:
            self.at_once -= 1
        return Reply(text=said)

    def serves(self, call) -> bool:
        return True

    async def close(self) -> None:
        self.closed += 1


def outcome(answers, calls) -> list:
    return [getattr(answers[call.fingerprint], "text", answers[call.fingerprint]) for call in calls]


def trouble(error: Exception, times: int = 1_000_000) -> Callable[[str, int], str]:
    """Raise *error* on the first asks of a text, then answer."""

    def happens(text: str, ask: int) -> str:
        if ask <= times:
            raise error
        return text

    return happens
