"""pytest's tree: a suite file is a collector, each gate of each variant is a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from pytest_ftgate.errors import FtgateError, SuiteFaults, did_you_mean
from pytest_ftgate.gate.feasible import refuse_impossible, repeats_for
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.gate.runnable import runnable
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.report.quote import guarded
from pytest_ftgate.run.asks import Judged
from pytest_ftgate.run.judging import is_clear, judge, measured, sides_of
from pytest_ftgate.run.offered import offered
from pytest_ftgate.run.progress import ticking
from pytest_ftgate.run.session import Session, session_key
from pytest_ftgate.score.sheet import ready
from pytest_ftgate.settings import Settings, settings_key
from pytest_ftgate.suite.batch import in_batches
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.margins import ForgettingGate, RateGate

__all__ = ["GateItem", "SuiteFile", "arrange", "show_plan"]


class _Stopped(Exception):
    """Ends an item whose verdict blocks; carries the verdict to the failure section."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.headline)


class SuiteFile(pytest.File):
    """One ``*.ftgate.yaml`` file."""

    def collect(self) -> Iterator[GateItem]:
        """Yield the gates of each gated variant."""
        try:
            suite = runnable(load(self.path, self.config.rootpath, offered(self)))
            suite = in_batches(suite) if self.config.stash[settings_key].batch else suite
            refuse_impossible(suite)
            self.config.stash[session_key].take_in(suite)
            suite = replace(suite, repeats=repeats_for(suite))
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
        self._notes: tuple[str, ...] = ()
        self._facts: dict[str, str] = {}
        self._look = Look()
        self.add_marker("ftgate")

    @property
    def _session(self) -> Session:
        return self.config.stash[session_key]

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the gate's line in the suite file, and the title of its failure section."""
        line = self.judged.gate.line
        return self.path, line - 1, f"{self.judged.suite.name}:{line} {self.name}"

    # Asking and identity: trouble here is an error of this gate alone -----------------------

    def setup(self) -> None:
        """Ask what the gate rests on, and prove that the variant is what it claims."""
        if self.config.getoption("setupplan"):
            return
        try:
            trouble = self._prepare()
        except FtgateError as error:
            trouble = str(error)
        if trouble:
            pytest.fail(guarded(f"{self.judged.variant.name}: {trouble}"), pytrace=False)

    def _prepare(self) -> str:
        """Ask, prove and score; return what makes the variant invalid, or an empty string."""
        judged, session = self.judged, self._session
        # A scorer that cannot be used is better found before anything is paid for.
        ready(judged.suite.cases, self.path.parent)
        if isinstance(judged.gate, ForgettingGate):
            ready(judged.gate.cases, self.path.parent)
        if judged.suite.judges and judged.gate.kind == "accuracy":
            self._awaiting(partial(session.hearings.examined, judged.suite))
        if not session.has_begun(judged):
            session.begin(self._selected())
        session.accepted(judged.suite)
        for look in session.asks.looks(judged):
            with ticking(self.config) as tick:
                found = session.answers(session.asks.of(judged, look), tick, judged.suite.name)
            invalid = self._proven(found) if look.number == 1 else ""
            if invalid:
                return invalid
            self._look = look
            # Judges are asked here, about what has come.
            self._awaiting(partial(sides_of, session, judged, look))
            # What is accepted is what later runs are compared with: all cases, not the first block.
            whole_wanted = self.config.stash[settings_key].accept and look.cases is not None
            if (
                look.number < look.of
                and not whole_wanted
                and is_clear(judge(session, judged, look))
            ):
                break
        return ""

    def _awaiting(self, asks_judges: Callable[[], object]) -> None:
        """Do what may ask judges, and show how far that has come."""
        try:
            with ticking(self.config) as self._session.tick:
                asks_judges()
        finally:
            self._session.tick = None

    def _selected(self) -> list[Judged]:
        """Return the gates whose calls form one plan with this one's.

        A pytest-xdist worker does not know which gates it will be given, so it plans its own.
        """
        if hasattr(self.config, "workerinput"):
            return [self.judged]
        return [item.judged for item in self.session.items if isinstance(item, GateItem)]

    def _proven(self, found: Any) -> str:
        from pytest_ftgate.run.proofs import known, proofs

        proven = proofs(self._session, self.judged, found)
        self._facts = known(self._session, self.judged, found)
        self._notes = tuple(p.sentence for p in proven if p.outcome is Outcome.INCONCLUSIVE)
        for proof in proven:
            if proof.outcome is Outcome.INVALID:
                self._keep(self._invalid(proof.sentence))
                return f"not what it claims: {proof.sentence}"
        return ""

    def _invalid(self, sentence: str) -> Verdict:
        suite, gate, variant = self.judged.suite, self.judged.gate, self.judged.variant
        return Verdict(
            suite=suite.name,
            line=gate.line,
            gate=gate.kind,
            variant=variant.name,
            outcome=Outcome.INVALID,
            headline=sentence,
            facts=self._facts,
        )

    # Judging --------------------------------------------------------------------------------

    def runtest(self) -> None:
        """Judge, and stop the item where the verdict blocks."""
        verdict = judge(self._session, self.judged, self._look)
        notes = (*verdict.notes, *self._notes)
        verdict = replace(verdict, notes=notes, facts=self._facts)
        self._keep(verdict)
        if self.config.stash[settings_key].accept and isinstance(self.judged.gate, RateGate):
            self._keep_cells()
        lenient = self.config.stash[settings_key].inconclusive == "warn"
        open_ = verdict.outcome is Outcome.INCONCLUSIVE
        if verdict.outcome is not Outcome.PASSED and not (open_ and lenient):
            raise _Stopped(verdict)

    def _keep(self, verdict: Verdict) -> None:
        from pytest_ftgate.record.verdicts import verdict_to_json

        self.user_properties.append(("ftgate", verdict_to_json(verdict)))

    def _keep_cells(self) -> None:
        from pytest_ftgate.record.accepted import kept

        column = self._session.columns.task(self.judged.suite, self.judged.variant, self._look)
        self.user_properties.append(("ftgate_cells", json.dumps(kept(column, self.path.parent))))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a verdict as its own section; everything else as pytest does."""
        if isinstance(excinfo.value, _Stopped):
            from pytest_ftgate.report.terminal import section

            return section(excinfo.value.verdict, self.config.get_verbosity())
        if isinstance(excinfo.value, FtgateError):
            return guarded(f"{self.judged.variant.name}: {excinfo.value}")
        return super().repr_failure(excinfo, style)

    # Variants that are measured beside the judged ones ----------------------------------------

    def teardown(self) -> None:
        """After a suite's last gate, measure the variants that have none."""
        ungated = not all(variant.gated for variant in self.judged.suite.variants.values())
        if ungated and self._is_last_of_whole_suite() and not self.config.getoption("setupplan"):
            from pytest_ftgate.record.verdicts import verdict_to_json

            for verdict in measured(self._session, self.judged.suite, self.config):
                self.user_properties.append(("ftgate_measured", verdict_to_json(verdict)))

    def _is_last_of_whole_suite(self) -> bool:
        name = self.judged.suite.name
        mine = [i for i in self.session.items if _is_gate(i) and i.judged.suite.name == name]
        suite = self.judged.suite
        whole = sum(len(suite.gates_of(variant)) for variant in suite.variants.values())
        return (
            len(mine) == whole
            and mine[-1] is self
            # After an interruption pytest tears down once the engine has ended.
            and not (self.session.shouldstop or self.session.shouldfail or self._session.closed)
        )


