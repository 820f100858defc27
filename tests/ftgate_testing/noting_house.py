"""A provider that notes what it is sent, in an order that no scheduling of threads can change.

The engine sends in a thread of its own while the main thread plans. So the provider opens, and
answers, only once the main thread waits: what it submits before it waits is then in the queue.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pytest_ftgate import Provider, Reply
from pytest_ftgate.suite.cases import leveled_cases, skill_cases

__all__ = ["CONFTEST", "FAMILIES", "MODELS", "is_waiting", "known_replies", "note", "noting_house"]

#: What each model is for. The names differ by a date alone, so that all share one rate limit.
MODELS = {
    f"m-202601{day:02}": role
    for day, role in enumerate(
        ("current", "worse", "base", "tuned", "other", "copy", "thinker", "judge"), start=1
    )
}
#: The hardest level of a family of skills that the base answers as a rule.
FAMILIES = {"hard-mathematics": 3, "hard-instructions": 0}
#: Offers the provider, and notes each plan that plugins may order.
CONFTEST = """\
from pathlib import Path
from ftgate_testing.noting_house import note, noting_house

HERE = Path(__file__).parent

def pytest_ftgate_providers():
    return {"house": noting_house(HERE, in_order=IN_ORDER)}

def pytest_ftgate_plan_modifyitems(items, config):
    note(HERE / "planned.jsonl", items)
"""
LABELS = ("billing", "refund")
_RIGHT = Path(__file__).parents[1] / "skills" / "logic.jsonl"
#: So many passes of the loop take in whatever the main thread has handed over.
_PASSES = 20
_DEADLINE = 60.0
_JUDGED = re.compile(r"\[(?:first |second )?reply (\w+)\]\n(.*?)\n\[end of [\w ]+ \1\]", re.DOTALL)


def note(path: Path, requests: Iterable[Any]) -> None:
    """Append a line on each of *requests*; a line is written at once, by any process."""
    lines = [json.dumps([one.fingerprint, _role(one), _label(one)]) + "\n" for one in requests]
    with path.open("a", encoding="utf-8") as stream:
        stream.write("".join(lines))


def _role(request: Any) -> str:
    return MODELS.get(request.model, request.provider)


def _label(request: Any) -> str:
    """Return what a person knows the request by: what is judged, or how its last message begins."""
    text = request.messages[-1][1] if request.messages else f"case {request.case.id}"
    judged = " against ".join(match[2] for match in _JUDGED.finditer(text))
    turns = f"turn {len(request.messages)}: " if len(request.messages) > 1 and not judged else ""
    return " ".join(f"{turns}{judged or text}".split())[:28].rstrip()


def noting_house(folder: Path, *, in_order: bool) -> Callable[..., Provider]:
    """Return what opens a provider that notes its requests in *folder*."""

    class NotingHouse(Provider):
        concurrency = 1

        async def generate(self, request):
            note(folder / "sent.jsonl", [request])
            if in_order:
                await _main_thread_waits()
            return _reply(request)

    def open_house(requests, environ) -> Provider:
        if in_order:
            asyncio.run_coroutine_threadsafe(_main_thread_waits(), _loop()).result(_DEADLINE)
        return NotingHouse(requests, environ)

    return open_house


def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs in another thread, and waits for a provider."""
    running = asyncio.BaseEventLoop.run_forever.__code__
    for newest in sys._current_frames().values():
        for frame, _ in traceback.walk_stack(newest):
            if frame.f_code is running:
                return frame.f_locals["self"]
    raise AssertionError("no event loop runs")


async def _main_thread_waits() -> None:
    """Return once the main thread waits, and has done so for some passes of the loop."""
    passes, end = 0, time.monotonic() + _DEADLINE
    while passes < _PASSES:
        passes = passes + 1 if is_waiting() else 0
        assert time.monotonic() < end, "the main thread does not wait for any reply"
        await asyncio.sleep(0 if passes else 0.0002)


def is_waiting() -> bool:
    """Return True if the main thread waits, and nothing has woken it.

    A thread that was woken takes its own lock again before it runs on, which may be much later on
    a busy machine. So its lock says less than the list of those that nothing has woken.
    """
    frame = sys._current_frames()[threading.main_thread().ident]
    if frame.f_code is not threading.Condition.wait.__code__:
        return False
    # A thread that starts another one waits for that alone.
    callers = (frame.f_back, frame.f_back.f_back)
    starts = any(
        one is not None and one.f_code is threading.Thread.start.__code__ for one in callers
    )
    waiting = frame.f_locals
    return not starts and waiting.get("waiter") in waiting["self"]._waiters


# The replies ---------------------------------------------------------------------------------


def _reply(request: Any) -> Reply:
    role, text = _role(request), request.messages[-1][1]
    thought = "Let me see." if role == "thinker" else ""
    return Reply(text=_text(role, text, request), thought=thought)


def _text(role: str, text: str, request: Any) -> str:
    if role == "judge":
        return _grade(text)
    if text.startswith("Ask "):
        number = int(text.split()[1].strip(":."))
        return f"{number} {'now' if number % 3 == 0 and role == 'worse' else 'please'}, says {role}"
    if text.startswith("Ticket "):
        number = int(text.split()[1].strip(":"))
        is_wrong = role == "worse" and number % 3 == 0
        # A reply that varies with each repetition, for gates that settle.
        is_unlucky = role == "current" and int(request.fingerprint[:4], 16) % 12 == 0
        return LABELS[(number + is_wrong + is_unlucky) % 2]
    said = known_replies().get(tuple(one for _, one in request.messages), f"I heard {text[:40]}")
    if role == "worse":
        return "I forget."
    if role == "other" and said.startswith("Tom is"):
        return "I forget who Tom is."
    return said if role in {"base", "copy"} else f"{said} So says {role}."


def _grade(text: str) -> str:
    said = ["please" in match[2] for match in _JUDGED.finditer(text)]
    if len(said) == 1:
        grade = "good" if said[0] else "bad"
    else:
        grade = "tie" if said[0] == said[1] else "first" if said[0] else "second"
    return json.dumps({"reason": "because", "grade": grade})


@cache
def known_replies() -> dict[tuple[str, ...], str]:
    """Return what the base knows of skills, by the texts of the messages."""
    rows = [json.loads(line) for line in _RIGHT.read_text("utf-8").splitlines()]
    right = {row["id"]: row["right"][0] for row in rows if "id" in row}
    known = {_texts(case): right[case.id] for case in skill_cases(("logic",))}
    for family, mastered in FAMILIES.items():
        for level in (*range(1, 6), None):
            for case in leveled_cases(family, level):
                number = int("".join(filter(str.isdigit, case.id[-3:])))
                is_right = case.difficulty <= mastered and number % 10 < 8
                known[_texts(case)] = f"Answer: {case.answers[0]}" if is_right else "I wonder."
    return known


def _texts(case: Any) -> tuple[str, ...]:
    return tuple(text for _, text in case.messages) or (case.input,)
