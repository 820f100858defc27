"""Gathers verdicts where the report is made, and writes what the run leaves behind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.ask.bill import Bill, summed
from pytest_ftgate.report.quote import visible
from pytest_ftgate.run.leaving import leave, told
from pytest_ftgate.run.session import session_key
from pytest_ftgate.run.surroundings import surroundings
from pytest_ftgate.settings import Settings, judges_nothing

if TYPE_CHECKING:
    from pytest_ftgate.record.run import Asking, Report, SuiteRun

__all__ = ["Recorder", "finish", "status"]

#: An annotator of its own, which already marks the line of each gate that fails.
_ANNOTATOR = "pytest_github_actions_annotate_failures"
#: What is told of an error that left a gate unjudged, in characters.
_LONGEST = 2_000


class Recorder:
    """A plugin object of the process that reports; under pytest-xdist the controller alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdicts: list[str] = []
        self._measured: list[str] = []
        self._cells: dict[str, dict[str, Any]] = defaultdict(dict)
        self._asking: list[tuple[int, int, float]] = []
        self._told: list[str] = []
        self._bills: list[Bill] = []
        self._suites: list[SuiteRun] = []
        self._unjudged: dict[str, str] = {}
        self._report: Report | None = None
        self._written: list[str] = []
        #: Calls that were never asked because gates stopped early.
        self.spared = 0
        #: What goes on though the run has ended.
        self.left: tuple[str, ...] = ()

    # Gathering ----------------------------------------------------------------------------

    def _is_suite(self, node: str) -> bool:
        return any(PurePath(node.partition("::")[0]).match(one) for one in self._settings.files)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of a suite that cannot be collected."""
        if report.failed and self._is_suite(report.nodeid):
            self._unjudged[report.nodeid] = report.longreprtext[:_LONGEST]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict from the phase that reached it."""
        own = dict(report.user_properties)
        if "ftgate" in own and report.when == "call" and isinstance(report.longrepr, str):
            headline = json.loads(str(own["ftgate"]))["headline"]
            report.longrepr = _Section(report.longrepr, headline)  # type: ignore[assignment]
        if self._is_suite(report.nodeid) and report.failed and "ftgate" not in own:
            self._unjudged[report.nodeid] = report.longreprtext[:_LONGEST]
        if report.when == "teardown":
            told = report.user_properties
            self._measured += [str(v) for key, v in told if key == "ftgate_measured"]
        if "ftgate" in own and (report.when == "call" or report.failed):
            self._verdicts.append(str(own["ftgate"]))
        if "ftgate_cells" in own and report.when == "call":
            verdict = json.loads(str(own["ftgate"]))
            cells = json.loads(str(own["ftgate_cells"]))
            before = self._cells[verdict["suite"]].get(verdict["variant"], {})
            # Gates of one variant may look at less than others; what rests on most is kept.
            if _replies(cells) >= _replies(before):
                self._cells[verdict["suite"]][verdict["variant"]] = cells

    def note_asking(self, used: int, asked: int, seconds: float, bill: Mapping[str, Any]) -> None:
        """Add what one process used, asked, how many seconds that took, and what it cost."""
        self._asking.append((used, asked, seconds))
        self._bills.append(Bill(**bill))

    def note_told(self, sentences: Iterable[str]) -> None:
        """Add what one process has to say of the ledger."""
        self._told += sentences

    def note_suites(self, suites: Iterable[SuiteRun]) -> None:
        """Add the cases that one process knows."""
        self._suites += suites

    def note_interruption(self) -> None:
        """Let no report of a run that was cut off say that it passed."""
        if not self._unjudged:
            self._unjudged["pytest"] = "the run was cut off before every gate was judged"

    @property
    def judged(self) -> int:
        """How many gates reached a verdict."""
        return len(self._verdicts)

    # Reporting ----------------------------------------------------------------------------

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Print the closing section."""
        if judges_nothing(config) or self._report is None:
            return
        from pytest_ftgate.report.closing import summary, tinted

        terminalreporter.ensure_newline()
        terminalreporter.section("ftgate")
        full = self._settings.accept
        if not self.judged:
            failed = self._unjudged or terminalreporter.stats.get("error")
            reason = "see the errors above" if failed else "name a suite, or check the selection"
            terminalreporter.write_line(f"no gate was judged; {reason}", red=True)
        for line in summary(self._report, config.get_verbosity(), full=full):
            for text, colours in tinted(line):
                terminalreporter.write(text, **colours)
            terminalreporter.line("")
        for line in self._written:
            terminalreporter.write_line(line)

    def last_words(self, reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Complete pytest's short summary, and tell GitHub of the lines that gates stand on."""
        if judges_nothing(config) or self._report is None:
            return
        from pytest_ftgate.report.closing import undecided
        from pytest_ftgate.report.github import commands

        lines = list(undecided(self._report)) if set(reporter.reportchars) & set("fa") else []
        if lines and not any(reporter.stats.get(kind) for kind in ("failed", "error")):
            reporter.write_sep("=", "short test summary info", cyan=True, bold=True)
        for line in lines:
            reporter.write_line(line, yellow=True)
        prefix = self._settings.annotates
        if prefix is not None and not config.pluginmanager.has_plugin(_ANNOTATOR):
            reporter.ensure_newline()
            for line in commands(self._report, prefix):
                reporter.write_line(line)

    def write(self) -> None:
        """Write the verdicts, the accepted records and the reports that the user asked for."""
        from pytest_ftgate.report.files import write_reports

        if self._verdicts:
            self._keep_verdicts()
        made = self._made()
        made = replace(made, told=(*made.told, *self._accepted(made)))
        self._written = write_reports(made, self._settings.reports, self._settings.summary)
        self._report = made

    def _keep_verdicts(self) -> None:
        from pytest_ftgate.record.verdicts import keep_verdicts

        try:
            keep_verdicts(self._settings.ledger.parent, self._verdicts)
        except OSError as error:
            self._told.append(f"the verdicts could not be kept for pytest-ftgate explain: {error}")

    def _accepted(self, made: Report) -> list[str]:
        if not self._cells:
            return []
        from pytest_ftgate.record.accepted import accept  # which takes what judges

        root = self._settings.root
        return [accept(root, suite, cells, made) for suite, cells in self._cells.items()]

    def _made(self) -> Report:
        from pytest_ftgate.record.run import Report, Unjudged, verdict_of
        from pytest_ftgate.record.verdicts import verdict_from_json

        lenient = self._settings.inconclusive == "warn"
        left = [f"{line}; the same command picks its replies up" for line in self.left]
        report = Report(
            verdict="blocked",
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            lenient=lenient,
            verdicts=tuple(map(verdict_from_json, (*self._verdicts, *self._measured))),
            unjudged=tuple(Unjudged(node=node, why=why) for node, why in self._unjudged.items()),
            asking=self._asked(),
            bill=summed(self._bills),
            max_usd=self._settings.max_usd,
            told=tuple(dict.fromkeys((*left, *self._told))),
            facts=surroundings(self._settings),
            suites=self._with_history(),
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


def _replies(cells: Mapping[str, Any]) -> int:
    from pytest_ftgate.record.accepted import Kept

    return sum(Kept(*cell).repeats for cell in cells.values())


def status(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Return the status of an item that could not tell, or None for every other."""
    told = dict(report.user_properties).get("ftgate")
    if told is not None and json.loads(str(told))["outcome"] == "inconclusive":
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
    return None


def finish(session: pytest.Session, recorder: Recorder | None) -> None:
    """Stop the engine; tell the reporting process what was asked; write the records."""
    own = session.config.stash[session_key]
    looks = judges_nothing(session.config)
    if recorder is not None and not looks:
        judged = (getattr(item, "judged", None) for item in session.items)
        recorder.spared = own.spared(one for one in judged if one is not None)
    own.close()
    progress = own.progress
    came = progress.planned - progress.failed
    asked = (came, progress.asked, progress.seconds, asdict(own.bill()))
    if recorder is None:
        output = session.config.workeroutput  # type: ignore[attr-defined]
        output |= {"ftgate_asking": list(asked), "ftgate_told": own.told}
        output["ftgate_cases"] = None if looks else leave(own)
        return
    if looks:
        return
    recorder.left = own.left
    recorder.note_asking(*asked)
    recorder.note_told(own.told)
    recorder.note_suites(told(own))
    if session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR):
        recorder.note_interruption()
    recorder.write()
    if not recorder.judged and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
