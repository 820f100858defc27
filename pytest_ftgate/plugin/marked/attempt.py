"""One run of a marked function on one reply, and its conversation of several turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from types import TracebackType
from typing import Any, Self

import pytest

from pytest_ftgate.client.results import Answer
from pytest_ftgate.errors import ScorerError
from pytest_ftgate.reporting.text import quoted, visible
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.scoring.scores import Score
from pytest_ftgate.suite.model import Case, Turn

__all__ = ["Attempt", "Parts", "Pending", "Talk", "Unanswered", "explained", "plain"]

#: Makes the call of a turn: of a case, its opening, what was said since, and the repeat.
_Turns = Callable[[Case, str | None, Sequence[Turn], int], Ask]


# No Exceptions, so that a test's own except clauses do not stop them on their way out.
class Pending(BaseException):
    """Leaves the function until the reply to a turn is there; it is then run again."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        super().__init__("the reply is on its way")


class Unanswered(BaseException):
    """Leaves the function since a turn brought no reply."""


@dataclass(slots=True)
class Talk:
    """The conversation of one case; call it with what the user says next.

    Attributes:
        case: what it is about.
        turns: makes the calls.
        known: what became of calls so far, by fingerprint.
        begun: the reply that the conversation goes on from, or None where it begins.
        repeat: which of several conversations about the case it is, from 0.
    """

    case: Case
    turns: _Turns
    known: Mapping[str, Answer]
    begun: Reply | None = None
    repeat: int = 0
    _opening: str | None = None
    _later: list[Turn] = field(default_factory=list)
    _asked: list[tuple[Ask, Reply]] = field(default_factory=list)

    def restart(self) -> None:
        """Go back to the beginning."""
        self._opening, self._asked = None, []
        self._later = [("assistant", self.begun.text)] if self.begun else []

    def __call__(self, text: str | None = None) -> Reply:
        """Say *text*, and return what the variant replies to it and to all that was said before.

        Args:
            text: what the user says; None, for the first turn alone, puts the case itself as the
                suite does.
        """
        if self._later and text is None:
            raise TypeError("ask() puts the case, which opens a conversation; say something to it")
        if self._later:
            said = [*self._later, ("user", str(text))]
        else:
            self._opening, said = text, []
        ask = self.turns(self.case, self._opening, said, self.repeat)
        answer = self.known.get(ask.call.fingerprint)
        if answer is None:
            raise Pending(ask)
        if not isinstance(answer, Reply):
            raise Unanswered(str(answer))
        self._later = [*said, ("assistant", answer.text)]
        self._asked.append((ask, answer))
        return answer

    @property
    def replies(self) -> tuple[Reply, ...]:
        """The replies so far."""
        return tuple(reply for _, reply in self._asked)

    @property
    def asks(self) -> tuple[Ask, ...]:
        """The calls so far."""
        return tuple(ask for ask, _ in self._asked)

    def lines(self) -> Iterator[str]:
        """Yield what was said, for the reader of a failure."""
        opening = self.case.shown if self._opening is None else self._opening
        for role, text in (("user", opening), *self._later):
            yield from quoted("said" if role == "user" else "replied", text, indent=6, lines=3)


