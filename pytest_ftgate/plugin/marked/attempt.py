"""One run of a marked function on one reply, and its conversation of several turns."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import iscoroutinefunction
from numbers import Real
from types import TracebackType
from typing import Any, Self

import pytest

from pytest_ftgate.client.results import Result
from pytest_ftgate.errors import ScorerError, did_you_mean
from pytest_ftgate.plugin.marked.marks import Placeholder
from pytest_ftgate.plugin.state import verbosity_of
from pytest_ftgate.reporting.text import escape_controls, quoted_lines
from pytest_ftgate.requests.reply import Reply, read_reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import Score
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant

#: Builds the request of a turn from a case, its opening, the later turns, and the repeat.
_BuildTurn = Callable[[Case, str | None, Sequence[Turn], int], CaseRequest]


# Not derived from Exception, so that except clauses of a test do not catch them.
class _PendingTurn(BaseException):
    """Leaves the function until the reply to a turn is here; the function is then run again."""

    def __init__(self, request: CaseRequest) -> None:
        self.request = request
        super().__init__("the reply is on its way")


class _UnansweredTurn(BaseException):
    """Leaves the function because a turn got no reply."""


@dataclass(slots=True)
class Conversation:
    """The conversation about one case; call it with the next message of the user.

    Attributes:
        case: the case.
        build_turn: builds the request of each turn.
        results: the results of requests so far, by fingerprint.
        first_reply: the reply that the conversation goes on from, or None where it begins.
        repeat: which of several conversations about the case it is, from 0.
        send: sends a request at once; None to leave the function until the reply is here.
    """

    case: Case
    build_turn: _BuildTurn
    results: Mapping[str, Result]
    first_reply: Reply | None = None
    repeat: int = 0
    send: Callable[[CaseRequest], Result] | None = None
    _opening: str | None = None
    _later: list[Turn] = field(default_factory=list)
    _answered: list[tuple[CaseRequest, Reply]] = field(default_factory=list)

    def restart(self) -> None:
        """Return to the beginning."""
        self._opening, self._answered = None, []
        self._later = [("assistant", self.first_reply.text)] if self.first_reply else []

    def __call__(self, text: str | None = None) -> Reply:
        """Return the reply of the variant to *text*, given all turns before.

        *text* None, in the first turn only, asks the case itself as the suite does.

        Raises:
            TypeError: *text* is None after the first turn.
        """
        if self._later and text is None:
            raise TypeError(
                "ask() without a text starts a conversation with the case; pass the next message"
            )
        if self._later:
            turns = [*self._later, ("user", str(text))]
        else:
            self._opening, turns = text, []
        request = self.build_turn(self.case, self._opening, turns, self.repeat)
        result = self.results.get(request.request.fingerprint)
        if result is None and self.send is not None:
            result = self.send(request)
        if result is None:
            raise _PendingTurn(request)
        if not isinstance(result, Reply):
            raise _UnansweredTurn(str(result))
        reply = read_reply(result, request.request.thoughts)
        # Without the thought, as chat templates build the conversation.
        self._later = [*turns, ("assistant", reply.text)]
        self._answered.append((request, reply))
        return reply

    @property
    def replies(self) -> tuple[Reply, ...]:
        """The replies so far."""
        return tuple(reply for _, reply in self._answered)

    @property
    def requests(self) -> tuple[CaseRequest, ...]:
        """The requests so far."""
        return tuple(request for request, _ in self._answered)

    def lines(self) -> Iterator[str]:
        """Yield the turns as lines for the failure section."""
        opening = self.case.input_text if self._opening is None else self._opening
        for role, text in (("user", opening), *self._later):
            yield from quoted_lines("said" if role == "user" else "replied", text, max_lines=3)


#: Exceptions that make a reply wrong; any other exception is an error.
_WRONG = (AssertionError, pytest.fail.Exception)
_SKIPPED = (pytest.skip.Exception, pytest.xfail.Exception)
_RIGHT = Score(1.0, None)
#: The escape codes with which pytest colours differences, and the marks of difflib that
#: pytest-icdiff leaves.
_COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*m|\x00[-+^]|\x01")


class Attempt:
    """The arguments of one run of the function, and its outcome.

    As a context manager it handles what the function raises: a failed assertion makes the reply
    wrong, a skip leaves the case out, any other exception is an error. *placeholder* stands for the
    arguments in fixtures. *variant* gives the reply; *reply* is None if the function asks itself.
    """

    #: The function's ``ask`` argument, if it takes one.
    ask: Conversation | None = None

    def __init__(
        self, placeholder: Placeholder, variant: Variant, case: Case, reply: Reply | None
    ) -> None:
        self.variant, self.case, self.reply = variant, case, reply
        #: Which of several scores counts, and the names of all; empty for a single score.
        self.metric, self.metrics = placeholder.ftgate_metric, placeholder.ftgate_function.metrics
        self.score_value: float | None = None
        self.failures: list[tuple[str, pytest.ExceptionInfo[BaseException] | str]] = []
        #: The reason for which the function skipped the case, or None.
        self.skip_reason: str | None = None
        #: The reason for which a turn got no reply, or None.
        self.missing_reason: str | None = None
        #: The request that the function waits for, or None.
        self.pending_request: CaseRequest | None = None
        #: The scores that the function has logged, by metric.
        self._logged: dict[str, float] = {}
        #: What the function printed.
        self.output = ""

    def converse(
        self,
        session: Session,
        suite: Suite,
        repeat: int,
        send: Callable[[CaseRequest], Result] | None = None,
    ) -> None:
        """Let the function ask the variant; the arguments are those of `Conversation`."""
        build_turn = session.built.turn_builder(suite, self.variant)
        results = session.replies.engine.results
        self.ask = Conversation(self.case, build_turn, results, self.reply, repeat, send)

    @property
    def subtests(self) -> _AttemptSubtests:
        """The function's ``subtests`` argument, in place of pytest's fixture."""
        return _AttemptSubtests(self)

    @property
    def requests(self) -> Sequence[CaseRequest]:
        """The requests of the conversation."""
        return self.ask.requests if self.ask else ()

    @property
    def scored_reply(self) -> Reply | None:
        """The reply that is scored; in a conversation, the last one."""
        return self.ask.replies[-1] if self.ask and self.ask.replies else self.reply

    def __enter__(self) -> Self:
        self.pending_request, self.score_value, self.failures = None, None, []
        self._logged = {}
        if self.ask:
            self.ask.restart()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        __tracebackhide__ = True
        checks = take_failed_checks()
        handled = error is None or self._handle(error)
        if checks and (error is None or self.failures):
            self.score_value = 0.0
            self.failures += [("", check) for check in checks]
        if not handled and isinstance(error, Exception):
            error.add_note(f"on {self._where}")
        return handled

    def _handle(self, error: BaseException) -> bool:
        # Task groups raise exception groups, so their members are searched.
        if (pending := _first(error, _PendingTurn)) is not None:
            self.pending_request = pending.request
        elif (unanswered := _first(error, _UnansweredTurn)) is not None:
            self.missing_reason = str(unanswered)
        elif (skipped := _first(error, _SKIPPED)) is not None:
            self.skip_reason = str(skipped) or type(skipped).__name__.lower()
        elif all(isinstance(leaf, _WRONG) for leaf in _leaves(error)) and not _timed_out(error):
            self.add_failure("", error)
        else:
            return False
        return True

    def add_failure(self, part: str, error: BaseException) -> None:
        """Record that the reply is wrong; *part* is the name of the failed subtest, or ""."""
        self.score_value = 0.0
        self.failures.append((part, pytest.ExceptionInfo.from_exception(error)))

    def log_score(self, metric: str, value: object) -> None:
        """Set the score of one metric: True, False, or 0 to 1; the function's ``log_score``.

        Raises:
            ScorerError: the mark names no such metric, or *value* is no score.
        """
        __tracebackhide__ = True
        remedy = ""
        if metric not in self.metrics:
            remedy = did_you_mean(metric, self.metrics) or f"; metrics: {', '.join(self.metrics)}"
            remedy = f"the mark has no such metric{remedy}"
        elif (number := _share(value)) is None:
            remedy = "a score is True, False, or 0 to 1"
        else:
            self._logged[metric] = number
        if remedy:
            raise ScorerError(f"log_score({metric!r}, {value!r}) for {self._where}: {remedy}")

    def set_result(self, value: object) -> None:
        """Set the score from the function's return value: None, True, False, or 0 to 1.

        With metrics, it is a mapping with one of these for each metric that is not logged.

        Raises:
            ScorerError: the value is none of these.
        """
        if self.failures:
            return
        self.score_value = self._named_score(value) if self.metrics else _share(value, none=1.0)
        if self.score_value is None:
            remedy = "return nothing, True or False, or a score from 0 to 1"
            if self.metrics:
                missing = [name for name in self.metrics if name not in self._logged]
                names = ", ".join(missing or self.metrics)
                remedy = f"return a mapping with a score for {names}, or log each with log_score"
            raise ScorerError(f"the function returned {value!r} for {self._where}; {remedy}")

    def _named_score(self, value: object) -> float | None:
        """Return the score of the metric; None unless each metric has one."""
        returned = value if isinstance(value, Mapping) else {}
        is_usable = value is None or isinstance(value, Mapping)
        if not is_usable or {*self._logged, *returned} != {*self.metrics}:
            return None
        if self.metric in self._logged:
            return self._logged[self.metric]
        return _share(returned[self.metric])

    @property
    def _where(self) -> str:
        return f'case "{self.case.id}" ({self.case.location})'

    @property
    def score(self) -> Score:
        """The score of the reply."""
        return _RIGHT if self.score_value == 1 else Score(self.score_value, None, self.reason)

    @property
    def reason(self) -> str:
        """The reason for which the reply is wrong, in short."""
        messages = [
            f"{part}: {_without_colours(getattr(failure, 'value', failure))}".removeprefix(": ")
            for part, failure in self.failures
        ]
        if messages or self.score_value is None or self.score_value == 1:
            return "\n".join(messages)
        return (
            f"the function returned {self.score_value:.3g}"
            if self.score_value
            else "it returned False"
        )


def take_failed_checks() -> list[str]:
    """Return the soft assertions of pytest-check that have failed since the last call."""
    log: Any = sys.modules.get("pytest_check.check_log")
    failed: list[str] = log.get_failures() if log else []
    if failed:
        # pytest-check would fail the whole item.
        log.clear_failures()
    return [text.removeprefix("FAILURE: ") for text in failed]


def _without_colours(text: object) -> str:
    """Return a message of pytest without colour codes, which depend on the terminal."""
    return _COLOUR_CODE.sub("", str(text))


class _AttemptSubtests:
    """Replaces pytest's ``subtests``: a failed subtest makes the reply wrong."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @contextmanager
    def test(self, msg: str | None = None, **kwargs: Any) -> Iterator[None]:
        """Run one subtest; the ones after it run even if it fails."""
        __tracebackhide__ = True
        try:
            yield
        except _SKIPPED:
            return
        except _WRONG as error:
            params = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
            self._attempt.add_failure(" ".join(filter(None, [msg, params])) or "subtest", error)


