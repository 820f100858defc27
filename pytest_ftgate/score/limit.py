"""A limit of time: no scorer may keep a run waiting over one reply."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self, TypeVar

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rules import Rule

__all__ = ["SECONDS", "Late", "Limit"]

#: Seconds that all scorers of a case may take over one reply, beside those that they declare.
SECONDS = 10.0
#: Seconds between two looks at how long a reply has taken; one that swallowed the news is told
#: again.
_TICK = 0.5
#: What a run of code takes where its rule declares nothing.
_USUAL = {"code": 5.0}

_T = TypeVar("_T")


class Late(BaseException):
    """Ends a scorer; no Exception, so that its own ``except Exception`` misses it."""


class Limit:
    """Stops what takes too long, by an alarm of the operating system.

    The alarm also ends a pattern of the standard library that would search for ever. There is
    none on Windows, nor outside of the main thread; there nothing is stopped. An alarm that was
    set before, as by pytest-timeout, is set again when this one is over.
    """

    def __init__(self) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        self._can = in_main and hasattr(signal, "setitimer")
        self._rang = False
        self._case: Case | None = None
        self._began = self._since = time.monotonic()

    def __enter__(self) -> Self:
        """Take the alarm over; it rings now and then, and looks at how long a reply has taken.

        To set it anew for each reply would cost as much as to score most of them.
        """
        if self._can:
            self._handler = signal.signal(signal.SIGALRM, self._ring)
            self._left = signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the alarm back, less the time that has passed."""
        if not self._can:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        seconds, every = self._left
        if seconds:
            rest = seconds - (time.monotonic() - self._began)
            signal.setitimer(signal.ITIMER_REAL, max(rest, 0.001), every)

    def over(self, case: Case, run: Callable[[], _T]) -> _T:
        """Return what *run* makes of one reply to *case*.

        Raises:
            ScorerError: it took too long, which says nothing of the reply.
        """
        if not self._can:
            return run()
        try:
            try:
                self._rang, self._since, self._case = False, time.monotonic(), case
                made = run()
            finally:
                self._case = None
        except Late:
            raise ScorerError(_told(case)) from None
        if self._rang:  # and was swallowed
            raise ScorerError(_told(case))
        return made

    def _ring(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._case and time.monotonic() - self._since > _allowed(self._case):
            self._rang = True
            raise Late


def _allowed(case: Case) -> float:
    return SECONDS + sum(map(_more, (*case.score.parts, *case.format)))


def _more(rule: Rule) -> float:
    # What a plugin offers has options of its own, whatever they are called.
    own = {} if rule.kind == "offered" else rule.options
    return float(own.get("seconds", _USUAL.get(rule.kind, 0)))


def _told(case: Case) -> str:
    named = [("score", rule) for rule in case.score.parts]
    named += [("format", rule) for rule in case.format]
    told = ", ".join(f"{key}: {_name(rule)}" for key, rule in named)
    remedy = "make it quicker, or give a function more: {python: {function: ..., seconds: 60}}"
    return (
        f'{told} took longer than {_allowed(case):g} s on case "{case.id}" ({case.where}); {remedy}'
    )


def _name(rule: Rule) -> str:
    return str(rule.value) if rule.kind == "offered" else rule.kind