#: What says that a reply is wrong; everything else that is raised is an error.
_WRONG = (AssertionError, pytest.fail.Exception)
_LEFT_OUT = (pytest.skip.Exception, pytest.xfail.Exception)
_RIGHT = Score(1.0, None)
#: What pytest colours the differences of an assertion with.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Attempt:
    """What the function is given, and what became of it.

    As a context it takes in what the function raises: an assertion that fails makes the reply
    wrong, a skip leaves the case out, and an error stays an error.

    Args:
        case: the case.
        reply: the reply to it, or None where the function asks for itself.
        talk: what it asks with, where it does.
    """

    def __init__(self, case: Case, reply: Reply | None, talk: Talk | None) -> None:
        self.case, self.reply, self.ask = case, reply, talk
        self.value: float | None = None
        self.failures: list[tuple[str, pytest.ExceptionInfo[BaseException]]] = []
        #: Why the function left the case out, or None.
        self.left_out: str | None = None
        #: Why a turn brought no reply, or None.
        self.unanswered: str | None = None
        #: What it waits for.
        self.pending: Ask | None = None

    @property
    def subtests(self) -> Parts:
        """What the function takes for pytest's fixture of that name."""
        return Parts(self)

    @property
    def heard(self) -> Reply | None:
        """The reply that is marked: of a conversation the last one."""
        return self.ask.replies[-1] if self.ask and self.ask.replies else self.reply

    def __enter__(self) -> Self:
        self.pending, self.value, self.failures = None, None, []
        if self.ask:
            self.ask.restart()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            return True
        __tracebackhide__ = True
        taken = self._takes(error)
        if not taken and isinstance(error, Exception):
            error.add_note(f'on case "{self.case.id}" ({self.case.where})')
        return taken

    def _takes(self, error: BaseException) -> bool:
        # What a task group raises is looked through.
        if (pending := _first(error, Pending)) is not None:
            self.pending = pending.ask
        elif (unanswered := _first(error, Unanswered)) is not None:
            self.unanswered = str(unanswered)
        elif (left_out := _first(error, _LEFT_OUT)) is not None:
            self.left_out = str(left_out) or type(left_out).__name__.lower()
        elif _all(error, _WRONG) and not _timed_out(error):
            self.failed("", error)
        else:
            return False
        return True

    def failed(self, part: str, error: BaseException) -> None:
        """Take note that the reply is wrong; *part* is the subtest that says so."""
        self.value = 0.0
        self.failures.append((part, pytest.ExceptionInfo.from_exception(error)))

    def returned(self, value: object) -> None:
        """Take what the function returned: nothing, whether the reply is right, or its score.

        Raises:
            ScorerError: it is none of these.
        """
        if self.failures:
            return
        number = 1.0 if value is None else _number(value)
        if number is None or not 0 <= number <= 1:
            raise ScorerError(
                f'the function returned {value!r} for case "{self.case.id}" ({self.case.where}); '
                "return nothing, True or False, or a score from 0 to 1"
            )
        self.value = number

    @property
    def score(self) -> Score:
        """What the reply is worth."""
        return _RIGHT if self.value == 1 else Score(self.value, None, self.why)

    @property
    def why(self) -> str:
        """What is wrong with it, in short."""
        told = [f"{part}: {plain(info.value)}".removeprefix(": ") for part, info in self.failures]
        if told or self.value is None or self.value == 1:
            return "\n".join(told)
        return f"the function returned {self.value:.3g}" if self.value else "it returned False"


def plain(told: object) -> str:
    """Return what pytest says of a failure without its colours, which depend on the terminal."""
    return _COLOUR.sub("", str(told))


class Parts:
    """Stands in for pytest's ``subtests``: a part that fails makes the reply wrong."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @contextmanager
    def test(self, msg: str | None = None, **kwargs: Any) -> Iterator[None]:
        """Run one part; the parts after it are run whatever becomes of it."""
        __tracebackhide__ = True
        try:
            yield
        except _LEFT_OUT:
            return
        except _WRONG as error:
            params = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
            self._attempt.failed(" ".join(filter(None, [msg, params])) or "subtest", error)


def _number(value: object) -> float | None:
    if isinstance(value, bool | Real):
        return float(value)
    # NumPy's own truth values are neither.
    return float(bool(value)) if type(value).__name__ in ("bool", "bool_") else None


def _timed_out(error: BaseException) -> bool:
    # pytest-timeout fails a test from within it, and that says nothing of the reply.
    frames = pytest.ExceptionInfo.from_exception(error).traceback
    return any(one.frame.f_globals.get("__name__") == "pytest_timeout" for one in frames)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _first(error: BaseException, kind: Any) -> Any:
    return next((one for one in _leaves(error) if isinstance(one, kind)), None)


def _all(error: BaseException, kind: Any) -> bool:
    return all(isinstance(one, kind) for one in _leaves(error))


#: The styles of --tb in which a case is explained; in the others it would tell less than its line.
_STYLES = {"long": "long", "native": "native"}
#: Lines of one explanation; with -vv all.
_MOST_LINES = 15


def explained(attempt: Attempt, config: pytest.Config) -> Iterator[str]:
    """Yield pytest's own explanation of each assertion that failed, behind a bar."""
    if attempt.ask:
        yield from attempt.ask.lines()
    for part, failure in attempt.failures:
        if part:
            yield f"      │ in subtest {visible(part)}"
        yield from _lines(failure, config)
    if not attempt.failures:
        yield from quoted("wrong", attempt.why, indent=6)


def _lines(failure: pytest.ExceptionInfo[BaseException], config: pytest.Config) -> Iterator[str]:
    shown = failure.getrepr(
        style=_STYLES.get(str(config.getoption("tbstyle")), "short"),  # type: ignore[arg-type]
        showlocals=bool(config.getoption("showlocals")),
        tbfilter=True,
        chain=False,
    )
    lines = visible(plain(shown)).rstrip().split("\n")
    if len(lines) > _MOST_LINES and config.get_verbosity() < 2:  # noqa: PLR2004 - -vv shows all
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines, -vv shows all"]
    # A reply may be in it: behind a bar no line of it can act.
    yield from (f"      │ {line}".rstrip() for line in lines)