def _share(value: object, none: float | None = None) -> float | None:
    """Return *value* as a score from 0 to 1, or None if it is no score; *none* is that of None."""
    number = none if value is None else _number(value)
    return number if number is not None and 0 <= number <= 1 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool | Real):
        return float(value)
    # NumPy's truth values are neither bool nor Real.
    return float(bool(value)) if type(value).__name__ in ("bool", "bool_") else None


def _timed_out(error: BaseException) -> bool:
    # pytest-timeout fails a test from within it; the reply is not to blame.
    frames = pytest.ExceptionInfo.from_exception(error).traceback
    return any(entry.frame.f_globals.get("__name__") == "pytest_timeout" for entry in frames)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _first(error: BaseException, kind: Any) -> Any:
    return next((leaf for leaf in _leaves(error) if isinstance(leaf, kind)), None)


def run_on_attempts(
    original: Callable[..., Any],
    attempts: Callable[[dict[str, Any]], Iterator[Attempt]],
    around: Callable[[Attempt], AbstractContextManager[Any]],
) -> Callable[..., Any]:
    """Return a function, plain or async as *original* is, that runs it on each attempt.

    *attempts* puts the values of an attempt into the arguments, and *around* is entered for each.
    """

    @wraps(original)
    def run(**arguments: Any) -> None:
        __tracebackhide__ = True
        for attempt in attempts(arguments):
            with around(attempt):
                attempt.set_result(original(**arguments))

    @wraps(original)
    async def run_async(**arguments: Any) -> None:
        __tracebackhide__ = True
        for attempt in attempts(arguments):
            with around(attempt):
                attempt.set_result(await original(**arguments))

    return run_async if iscoroutinefunction(original) else run


