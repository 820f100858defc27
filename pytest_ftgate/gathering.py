"""Gathers what the tests of a run reported, where the report is made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.ask.bill import Bill, summed
from pytest_ftgate.report.quote import visible
from pytest_ftgate.run.surroundings import surroundings
from pytest_ftgate.settings import Settings

if TYPE_CHECKING:
    from pytest_ftgate.gate.verdict import Verdict
    from pytest_ftgate.record.run import Asking, Report, SuiteRun

__all__ = ["Gathering"]

#: What is told of an error that left a gate unjudged, in characters.
_LONGEST = 2_000


class Gathering:
    """What came so far; a run has one, in the process that reports."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdicts: dict[str, str] = {}
        self._measured: list[str] = []
        self._advice: list[str] = []
        self._serves: dict[str, str] = {}
        self._cells: dict[str, dict[str, Any]] = defaultdict(dict)
        self._asking: list[tuple[int, int, float]] = []
        self._told: list[str] = []
        self._bills: list[Bill] = []
        self._suites: list[SuiteRun] = []
        self._unjudged: dict[str, str] = {}
        #: Calls that were never asked because gates stopped early.
        self.spared = 0
        #: What goes on though the run has ended.
        self.left: tuple[str, ...] = ()
        #: It was cut off while it asked.
        self.cut = False
        #: A test has used the fixture, which judges as that test says.
        self._used = False

    def _is_suite(self, node: str) -> bool:
        return any(PurePath(node.partition("::")[0]).match(one) for one in self._settings.files)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of a suite that cannot be collected."""
        if report.failed and self._is_suite(report.nodeid):
            self._unjudged[report.nodeid] = _trouble(report, self._settings.root)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict from the phase that reached it."""
        own = dict(report.user_properties)
        # One that another plugin will run again has not come to its end.
        if report.outcome not in ("passed", "failed", "skipped"):
            return
        self._used |= "ftgate_used" in own and report.when == "call"
        if "ftgate" in own and report.when == "call" and isinstance(report.longrepr, str):
            headline = json.loads(str(own["ftgate"]))["headline"]
            report.longrepr = _Section(report.longrepr, headline)  # type: ignore[assignment]
        if report.when == "teardown":
            told = report.user_properties
            self._measured += [str(v) for key, v in told if key == "ftgate_measured"]
            self._advice += [str(v) for key, v in told if key == "ftgate_advice"]
        if "ftgate_gate" in own:
            self._note(report, own.get("ftgate"))
        if "ftgate_cells" in own and report.when == "call":
            verdict = json.loads(str(own["ftgate"]))
            self._serves[verdict["suite"]] = str(own.get("ftgate_serves", ""))
            cells = json.loads(str(own["ftgate_cells"]))
            name = str(own.get("ftgate_cells_of", verdict["variant"]))
            before = self._cells[verdict["suite"]].get(name, {})
            # Gates of one variant may look at less than others; what rests on most is kept.
            if _replies(cells) >= _replies(before):
                self._cells[verdict["suite"]][name] = cells

    def _note(self, report: pytest.TestReport, told: object) -> None:
        """Take note of what became of a gate, *told* being its verdict, if it has one by now."""
        passed = told is not None and json.loads(str(told))["outcome"] == "passed"
        # With a verdict that passed something else went wrong, such as a warning that is an error.
        if report.failed and (told is None or passed or report.when == "teardown"):
            self._verdicts.pop(report.nodeid, None)
            self._unjudged[report.nodeid] = _trouble(report, self._settings.root)
        elif told is not None and hasattr(report, "wasxfail") and report.skipped:
            self._used = True
            self._told.append(f"{report.nodeid} did not pass, as its xfail mark expects")
        elif told is not None and (report.when == "call" or report.failed):
            self._verdicts[report.nodeid] = str(told)

    def note_asking(self, used: int, asked: int, seconds: float, bill: Mapping[str, Any]) -> None:
        """Add what one process used, asked, how many seconds that took, and what it cost."""
        self._asking.append((used, asked, seconds))
        self._bills.append(Bill(**bill))

    def note_told(self, sentences: Iterable[str]) -> None:
        """Add what one process has to say of the ledger."""
        self._told += sentences

    def note_cut(self, sentences: Iterable[str]) -> None:
        """Add what is known by a run that was cut off while it asked."""
        told = [*sentences]
        self.cut = bool(told)
        self._told += told

    def note_suites(self, suites: Iterable[SuiteRun]) -> None:
        """Add the cases that one process knows."""
        self._suites += suites

    def note_interruption(self) -> None:
        """Let no report of a run that was cut off say that it passed."""
        if not self._unjudged:
            self._unjudged["pytest"] = "the run was cut off before every gate was judged"

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the verdicts of the run, those of gates first."""
        from pytest_ftgate.record.verdicts import verdict_from_json

        return tuple(map(verdict_from_json, (*self._verdicts.values(), *self._measured)))

    @property
    def judged(self) -> int:
        """How many gates reached a verdict."""
        return len(self._verdicts) + self._used

    def report(self) -> Report:
        """Return all that a report shows of the run so far."""
        from pytest_ftgate.record.run import Report, Unjudged, verdict_of
        from pytest_ftgate.record.wire import advice_from_json

        lenient = self._settings.inconclusive == "warn"
        left = [f"{line}; the same command picks its replies up" for line in self.left]
        report = Report(
            verdict="blocked",
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            lenient=lenient,
            verdicts=self.verdicts(),
            unjudged=tuple(Unjudged(node=node, why=why) for node, why in self._unjudged.items()),
            asking=self._asked(),
            bill=summed(self._bills),
            max_usd=self._settings.max_usd,
            told=tuple(dict.fromkeys((*left, *self._told))),
            facts=surroundings(self._settings),
            suites=self._with_history(),
            advice=tuple(map(advice_from_json, self._advice)),
        )
        return replace(report, verdict=verdict_of(report))

    def _with_history(self) -> tuple[SuiteRun, ...]:
        if not self._suites:
            return ()
        from pytest_ftgate.record.accepted import accepted_path
        from pytest_ftgate.record.history import history
        from pytest_ftgate.record.telling import joined

        by_name: dict[str, list[SuiteRun]] = defaultdict(list)
        for one in self._suites:
            by_name[one.name].append(one)
        made = (joined(own) for own in by_name.values())
        root = self._settings.root
        return tuple(replace(one, history=history(accepted_path(root, one.name))) for one in made)

    def _asked(self) -> Asking:
        from pytest_ftgate.record.run import Asking

        return Asking(
            used=max((one[0] for one in self._asking), default=0),
            asked=sum(one[1] for one in self._asking),
            seconds=max((one[2] for one in self._asking), default=0.0),
            spared=self.spared,
        )


class _Section:
    """The section of a gate as a failure that has one line for those who want no more.

    Of a plain text, JUnit files and, on build servers, the short summary would take several.
    """

    def __init__(self, text: str, headline: str) -> None:
        self._text = text
        self.reprcrash = SimpleNamespace(message=visible(headline).replace("\n", " "))

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        """Write the section."""
        tw.line(self._text)


def _trouble(report: pytest.CollectReport | pytest.TestReport, root: Path) -> str:
    """Return what went wrong: the error itself, and not the way to it, which pytest has shown."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None or not hasattr(crash, "path"):
        return report.longreprtext[:_LONGEST]
    path = Path(crash.path)
    place = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{crash.message[:_LONGEST]}\n{place.as_posix()}:{crash.lineno}"


def _replies(cells: Mapping[str, Any]) -> int:
    from pytest_ftgate.record.accepted import Kept

    return sum(Kept(*cell).repeats for cell in cells.values())
