"""Collector and items: a suite file is a collector, a gate of a variant is a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from pytest_ftgate.client.results import Result
from pytest_ftgate.errors import FtgateError, SuiteError
from pytest_ftgate.gates.feasibility import check_feasibility
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.progress import live_progress
from pytest_ftgate.plugin.state import session_key, settings_key
from pytest_ftgate.plugin.suites import load_suite_once
from pytest_ftgate.reporting.text import quote_following_lines
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.runner.evaluate import comparison_of, evaluate, is_decided, measure_ungated
from pytest_ftgate.runner.recommend import GateResult, has_ladder, suite_advice
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.workloads import GateRun
from pytest_ftgate.scoring.scores import validate_rules
from pytest_ftgate.suite.model import DataGate, ForgettingGate, RateGate

__all__ = [
    "BlockingVerdict",
    "GateItem",
    "GateItemState",
    "SuiteFile",
    "gate_run_of",
    "gate_runs_in",
    "state_of",
]

_state_key = pytest.StashKey["GateItemState"]()


class BlockingVerdict(Exception):
    """Ends an item whose verdict fails the build; carries the verdict to the failure section."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.headline)


class GateItemState:
    """The state of one gate's item: of a suite file, or of a marked function.

    Args:
        item: the test item of the gate.
        gate_run: the gate.
        late: True if its requests are known only after the test's own fixtures are set up.
    """

    def __init__(self, item: pytest.Item, gate_run: GateRun, *, late: bool = False) -> None:
        self.item, self.gate_run, self.late = item, gate_run, late
        #: The last look whose replies are here.
        self.look = Look()
        #: The verdict, once there is one.
        self.verdict: Verdict | None = None
        self._notes: tuple[str, ...] = ()
        self._facts: dict[str, str] = {}
        item.stash[_state_key] = self
        if item.config.pluginmanager.has_plugin("rerunfailures"):
            # A rerun would find the same replies, and so the same verdict.
            item.add_marker(pytest.mark.flaky(reruns=0), append=False)

    @property
    def session(self) -> Session:
        """The session of this run."""
        return self.item.config.stash[session_key]

    @property
    def only_shows_setup(self) -> bool:
        """Whether pytest only shows how tests are set up (``--setup-only``)."""
        return bool(self.item.config.getoption("setuponly"))

    @property
    def accepts(self) -> bool:
        """Whether this run writes accepted records."""
        return self.item.config.stash[settings_key].accept

    def submit(self) -> None:
        """Submit the requests of this gate, and of all gates that can be planned by now."""
        if self.session.is_submitted(self.gate_run):
            return
        # A pytest-xdist worker learns one by one which gates it runs, so it plans one by one.
        alone = self.late or hasattr(self.item.config, "workerinput")
        self.session.submit([self.gate_run] if alone else _planned_gate_runs(self.item.session))

    def ask_look(self, look: Look) -> str:
        """Wait for the replies of *look*; return why the variant is invalid, or "".

        Raises:
            FtgateError: the requests cannot be sent, or too few replies came.
        """
        results = self.results_of(self.session.workloads.gate_requests(self.gate_run, look))
        self.look = look
        return self.check_identity(results) if look.number == 1 else ""

    def results_of(self, groups: list[tuple[CaseRequest, ...]]) -> Mapping[str, Result]:
        """Return the results of *groups* of requests; show progress while waiting."""
        with live_progress(self.item.config) as on_progress:
            return self.session.checked_results(groups, on_progress, self.gate_run.suite.name)

    def check_identity(
        self, results: Mapping[str, Result], unplanned: tuple[CaseRequest, ...] = ()
    ) -> str:
        """Return why the variant is not what it claims to be, or "".

        Args:
            results: the results of its requests, by fingerprint.
            unplanned: the requests that were not in the plan.
        """
        from pytest_ftgate.runner.identity import identities, invalid_verdict, variant_facts

        checks = identities(self.session, self.gate_run, results, unplanned)
        self._facts = variant_facts(self.session, self.gate_run, results, unplanned)
        self._notes = tuple(c.message for c in checks if c.outcome is Outcome.INCONCLUSIVE)
        for check in checks:
            if check.outcome is Outcome.INVALID:
                node = self.item.nodeid if self.gate_run.function_suite else ""
                verdict = invalid_verdict(self.gate_run, check.message, self._facts, node)
                self._store_verdict(verdict)
                return f"not what it claims: {check.message}"
        return ""

    def fail_setup(self, reason: str) -> None:
        """Fail the item's setup: the gate was not evaluated."""
        message = quote_following_lines(f"{self.gate_run.variant.name}: {reason}")
        pytest.fail(message, pytrace=False)

    def conclude(self, verdict: Verdict) -> None:
        """Store the verdict; raise BlockingVerdict if it fails the build."""
        verdict = replace(verdict, notes=(*verdict.notes, *self._notes), facts=self._facts)
        self._store_verdict(verdict)
        lenient = self.item.config.stash[settings_key].inconclusive == "warn"
        is_inconclusive = verdict.outcome is Outcome.INCONCLUSIVE
        if verdict.outcome is not Outcome.PASSED and not (is_inconclusive and lenient):
            raise BlockingVerdict(verdict)

    def _store_verdict(self, verdict: Verdict) -> None:
        from pytest_ftgate.results.verdicts import verdict_to_json

        self.verdict = verdict
        self.set_property("ftgate", verdict_to_json(verdict))

    def set_property(self, name: str, value: str) -> None:
        """Set a property of the item's report; a value of an earlier run is replaced."""
        properties = self.item.user_properties
        properties[:] = [*(pair for pair in properties if pair[0] != name), (name, value)]


