"""The verdicts of a run, and the gates without one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_ftgate.errors import Diagnostic, is_installed
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.progress import writer_encoding
from pytest_ftgate.readers.source import display_path
from pytest_ftgate.readers.text import replace_lone_surrogates
from pytest_ftgate.reporting.text import encodable
from pytest_ftgate.results.run import FailedTest, NotEvaluated, from_json

_T = TypeVar("_T")
#: The reasons for which a gate was not evaluated if nothing was heard of it.
NOT_RUN, STOPPED = "the run ended first", "stopped at the first failure (-x)"
#: The reason for which the test of a gate failed that passed.
PASSED_XFAIL = "passed, though its xfail mark expects it not to: remove the mark"
#: The line of a traceback that pytest shows for the exception.
_EXCEPTION = re.compile(r"^E +([A-Za-z_][\w.]*: .*)", re.MULTILINE)
#: The most characters of an error that kept a gate from being evaluated.
_MAX_ERROR_LENGTH = 2_000
#: Stands for the run as a whole where a node id is wanted.
_RUN = "pytest"
_PACKAGE, _PYTEST = Path(__file__).parents[1], Path(inspect.getfile(pytest.Item)).parent
_PHASES = ("setup", "call", "teardown")
_WORST_FIRST = (Outcome.FAILED, Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.PASSED)


class GateVerdicts:
    """The verdicts of the gates of a run, as its reports come in.

    A gate was not evaluated if it was selected and no report settles it. To add up reports of
    errors is not enough: pytest makes none for a gate that the run does not reach.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        #: Why nothing is heard of the gates that did not run.
        self._end_reason = NOT_RUN
        #: True once the run has collected all of its tests.
        self.is_collected = False
        #: The verdicts of gates, by node id.
        self.by_node: dict[str, Verdict] = {}
        #: The gates that were skipped, by a mark or a fixture.
        self.skipped: list[str] = []
        self._uncollected: dict[str, str] = {}
        #: The errors in files whose gates cannot be read, by node id.
        self._unread: dict[str, list[Diagnostic]] = {}
        self._errors: dict[str, NotEvaluated] = {}
        #: The gates that passed, and whose tests failed, each with the reason.
        self._failed_tests: dict[str, str] = {}
        #: Tests of which no verdict is missing: they have one, were skipped, or are no gates.
        self._settled: set[str] = set()
        #: The gates that were selected; None as long as no process has named them.
        self._gates: list[str] | None = None
        #: All tests that processes of pytest-xdist have selected, gates and others.
        self._tests: list[str] = []

    def add_gates(self, nodes: Iterable[str]) -> None:
        """Add the node ids of the gates that one process has selected."""
        self._gates = list(dict.fromkeys((*(self._gates or ()), *nodes)))

    def add_tests(self, nodes: Iterable[str]) -> None:
        """Add the node ids of all tests that a process has selected.

        They count only if no process lives to name the gates among them.
        """
        self._tests = list(dict.fromkeys((*self._tests, *nodes)))

    def add_collect_report(self, report: pytest.CollectReport) -> None:
        """Add the report of a file or class: one that failed may have held any number of gates."""
        if report.failed:
            node = report.nodeid or _RUN
            self._uncollected[node] = report_error(report, self._root)
            self._unread[node] = [*_suite_errors(report)]

    def add_report(self, report: pytest.TestReport) -> Verdict | None:
        """Add the report of one phase of a test; return the verdict of a gate if it brings one."""
        node = report.nodeid
        if not report.user_properties and report.when in _PHASES:  # of an ordinary test
            self._settled.add(node)
            return None
        verdict = verdict_of(report) if report.when == "call" or report.failed else None
        # Of a test whose worker dies, pytest-xdist makes a report without phase and properties.
        is_gate = "ftgate_gate" in dict(report.user_properties) or report.when not in _PHASES
        if report.when == "call" and report.skipped and verdict and not verdict.gated:
            return self._settle(node, verdict)
        if report.skipped or not is_gate:
            self._settled |= {node} - self._errors.keys()
            if is_gate and verdict is None and not hasattr(report, "wasxfail"):
                self.skipped.append(node)
        elif verdict and passed_xfail(report):
            self._failed_tests[node] = PASSED_XFAIL
            return self._settle(node, verdict)
        elif report.failed and (report.when == "teardown" or not _is_blocking(verdict)):
            self.by_node.pop(node, None)
            self._settled.discard(node)
            self._failed_tests.pop(node, None)
            self._errors[node] = self._error(report)
        elif verdict:
            return self._settle(node, verdict)
        return None

    def _settle(self, node: str, verdict: Verdict) -> Verdict:
        """Keep the verdict of a gate, and return it.

        With ``--dist=each`` several processes evaluate one gate: an error counts before every
        verdict, and the worst verdict before the others.
        """
        if node not in self._errors:
            self.by_node[node] = min(self.by_node.get(node, verdict), verdict, key=_rank)
            self._settled.add(node)
        return verdict

    @property
    def has_gated(self) -> bool:
        """Whether the run has evaluated a gate that something can fail."""
        return any(verdict.gated for verdict in self.by_node.values())

    @property
    def selects_gates(self) -> bool:
        """Whether the run selected a gate, evaluated or not."""
        return bool(self._gates)

    @property
    def files(self) -> set[str]:
        """The files in which the run selected a gate, or which it could not collect."""
        nodes = (*(self._gates or self._tests), *self._uncollected)
        return {node.partition("::")[0] for node in nodes}

    def add_interruption(self) -> None:
        """Record that the run was cut off if it was: before all gates were collected.

        The tests of pytest-xdist are collected once a process has named its own.
        """
        if not (self.is_collected or self._gates is not None or self._tests or self._uncollected):
            self._uncollected[_RUN] = "the run was cut off before every gate was collected"

    def add_end(self, session: pytest.Session) -> None:
        """Record that the run ended early if an option asked for it."""
        limit = session.config.getoption("maxfail", default=0)
        if limit and session.testsfailed >= limit:
            several = f"stopped after {limit} failures (--maxfail={limit})"
            self._end_reason = several if limit > 1 else STOPPED

    def add_internal_error(self, reason: str) -> None:
        """Record that the run ended with an internal error, unless a gate without verdict says it.

        The verdicts that were reached before stay, and the run has not passed.
        """
        if not any(reason in gate.reason for gate in self.not_evaluated):
            self._uncollected[_RUN] = reason

    @property
    def not_evaluated(self) -> tuple[NotEvaluated, ...]:
        """The gates without a verdict, and what was not collected, each with the reason."""
        found = (
            NotEvaluated(node=node, reason=why, errors=tuple(self._unread.get(node, ())))
            for node, why in self._uncollected.items()
        )
        return (*{row.node: row for row in (*found, *self._missing())}.values(),)

    @property
    def failed_tests(self) -> tuple[FailedTest, ...]:
        """The gates that passed, and whose tests failed, each with the reason."""
        found = self._failed_tests.items()
        return tuple(FailedTest(node=node, reason=reason) for node, reason in found)

    def _error(self, report: pytest.TestReport) -> NotEvaluated:
        """Return why the gate of *report* was not evaluated."""
        parts: Any = dict(report.user_properties).get("ftgate_error")
        if parts:
            return NotEvaluated(**{**parts, "reason": parts["reason"][:_MAX_ERROR_LENGTH]})
        return NotEvaluated(node=report.nodeid, reason=report_error(report, self._root))

    def _missing(self) -> Iterator[NotEvaluated]:
        """Yield the gates that were selected and not evaluated, each with the reason."""
        nodes = self._tests if self._gates is None else self._gates
        missing = [node for node in nodes if node not in self._settled]
        unheard = [node for node in missing if node not in self._errors]
        yield from (self._errors[node] for node in missing if node in self._errors)
        if self._gates is not None:
            yield from (NotEvaluated(node=node, reason=self._end_reason) for node in unheard)
        elif unheard:
            count = f"{len(unheard)} test{'s' * (len(unheard) != 1)}"
            reason = f"the run ended before {count}, and no process named the gates among them"
            yield NotEvaluated(node=_RUN, reason=reason)


