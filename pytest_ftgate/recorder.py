"""Gathers verdicts where the report is made, and writes what the run leaves behind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.progress import clock_time
from pytest_ftgate.settings import Settings

if TYPE_CHECKING:
    from pytest_ftgate.gate.verdict import Verdict

__all__ = ["Recorder"]


class Recorder:
    """A plugin object of the process that reports; under pytest-xdist the controller alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdicts: list[str] = []
        self._measured: list[str] = []
        self._cells: dict[str, dict[str, Any]] = defaultdict(dict)
        self._asking: list[tuple[int, int, float]] = []
        self._accepted: list[str] = []
        self.errors = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict from the phase that reached it."""
        own = dict(report.user_properties)
        if report.when == "teardown":
            told = report.user_properties
            self._measured += [str(v) for key, v in told if key == "ftgate_measured"]
        if "ftgate" in own and (report.when == "call" or report.failed):
            self._verdicts.append(str(own["ftgate"]))
        if "ftgate_cells" in own and report.when == "call":
            verdict = json.loads(str(own["ftgate"]))
            cells = json.loads(str(own["ftgate_cells"]))
            self._cells[verdict["suite"]][verdict["variant"]] = cells

    def note_asking(self, told: tuple[int, int, float]) -> None:
        """Add what one process used, asked, and how many seconds that took."""
        self._asking.append(told)

    @property
    def judged(self) -> int:
        """How many gates reached a verdict."""
        return len(self._verdicts)

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Print the closing section."""
        if self._settings.plan or config.getoption("collectonly"):
            return
        from pytest_ftgate.record import verdict_from_json
        from pytest_ftgate.report.terminal import summary

        terminalreporter.ensure_newline()
        terminalreporter.section("ftgate")
        if not self._verdicts:
            terminalreporter.write_line(
                "no gate was judged; name a suite, or check -k and --ftgate-variant", red=True
            )
            return
        verdicts = [verdict_from_json(text) for text in (*self._verdicts, *self._measured)]
        lenient = self._settings.inconclusive == "warn"
        for index, line in enumerate(summary(verdicts, self._asked(), lenient=lenient)):
            colour = {"green": line.startswith("PASSED"), "red": line.startswith("BLOCKED")}
            terminalreporter.write_line(line, **(colour if index == 0 else {}), bold=index == 0)
        for line in self._accepted:
            terminalreporter.write_line(line)

    def _asked(self) -> str:
        used = max((one[0] for one in self._asking), default=0)
        asked = sum(one[1] for one in self._asking)
        seconds = max((one[2] for one in self._asking), default=0.0)
        took = f" in {clock_time(seconds)}" if asked else ""
        return f"{used:,} replies, {asked:,} asked{took}"

    def write(self) -> None:
        """Write the accepted records, where the user asked for them."""
        if not self._cells:
            return
        from pytest_ftgate.record import verdict_from_json

        by_suite: dict[str, list[Verdict]] = defaultdict(list)
        for text in (*self._verdicts, *self._measured):
            verdict = verdict_from_json(text)
            by_suite[verdict.suite].append(verdict)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for suite, cells in self._cells.items():
            self._accept(suite, tuple(by_suite[suite]), cells, now)

    def _accept(
        self, suite: str, verdicts: tuple[Verdict, ...], cells: Mapping[str, Any], now: str
    ) -> None:
        from pytest_ftgate.record import Kept, Record, read_record, write_record

        name = suite.removesuffix(".ftgate.yaml") + ".accepted.json"
        path = self._settings.root / name
        before = read_record(path, suite)
        variants = dict(before.variants) if before else {}
        variants |= {v: {k: Kept(*one) for k, one in own.items()} for v, own in cells.items()}
        write_record(path, Record(suite=suite, at=now, verdicts=verdicts, variants=variants))
        self._accepted.append(f"accepted {', '.join(cells)} in {name}; commit it with the change")