def state_of(item: Any) -> GateItemState | None:
    """Return the state of a gate's item; None for any other item."""
    state: GateItemState | None = item.stash.get(_state_key, None)
    return state


def gate_run_of(item: pytest.Item) -> GateRun | None:
    """Return the gate of *item*; None for any other item."""
    state = state_of(item)
    return state.gate_run if state else None


def gate_runs_in(items: list[pytest.Item]) -> list[GateRun]:
    """Return the gates among *items*."""
    return [gate_run for item in items if (gate_run := gate_run_of(item))]


def _planned_gate_runs(session: pytest.Session) -> Iterator[GateRun]:
    states = (state_of(item) for item in session.items)
    return (state.gate_run for state in states if state and not state.late)


class SuiteFile(pytest.File):
    """One ``*.ftgate.yaml`` file."""

    def collect(self) -> Iterator[GateItem]:
        """Yield the gates of each gated variant."""
        try:
            suite = load_suite_once(self.session, self.path)
            check_feasibility(suite)
        except SuiteError as error:
            raise self.CollectError(str(error)) from error
        for variant in suite.variants.values():
            for gate in suite.gates_for(variant):
                name = f"{gate.kind}[{variant.name}]"
                gate_run = GateRun(suite, gate, variant)
                # The whole id is given, so that pytest reads the variant as a parameter.
                node = f"{self.nodeid}::{name}"
                yield GateItem.from_parent(self, name=name, nodeid=node, gate_run=gate_run)


