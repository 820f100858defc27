"""Gathers verdicts where the report is made, and writes what the run leaves behind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.ask.bill import Bill, summed
from pytest_ftgate.gate.words import clock
from pytest_ftgate.run.session import session_key
from pytest_ftgate.settings import Settings, judges_nothing

if TYPE_CHECKING:
    from pytest_ftgate.gate.verdict import Verdict

__all__ = ["Recorder", "finish", "status"]


class Recorder:
    """A plugin object of the process that reports; under pytest-xdist the controller alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdicts: list[str] = []
        self._measured: list[str] = []
        self._advice: list[str] = []
        self._serves: dict[str, str] = {}
        self._cells: dict[str, dict[str, Any]] = defaultdict(dict)
        self._asking: list[tuple[int, int, float]] = []
        self._told: list[str] = []
        self._bills: list[Bill] = []
        #: Calls that were never asked because gates stopped early.
        self.spared = 0
        #: What goes on though the run has ended.
        self.left: tuple[str, ...] = ()
        self._accepted: list[str] = []
        self._errors = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict from the phase that reached it."""
        own = dict(report.user_properties)
        is_gate = any(
            PurePath(report.nodeid.partition("::")[0]).match(g) for g in self._settings.files
        )
        if is_gate and report.failed and "ftgate" not in own:
            self._errors += 1
        if report.when == "teardown":
            told = report.user_properties
            self._measured += [str(v) for key, v in told if key == "ftgate_measured"]
            self._advice += [str(v) for key, v in told if key == "ftgate_advice"]
        if "ftgate" in own and (report.when == "call" or report.failed):
            self._verdicts.append(str(own["ftgate"]))
        if "ftgate_cells" in own and report.when == "call":
            verdict = json.loads(str(own["ftgate"]))
            self._serves[verdict["suite"]] = str(own["ftgate_serves"])
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

    @property
    def judged(self) -> int:
        """How many gates reached a verdict."""
        return len(self._verdicts)

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Print the closing section."""
        if judges_nothing(config):
            return
        terminalreporter.ensure_newline()
        terminalreporter.section("ftgate")
        for line in self.left:
            told = f"{line}; the same command picks its replies up"
            terminalreporter.write_line(told, yellow=True)
        for line in dict.fromkeys(self._told):
            terminalreporter.write_line(line, yellow=True)
        if not self._verdicts:
            failed = self._errors or terminalreporter.stats.get("error")
            reason = "see the errors above" if failed else "name a suite, or check the selection"
            terminalreporter.write_line(f"no gate was judged; {reason}", red=True)
            return
        from pytest_ftgate.record import verdict_from_json
        from pytest_ftgate.report.billed import bill_lines
        from pytest_ftgate.report.terminal import summary

        verdicts = [verdict_from_json(text) for text in (*self._verdicts, *self._measured)]
        lenient = self._settings.inconclusive == "warn"
        full = config.get_verbosity() > 0 or self._settings.accept
        lines = summary(verdicts, self._asked(), errors=self._errors, lenient=lenient, full=full)
        for index, line in enumerate(lines):
            colour = {"green": line.startswith("PASSED"), "red": line.startswith("BLOCKED")}
            terminalreporter.write_line(line, **(colour if index == 0 else {}), bold=index == 0)
        bill = bill_lines(self._bill, full=full, max_usd=self._settings.max_usd)
        for line in (*bill, *self._accepted, *self._ladders()):
            terminalreporter.write_line(line)

    def _ladders(self) -> Iterator[str]:
        from pytest_ftgate.record import advice_from_json
        from pytest_ftgate.report.ladder import ladder_lines

        if self._settings.ladder and not self._advice:
            yield "  no ladder: it takes every gate of a suite, and cases with an expected answer"
        for text in self._advice:
            yield ""
            yield from ladder_lines(advice_from_json(text), full=self._settings.ladder)

    @property
    def _bill(self) -> Bill:
        return summed(self._bills)

    def _asked(self) -> str:
        from pytest_ftgate.report.billed import bill_phrase

        used = max((one[0] for one in self._asking), default=0)
        asked = sum(one[1] for one in self._asking)
        seconds = max((one[2] for one in self._asking), default=0.0)
        took = f" in {clock(seconds)}" if asked else ""
        spared = f", {self.spared:,} spared by stopping early" if self.spared else ""
        money = bill_phrase(self._bill)
        return f"{used:,} replies, {asked:,} asked{took}{spared}{' · ' * bool(money)}{money}"

    def write(self) -> None:
        """Write the verdicts, and the accepted records where the user asked for them."""
        if not self._verdicts:
            return
        from pytest_ftgate.record import keep_verdicts

        try:
            keep_verdicts(self._settings.ledger.parent, self._verdicts)
        except OSError as error:
            self._told.append(f"the verdicts could not be kept for pytest-ftgate explain: {error}")
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
        # What models said stays out of a file that is committed.
        verdicts = tuple(replace(verdict, flips=()) for verdict in verdicts)
        variants |= {v: {k: Kept(*one) for k, one in own.items()} for v, own in cells.items()}
        record = Record(
            suite=suite, at=now, verdicts=verdicts, variants=variants, bill=self._bill,
            serves=self._serves.get(suite, ""),
        )  # fmt: skip
        write_record(path, record)
        bad = sum(one.gated and one.outcome != "passed" for one in verdicts)
        told = f" ({bad} of its gates did not pass)" if bad else ""
        self._accepted.append(
            f"accepted {', '.join(cells)} in {name}; commit it with the change{told}"
        )


def _replies(cells: Mapping[str, Any]) -> int:
    from pytest_ftgate.record import Kept

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
    if recorder is not None and not judges_nothing(session.config):
        judged = (getattr(item, "judged", None) for item in session.items)
        recorder.spared = own.spared(one for one in judged if one is not None)
    own.close()
    progress = own.progress
    came = progress.planned - progress.failed
    told = (came, progress.asked, progress.seconds, asdict(own.bill()))
    if recorder is None:
        session.config.workeroutput["ftgate_asking"] = list(told)  # type: ignore[attr-defined]
        session.config.workeroutput["ftgate_told"] = own.told  # type: ignore[attr-defined]
        return
    recorder.left = own.left
    recorder.note_asking(*told)
    recorder.note_told(own.told)
    recorder.write()
    if (
        not recorder.judged
        and not judges_nothing(session.config)
        and session.exitstatus == pytest.ExitCode.OK
    ):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
