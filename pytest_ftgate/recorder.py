"""Ends a run: writes what it leaves behind, and tells its reader what it came to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.gathering import Gathering
from pytest_ftgate.run.cut import so_far
from pytest_ftgate.run.leaving import leave, told
from pytest_ftgate.run.session import session_key
from pytest_ftgate.run.trial import gates_of
from pytest_ftgate.settings import Settings, judges_nothing

if TYPE_CHECKING:
    from pytest_ftgate.record.run import Report

__all__ = ["Recorder", "finish", "status"]

#: An annotator of its own, which already marks the line of each gate that fails.
_ANNOTATOR = "pytest_github_actions_annotate_failures"


class Recorder(Gathering):
    """A plugin object of the process that reports; under pytest-xdist the controller alone."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._report: Report | None = None
        self._written: list[str] = []

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Print the closing section."""
        if judges_nothing(config) or self._report is None:
            return
        from pytest_ftgate.report.closing import spoken, summary, tinted

        terminalreporter.ensure_newline()
        terminalreporter.section("ftgate")
        full = self._settings.accept
        failed = self._unjudged or terminalreporter.stats.get("error")
        if not self._verdicts and (failed or not self._used):
            reason = "see the errors above" if failed else "name a suite, or check the selection"
            reason = "the run was cut off" if self.cut else reason
            terminalreporter.write_line(f"no gate was judged; {reason}", red=True)
        for line in summary(
            self._report, config.get_verbosity(), full=full, ladder=self._settings.ladder
        ):
            for text, colours in tinted(line):
                terminalreporter.write(text, **colours)
            terminalreporter.line("")
        # What plugins that were told of the report made of it came too late to stand in it.
        late = [line for line in dict.fromkeys(self._told) if line not in self._report.told]
        for line in spoken((*self._written, *late)):
            terminalreporter.write_line(line)

    def last_words(self, reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Complete pytest's short summary, and tell GitHub of the lines that gates stand on."""
        if judges_nothing(config) or self._report is None:
            return
        from pytest_ftgate.report.closing import undecided
        from pytest_ftgate.report.github import commands

        on_a_server = any(map(os.environ.get, ("CI", "BUILD_NUMBER")))
        full = on_a_server or config.get_verbosity() > 1
        width = None if full else config.get_terminal_writer().fullwidth
        wanted = set(reporter.reportchars) & set("fa")
        lines = list(undecided(self._report, width)) if wanted else []
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
        made = self.report()
        made = replace(made, told=(*made.told, *self._accepted(made)))
        self._written = write_reports(made, self._settings.reports, self._settings.summary)
        self._report = made

    def _keep_verdicts(self) -> None:
        from pytest_ftgate.record.verdicts import keep_verdicts

        try:
            keep_verdicts(self._settings.ledger.parent, [*self._verdicts.values()])
        except OSError as error:
            self._told.append(f"the verdicts could not be kept for pytest-ftgate explain: {error}")

    def _accepted(self, made: Report) -> list[str]:
        if not self._cells:
            return []
        from pytest_ftgate.record.accepted import accept  # which takes what judges

        root = self._settings.root
        return [
            accept(root, suite, cells, made, self._serves[suite])
            for suite, cells in self._cells.items()
        ]


def status(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Return the status of an item that could not tell, or None for every other."""
    told = dict(report.user_properties).get("ftgate")
    # What is expected not to pass has words of pytest's own.
    if hasattr(report, "wasxfail"):
        return None
    if told is not None and json.loads(str(told))["outcome"] == "inconclusive":
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
    return None


def finish(
    session: pytest.Session, recorder: Recorder | None, tell: Callable[[Any], None] | None = None
) -> None:
    """Stop the engine; tell the reporting process what was asked; write the records.

    Args:
        session: of the run.
        recorder: of the process that reports; None in others.
        tell: takes what the run came to, for other plugins.
    """
    own = session.config.stash[session_key]
    looks = judges_nothing(session.config)
    if recorder is not None and not looks:
        recorder.spared = own.spared(gates_of(session.items))
    own.close()
    cut = session.exitstatus == pytest.ExitCode.INTERRUPTED
    if recorder is not None and cut and not looks:
        recorder.note_cut(so_far(own, gates_of(session.items)))
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
    if tell is not None:
        tell(recorder.verdicts())
    if not recorder.judged and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
