"""pytest's tree: a suite file is a collector, each gate of each variant is a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from pytest_ftgate.errors import FtgateError, SuiteFaults
from pytest_ftgate.gate.feasible import refuse_impossible
from pytest_ftgate.report.quote import guarded
from pytest_ftgate.run.asks import Judged
from pytest_ftgate.run.judging import is_clear, judge, measured, sides_of
from pytest_ftgate.run.laddering import Judgement, advised, has_ladder
from pytest_ftgate.run.progress import ticking
from pytest_ftgate.run.suites import suite_at
from pytest_ftgate.run.trial import Stopped, Trial
from pytest_ftgate.score.sheet import ready
from pytest_ftgate.settings import settings_key
from pytest_ftgate.suite.margins import DataGate, ForgettingGate, RateGate

__all__ = ["GateItem", "SuiteFile"]


class SuiteFile(pytest.File):
    """One ``*.ftgate.yaml`` file."""

    def collect(self) -> Iterator[GateItem]:
        """Yield the gates of each gated variant."""
        try:
            suite = suite_at(self.session, self.path)
            refuse_impossible(suite)
        except SuiteFaults as error:
            raise self.CollectError(str(error)) from error
        for variant in suite.variants.values():
            for gate in suite.gates_of(variant):
                name = f"{gate.kind}[{variant.name}]"
                judged = Judged(suite, gate, variant)
                # The id is given whole, so that pytest reads the variant as a parameter.
                node = f"{self.nodeid}::{name}"
                yield GateItem.from_parent(self, name=name, nodeid=node, judged=judged)


class GateItem(pytest.Item):
    """One gate of one variant."""

    def __init__(self, *, judged: Judged, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.judged = judged
        self.trial = Trial(self, judged)
        self.add_marker("ftgate")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the gate's line in the suite file, and the title of its failure section."""
        line = self.judged.gate.line
        return self.path, line - 1, f"{self.judged.suite.name}:{line} {self.name}"

    # Asking and identity: trouble here is an error of this gate alone -----------------------

    def setup(self) -> None:
        """Ask what the gate rests on, and prove that the variant is what it claims."""
        if self.trial.asks_nothing:
            return
        try:
            trouble = self._prepare()
        except FtgateError as error:
            trouble = str(error)
        if trouble:
            self.trial.fail(trouble)

    def _prepare(self) -> str:
        """Ask, prove and score; return what makes the variant invalid, or an empty string."""
        judged, session = self.judged, self.trial.session
        if isinstance(judged.gate, DataGate):
            return ""
        # A scorer that cannot be used is better found before anything is paid for.
        ready(judged.suite.cases, self.path.parent)
        if isinstance(judged.gate, ForgettingGate):
            ready(judged.gate.cases, self.path.parent)
        if judged.suite.judges and judged.gate.kind == "accuracy":
            self._awaiting(partial(session.hearings.examined, judged.suite))
        self.trial.begin()
        session.accepted(judged.suite)
        for look in session.asks.looks(judged):
            invalid = self.trial.answered(look)
            if invalid:
                return invalid
            # Judges are asked here, about what has come.
            self._awaiting(partial(sides_of, session, judged, look))
            # What is accepted is what later runs are compared with: all cases, not the first block.
            whole_wanted = self.trial.accepts and look.cases is not None
            if (
                look.number < look.of
                and not whole_wanted
                and is_clear(judge(session, judged, look))
            ):
                break
        return ""

    def _awaiting(self, asks_judges: Callable[[], object]) -> None:
        """Do what may ask judges, and show how far that has come."""
        session = self.trial.session
        try:
            with ticking(self.config) as session.tick:
                asks_judges()
        finally:
            session.tick = None

    # Judging --------------------------------------------------------------------------------

    def runtest(self) -> None:
        """Judge, and stop the item where the verdict blocks."""
        verdict = judge(self.trial.session, self.judged, self.trial.look)
        if self.trial.accepts and isinstance(self.judged.gate, RateGate):
            self._keep_cells()
        self.trial.conclude(verdict)

    def _keep_cells(self) -> None:
        from pytest_ftgate.record.accepted import kept

        judged, columns = self.judged, self.trial.session.columns
        column = columns.task(judged.suite, judged.variant, self.trial.look)
        self.trial.keep("ftgate_serves", judged.suite.serves or judged.suite.baseline)
        self.trial.keep("ftgate_cells", json.dumps(kept(column, self.path.parent)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a verdict as its own section; everything else as pytest does."""
        if isinstance(excinfo.value, Stopped):
            from pytest_ftgate.report.terminal import section

            shown = self.config.stash[settings_key].show
            return section(excinfo.value.verdict, self.config.get_verbosity(), shown)
        if isinstance(excinfo.value, FtgateError):
            return guarded(f"{self.judged.variant.name}: {excinfo.value}")
        return super().repr_failure(excinfo, style)

    # Variants that are measured beside the judged ones ----------------------------------------

    def teardown(self) -> None:
        """After a suite's last gate, measure the variants that have none, and be advised."""
        if not self._is_last_of_whole_suite() or self.trial.asks_nothing:
            return
        from pytest_ftgate.record.verdicts import verdict_to_json
        from pytest_ftgate.record.wire import advice_to_json

        session, suite = self.trial.session, self.judged.suite
        own = self.user_properties
        own[:] = [one for one in own if one[0] not in ("ftgate_measured", "ftgate_advice")]
        beside = list(measured(session, suite, self.config))
        own += [("ftgate_measured", verdict_to_json(verdict)) for verdict in beside]
        if self.config.stash[settings_key].ladder or has_ladder(suite):
            found = advised(session, suite, self._judgements(), beside, self.config)
            own += [("ftgate_advice", advice_to_json(found))] if found else []

    def _judgements(self) -> dict[tuple[str, str], Judgement]:
        """Return what this process has judged of the suite."""
        mine = (item.trial for item in self.session.items if _is_gate(item))
        return {
            (trial.judged.variant.name, trial.judged.gate.kind): Judgement(
                trial.verdict, trial.look
            )
            for trial in mine
            if trial.judged.suite.name == self.judged.suite.name and trial.verdict is not None
        }

    def _is_last_of_whole_suite(self) -> bool:
        name = self.judged.suite.name
        mine = [i for i in self.session.items if _is_gate(i) and i.judged.suite.name == name]
        suite = self.judged.suite
        whole = sum(len(suite.gates_of(variant)) for variant in suite.variants.values())
        return (
            len(mine) == whole
            and mine[-1] is self
            # After an interruption pytest tears down once the engine has ended.
            and not (
                self.session.shouldstop or self.session.shouldfail or self.trial.session.closed
            )
        )


def _is_gate(item: pytest.Item) -> TypeGuard[GateItem]:
    return isinstance(item, GateItem)
