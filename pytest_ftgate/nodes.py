"""pytest's tree: a suite file is a collector, each gate of each variant is a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from pytest_ftgate.errors import FtgateError, SuiteFaults, did_you_mean
from pytest_ftgate.gate.feasible import refuse_impossible
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.progress import ticking
from pytest_ftgate.recorder import Recorder
from pytest_ftgate.session import Judged, Session
from pytest_ftgate.settings import Settings, settings_key
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.model import ForgettingGate, RateGate, Suite

__all__ = [
    "GateItem",
    "SuiteFile",
    "arrange",
    "finish",
    "session_key",
    "show_plan",
    "status",
]

session_key = pytest.StashKey[Session]()


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
            suite = load(self.path, self.config.rootpath)
            refuse_impossible(suite)
        except SuiteFaults as error:
            raise self.CollectError(str(error)) from error
        for variant in suite.variants.values():
            for gate in suite.gates_of(variant):
                name = f"{gate.kind}[{variant.name}]"
                yield GateItem.from_parent(self, name=name, judged=Judged(suite, gate, variant))


class GateItem(pytest.Item):
    """One gate of one variant."""

    def __init__(self, *, judged: Judged, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.judged = judged
        self._notes: tuple[str, ...] = ()

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
            self._ask()
        except FtgateError as error:
            pytest.fail(f"{self.judged.variant.name}: {error}", pytrace=False)

    def _ask(self) -> None:
        judged, session = self.judged, self._session
        session.begin(self._selected())
        asks = session.needs(judged)
        with ticking(self.config) as tick:
            found = session.answers(asks, tick)
        self._prove(found)

    def _selected(self) -> list[Judged]:
        """Return the gates whose calls form one plan with this one's.

        A pytest-xdist worker does not know which gates it will be given, so it plans its own.
        """
        if hasattr(self.config, "workerinput"):
            return [self.judged]
        return [item.judged for item in self.session.items if isinstance(item, GateItem)]

    def _prove(self, found: Any) -> None:
        from pytest_ftgate.gate.identity import prove, served_model

        suite, variant = self.judged.suite, self.judged.variant
        proofs = []
        if variant.provider == "anthropic":
            asks = self._session.needs(self.judged)
            mine = [ask for ask in asks if ask.call.model == variant.model]
            proofs.append(served_model(variant.model, mine, found))
        if variant.tuned:
            proofs.append(prove(self._session.identity_asks(suite, variant), found))
        for proof in proofs:
            if proof.outcome is Outcome.INVALID:
                self._keep(self._invalid(proof.sentence))
                pytest.fail(
                    f"{variant.name} is not what it claims: {proof.sentence}", pytrace=False
                )
        self._notes = tuple(p.sentence for p in proofs if p.outcome is Outcome.INCONCLUSIVE)

    def _invalid(self, sentence: str) -> Verdict:
        suite, gate, variant = self.judged.suite, self.judged.gate, self.judged.variant
        return Verdict(
            suite=suite.name,
            line=gate.line,
            gate=gate.kind,
            variant=variant.name,
            outcome=Outcome.INVALID,
            headline=sentence,
        )

    # Judging --------------------------------------------------------------------------------

    def runtest(self) -> None:
        """Judge, and stop the item where the verdict blocks."""
        verdict = _judge(self._session, self.judged)
        verdict = replace(verdict, notes=(*verdict.notes, *self._notes))
        self._keep(verdict)
        if self.config.stash[settings_key].accept and isinstance(self.judged.gate, RateGate):
            self._keep_cells()
        lenient = self.config.stash[settings_key].inconclusive == "warn"
        open_ = verdict.outcome is Outcome.INCONCLUSIVE
        if verdict.outcome is not Outcome.PASSED and not (open_ and lenient):
            raise _Stopped(verdict)

    def _keep(self, verdict: Verdict) -> None:
        from pytest_ftgate.record import verdict_to_json

        self.user_properties.append(("ftgate", verdict_to_json(verdict)))

    def _keep_cells(self) -> None:
        import json

        from pytest_ftgate.record import kept

        column = self._session.task_column(self.judged.suite, self.judged.variant)
        self.user_properties.append(("ftgate_cells", json.dumps(kept(column))))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a verdict as its own section; everything else as pytest does."""
        if isinstance(excinfo.value, _Stopped):
            from pytest_ftgate.report.terminal import section

            return section(excinfo.value.verdict, self.config.get_verbosity())
        if isinstance(excinfo.value, FtgateError):
            return f"{self.judged.variant.name}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    # Variants that are measured beside the judged ones ----------------------------------------

    def teardown(self) -> None:
        """After a suite's last gate, measure the variants that have none."""
        if self._is_last_of_whole_suite() and not self.config.getoption("setupplan"):
            from pytest_ftgate.record import verdict_to_json

            for verdict in _measured(self._session, self.judged.suite, self.config):
                self.user_properties.append(("ftgate_measured", verdict_to_json(verdict)))

    def _is_last_of_whole_suite(self) -> bool:
        name = self.judged.suite.name
        mine = [i for i in self.session.items if _is_gate(i) and i.judged.suite.name == name]
        suite = self.judged.suite
        whole = sum(len(suite.gates_of(variant)) for variant in suite.variants.values())
        return len(mine) == whole and mine[-1] is self and not self.session.shouldstop