def _is_gate(item: pytest.Item) -> TypeGuard[GateItem]:
    return isinstance(item, GateItem)


# What the plugin's hooks delegate to ---------------------------------------------------------


def arrange(config: pytest.Config, settings: Settings, items: list[pytest.Item]) -> None:
    """Put gates after ordinary tests, and deselect the variants that were not named."""
    gates = [item for item in items if _is_gate(item)]
    wanted = [
        g for g in gates if not settings.variants or g.judged.variant.name in settings.variants
    ]
    dropped = [gate for gate in gates if gate not in wanted]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if not _is_gate(item)] + list[pytest.Item](wanted)
    known = {v.name for gate in gates for v in gate.judged.suite.variants.values()}
    for name in settings.variants if gates else ():
        if name not in {gate.judged.variant.name for gate in gates}:
            stranger = f"is in no suite{did_you_mean(name, known)}"
            reason = "is not gated" if name in known else stranger
            raise pytest.UsageError(f'--ftgate-variant: "{name}" {reason}')


def show_plan(session: pytest.Session) -> None:
    """Print what would be asked and what it could show."""
    from pytest_ftgate.report.planned import leak_lines, planned, power_lines
    from pytest_ftgate.run.outlook import estimates, leaks, lints, powers

    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    gates = [item.judged for item in session.items if _is_gate(item)]
    own = session.config.stash[session_key]
    reporter.section("ftgate plan")
    asked = planned(*estimates(own, gates))
    told = (*asked, *leak_lines(leaks(gates)), *lints(own, gates))
    for line in (*told, "", *power_lines(powers(own, gates)), *dict.fromkeys(own.told)):
        reporter.write_line(line)