class GateItem(pytest.Item):
    """One gate of one variant."""

    def __init__(self, *, gate_run: GateRun, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gate_run = gate_run
        self.state = GateItemState(self, gate_run)
        self.add_marker("ftgate")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the gate's line in the suite file, and the title of its failure section."""
        line = self.gate_run.gate.line
        return self.path, line - 1, f"{self.gate_run.suite.name}:{line} {self.name}"

    # Requests and identity: an error here is an error of this gate alone ---------------------

    def setup(self) -> None:
        """Send the gate's requests, and check that the variant is what it claims to be."""
        if self.state.only_shows_setup:
            return
        try:
            reason = self._prepare()
        except FtgateError as error:
            reason = str(error)
        if reason:
            self.state.fail_setup(reason)

    def _prepare(self) -> str:
        """Send requests, check identity, score; return why the variant is invalid, or ""."""
        gate_run, session = self.gate_run, self.state.session
        if isinstance(gate_run.gate, DataGate):
            return ""
        # A scorer that cannot be used should be found before anything is paid for.
        validate_rules(gate_run.suite.cases, self.path.parent)
        if isinstance(gate_run.gate, ForgettingGate):
            validate_rules(gate_run.gate.cases, self.path.parent)
        if gate_run.suite.judges and gate_run.gate.kind == "accuracy":
            self._with_progress(partial(session.judges.validations, gate_run.suite))
        self.state.submit()
        session.accepted_record(gate_run.suite)
        for look in session.workloads.looks(gate_run):
            reason = self.state.ask_look(look)
            if reason:
                return reason
            # Judges grade the replies here.
            self._with_progress(partial(comparison_of, session, gate_run, look))
            # An accepted record needs all cases, not only the first block.
            needs_all = self.state.accepts and look.cases is not None
            if (
                look.number < look.of
                and not needs_all
                and is_decided(evaluate(session, gate_run, look))
            ):
                break
        return ""

    def _with_progress(self, ask_judges: Callable[[], object]) -> None:
        """Call *ask_judges*, and show progress while it waits."""
        session = self.state.session
        try:
            with live_progress(self.config) as session.on_progress:
                ask_judges()
        finally:
            session.on_progress = None

    # Verdict --------------------------------------------------------------------------------

    def runtest(self) -> None:
        """Evaluate the gate; raise BlockingVerdict if the verdict fails the build."""
        verdict = evaluate(self.state.session, self.gate_run, self.state.look)
        if self.state.accepts and isinstance(self.gate_run.gate, RateGate):
            self._store_accepted_cases()
        self.state.conclude(verdict)

    def _store_accepted_cases(self) -> None:
        from pytest_ftgate.results.accepted import accepted_cases

        suite = self.gate_run.suite
        scores = self.state.session.scores.task_scores(
            suite, self.gate_run.variant, self.state.look
        )
        self.state.set_property("ftgate_serves", suite.serves or suite.baseline)
        cases = accepted_cases(scores, self.path.parent)
        self.state.set_property("ftgate_cells", json.dumps(cases))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the section of a verdict; for any other failure, what pytest shows."""
        if isinstance(excinfo.value, BlockingVerdict):
            from pytest_ftgate.reporting.verdict import verdict_section

            most_cases = self.config.stash[settings_key].show
            return verdict_section(excinfo.value.verdict, self.config.get_verbosity(), most_cases)
        if isinstance(excinfo.value, FtgateError):
            return quote_following_lines(f"{self.gate_run.variant.name}: {excinfo.value}")
        return super().repr_failure(excinfo, style)

    # Ungated variants and advice --------------------------------------------------------------

    def teardown(self) -> None:
        """After the last gate of a suite, measure its ungated variants and make its advice."""
        if not self._is_last_of_whole_suite() or self.state.only_shows_setup:
            return
        from pytest_ftgate.results.run import advice_to_json
        from pytest_ftgate.results.verdicts import verdict_to_json

        session, suite = self.state.session, self.gate_run.suite
        stale = ("ftgate_measured", "ftgate_advice")
        properties = self.user_properties
        properties[:] = [pair for pair in properties if pair[0] not in stale]
        with live_progress(self.config) as on_progress:
            measured = list(measure_ungated(session, suite, on_progress))
            properties += [("ftgate_measured", verdict_to_json(verdict)) for verdict in measured]
            if self.config.stash[settings_key].ladder or has_ladder(suite):
                results = self._gate_results()
                advice = suite_advice(session, suite, results, measured, on_progress)
                properties += [("ftgate_advice", advice_to_json(advice))] if advice else []

    def _gate_results(self) -> dict[tuple[str, str], GateResult]:
        """Return the results of the suite's gates that ran in this process."""
        states = (item.state for item in self.session.items if _is_gate(item))
        return {
            (state.gate_run.variant.name, state.gate_run.gate.kind): GateResult(
                state.verdict, state.look
            )
            for state in states
            if state.gate_run.suite.name == self.gate_run.suite.name and state.verdict is not None
        }

    def _is_last_of_whole_suite(self) -> bool:
        suite = self.gate_run.suite
        gates = [item for item in self.session.items if _is_gate(item)]
        gates = [item for item in gates if item.gate_run.suite.name == suite.name]
        total = sum(len(suite.gates_for(variant)) for variant in suite.variants.values())
        return (
            len(gates) == total
            and gates[-1] is self
            # After an interruption pytest tears items down when the engine is already closed.
            and not (
                self.session.shouldstop or self.session.shouldfail or self.state.session.closed
            )
        )


def _is_gate(item: pytest.Item) -> TypeGuard[GateItem]:
    return isinstance(item, GateItem)