def _is_gate(item: pytest.Item) -> TypeGuard[GateItem]:
    return isinstance(item, GateItem)


def _judge(session: Session, judged: Judged) -> Verdict:
    # Here and not at the top: the gates import SciPy, which must wait until a gate runs.
    from pytest_ftgate.gate.forgetting import judge_forgetting
    from pytest_ftgate.gate.rates import judge_rate
    from pytest_ftgate.plan import base_of
    from pytest_ftgate.record import accepted_of, read_record

    suite, gate, variant = judged.suite, judged.gate, judged.variant
    if isinstance(gate, ForgettingGate):
        base = session.skills_column(suite, base_of(variant), gate)
        return judge_forgetting(suite, gate, session.skills_column(suite, variant, gate), base)
    column = session.task_column(suite, variant)
    other = suite.variants[suite.baseline] if gate.max_drop is not None else variant
    record = read_record(suite.accepted_path, suite.name)
    accepted = accepted_of(record, suite, variant.name, gate.kind)
    return judge_rate(suite, gate, column, session.task_column(suite, other), accepted)


def _measured(session: Session, suite: Suite, config: pytest.Config) -> Iterator[Verdict]:
    from pytest_ftgate.gate.rates import measure

    for variant in suite.variants.values():
        if variant.gated:
            continue
        try:
            with ticking(config) as tick:
                session.answers(session.task_asks(suite, variant), tick)
        except FtgateError:
            continue
        column = session.task_column(suite, variant)
        for gate in suite.gates.values():
            if isinstance(gate, RateGate):
                yield measure(suite, gate, column)


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
            reason = (
                "is not gated" if name in known else f"is in no suite{did_you_mean(name, known)}"
            )
            raise pytest.UsageError(f'--ftgate-variant: "{name}" {reason}')


def status(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Return the status of an item that could not tell, or None for every other."""
    for key, value in report.user_properties:
        if key == "ftgate" and '"outcome":"inconclusive"' in str(value)[:_HEAD]:
            return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
    return None


#: The outcome stands near the front of a verdict's JSON, before anything a model has said.
_HEAD = 400


def finish(session: pytest.Session, recorder: Recorder | None) -> None:
    """Stop the engine; tell the reporting process what was asked; write the records."""
    own = session.config.stash[session_key]
    own.close()
    progress = own.progress
    told = (progress.planned, progress.asked, progress.seconds)
    if recorder is None:
        session.config.workeroutput["ftgate_asking"] = list(told)  # type: ignore[attr-defined]
        return
    recorder.note_asking(told)
    recorder.write()
    looked = session.config.getoption("collectonly") or session.config.stash[settings_key].plan
    if not recorder.judged and not looked and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def show_plan(session: pytest.Session) -> None:
    """Print what would be asked and what it could show."""
    from pytest_ftgate.gate.certain import certain
    from pytest_ftgate.report.planned import planned

    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    gates = [item.judged for item in session.items if _is_gate(item)]
    estimates, problems = session.config.stash[session_key].estimates(gates)
    told = [(e, [certain(j.suite, j.gate) for j in own]) for e, own in estimates]
    reporter.section("ftgate plan")
    for line in planned(told, problems):
        reporter.write_line(line)