def carried(report: pytest.TestReport, name: str, kind: type[_T]) -> list[_T]:
    """Return the values of *kind* that the report of a gate's test carries under *name*."""
    return [from_json(kind, str(value)) for key, value in report.user_properties if key == name]


def verdict_of(report: pytest.TestReport) -> Verdict | None:
    """Return the verdict that the report of a gate's test carries, if it was reached."""
    return next(iter(carried(report, "ftgate", Verdict)), None)


def _rank(verdict: Verdict) -> tuple[bool, int]:
    """Return a key that puts the worst verdict first."""
    return not verdict.gated, _WORST_FIRST.index(verdict.outcome)


def passed_xfail(report: pytest.TestReport) -> bool:
    """Return True if the test passed, and failed by its mark ``xfail(strict=True)``."""
    # pytest marks such a report by its text alone.
    return report.when == "call" and str(report.longrepr).startswith("[XPASS(strict)]")


def _is_blocking(verdict: Verdict | None) -> bool:
    """Return True if *verdict* explains why its item failed.

    An item may fail though its verdict passed: for example, a warning became an error.
    """
    return verdict is not None and verdict.outcome is not Outcome.PASSED


def _suite_errors(report: pytest.CollectReport) -> Iterator[Diagnostic]:
    """Yield the errors in a file whose gates cannot be read."""
    for path, line, *texts in getattr(report, "ftgate_errors", ()):
        yield Diagnostic(path, line, *map(replace_lone_surrogates, texts))


def report_error(report: pytest.CollectReport | pytest.TestReport, root: Path) -> str:
    """Return the message and the place of an error; pytest itself shows the traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        # Of a module that does not import, pytest gives the text of the traceback alone.
        text = str(report.longrepr)
        found = _EXCEPTION.search(text)
        return replace_lone_surrogates((found[1] if found else text)[:_MAX_ERROR_LENGTH])
    message = crash.message[:_MAX_ERROR_LENGTH]
    path = Path(crash.path)
    if path.is_relative_to(_PACKAGE):
        # pytest.fail was called here: the message says it all.
        message = message.removeprefix("Failed: ")
    elif path.is_relative_to(_PYTEST):
        # What follows is about pytest's own code.
        message = message.removeprefix("Failed: ").partition("\n")[0]
        message = message.removesuffix(" Requesting fixture stack:")
    elif path.is_relative_to(root) and not is_installed(crash.path):
        message += f"\n{display_path(root, path)}:{crash.lineno}"
    return replace_lone_surrogates(message)


@dataclass(frozen=True, slots=True)
class CrashLocation:
    """The message and the place of a failure, with what plugins read of pytest's own."""

    path: str
    lineno: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.lineno}: {self.message}"

    def toterminal(self, tw: Any) -> None:
        """Write the message behind its place."""
        tw.line(str(self))


class FailureSection:
    """The failure section of a gate, with its headline for JUnit files and the short summary.

    Both would show several lines of a plain text.
    """

    def __init__(self, text: str, crash: CrashLocation) -> None:
        self._text, self.reprcrash = text, crash

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        """Write the section, line by line, as the terminal's encoding can."""
        for line in self._text.split("\n"):
            tw.line(encodable(line, writer_encoding(tw)))