#: The --tb styles for the explanation of a case; any other style becomes "short".
_TRACEBACK_STYLES = {"long": "long", "native": "native"}
#: The most lines of one explanation; -vv shows all.
_MAX_LINES = 15


def failure_lines(attempt: Attempt, config: pytest.Config) -> Iterator[str]:
    """Yield pytest's explanation of each failed assertion, behind a bar."""
    if attempt.ask:
        yield from attempt.ask.lines()
    for part, failure in attempt.failures:
        if part:
            yield f"      │ in subtest {escape_controls(part)}"
        yield from _lines(failure, config)
    if not attempt.failures:
        yield from quoted_lines("wrong", attempt.reason)
    yield from _output_lines(attempt, config)


def _lines(
    failure: pytest.ExceptionInfo[BaseException] | str, config: pytest.Config
) -> Iterator[str]:
    explanation = (
        failure
        if isinstance(failure, str)
        else failure.getrepr(
            style=_TRACEBACK_STYLES.get(str(config.getoption("tbstyle", "auto")), "short"),  # type: ignore[arg-type]
            showlocals=bool(config.getoption("showlocals", default=False)),
            tbfilter=True,
            chain=False,
        )
    )
    yield from _quoted(_without_colours(explanation), config)


def _output_lines(attempt: Attempt, config: pytest.Config) -> Iterator[str]:
    """Yield what the function printed, unless pytest shows no output of failed tests."""
    if attempt.output.strip() and config.getoption("showcapture", "all") != "no":
        yield "      │ printed:"
        yield from _quoted(attempt.output, config)


def _quoted(text: str, config: pytest.Config) -> Iterator[str]:
    """Yield the lines of *text*, the first ones unless -vv is given."""
    lines = escape_controls(text).rstrip().split("\n")
    if len(lines) > _MAX_LINES and verbosity_of(config) < 2:  # noqa: PLR2004 - -vv shows all
        lines = [*lines[:_MAX_LINES], f"… {len(lines) - _MAX_LINES} more lines, -vv shows all"]
    # It may quote a reply: behind a bar, no line of it can act as a command.
    yield from (f"      │ {line}".rstrip() for line in lines)
