"""Collector and items: a suite file is a collector, a gate of a variant is a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.errors import EngineError, FtgateError, SuiteError
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.patching import patching_key
from pytest_ftgate.plugin.progress import live_progress, run_log_key
from pytest_ftgate.plugin.state import (
    errors_key,
    only_shows_setup,
    session_key,
    set_up,
    settings_key,
    shown_key,
    suite_name_like,
    uses_fixture,
    verbosity_of,
)
from pytest_ftgate.plugin.suites import load_suite_once
from pytest_ftgate.plugin.verdicts import report_error
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.tables import error_text
from pytest_ftgate.reporting.text import line_width, terminal_width
from pytest_ftgate.results.run import NotEvaluated, as_typed, node_id, to_json
from pytest_ftgate.runner.evaluate_gate import GateResult, evaluate_gate, measure_ungated
from pytest_ftgate.runner.planner import GateRun, gate_runs_of
from pytest_ftgate.runner.progress_log import RunLog
from pytest_ftgate.runner.suite import check_feasibility
from pytest_ftgate.suite.gate_kinds import is_rate

if TYPE_CHECKING:
    from pytest_ftgate.plugin.cases import CaseItem

_state_key = pytest.StashKey["GateItemState"]()
#: The options of pytest-rerunfailures and pytest-retry, which run a failed test again unless the
#: condition of its mark `flaky` is false. A plugin has other names where -p names its module.
_RERUN_OPTIONS = ("reruns", "retries")
#: An option of the plugin `flaky`, whose mark takes other arguments; see `run_once`.
_FLAKY_OPTION = "force_flaky"
#: Of a run: the errors shown so far, each with the item that shows it.
_shown_errors_key = pytest.StashKey[dict[str, str]]()


# An AssertionError, so that others see a failed test in it, not a broken one: xfail(raises=...),
# Allure, the test explorers of editors.
class BlockingVerdict(AssertionError):
    """Ends an item whose verdict fails the build; carries the failure section."""

    def __init__(self, verdict: Verdict, section: str) -> None:
        self.section = section
        super().__init__(headline(verdict))


class GateItemState:
    """The state of one gate's item: of a suite file, or of a marked function.

    *waits_for* are the fixtures that must stand before its requests are sent; None if these depend
    on fixtures of its own.
    """

    def __init__(
        self,
        item: pytest.Item,
        gate_run: GateRun,
        *,
        waits_for: frozenset[str] | None = frozenset(),
    ) -> None:
        self.item, self.gate_run, self.waits_for = item, gate_run, waits_for
        self.session = item.config.stash[session_key]
        self.settings = item.config.stash[settings_key]
        #: The error that was shown last, until a report carries it.
        self.error: NotEvaluated | None = None
        item.stash[_state_key] = self
        options = vars(item.config.option)
        # A rerun would find the same replies, and so the same verdict.
        if any(name in options for name in _RERUN_OPTIONS) and _FLAKY_OPTION not in options:
            item.add_marker(pytest.mark.flaky(reruns=0, condition=False), append=False)

    def gates_to_submit(self) -> list[GateRun]:
        """Return the gates to submit with this one: all that can be planned by now, or none."""
        if self.session.is_submitted(self.gate_run):
            return []
        # A pytest-xdist worker learns one by one which gates it runs, so it plans one by one.
        if self.waits_for is None or hasattr(self.item.config, "workerinput"):
            return [self.gate_run]
        states = map(state_of, self.item.session.items)
        return [one.gate_run for one in states if one and (one is self or self._may_send(one))]

    def _may_send(self, other: GateItemState) -> bool:
        """Return True if the requests of *other* may be sent together with those of this gate."""
        stands, waits_for, suite = self.waits_for, other.waits_for, other.gate_run.suite
        if stands is None or waits_for is None or not waits_for <= stands:
            return False
        # What stands here may have patched a function that another test or gate calls.
        own, any_stands = suite.only_for, self.item.config.stash[patching_key].any_stands
        is_same_test = own == self.gate_run.suite.only_for and bool(own or not any_stands)
        return is_same_test or not suite.calls_code

    def set_up(self, evaluate: Callable[[], None]) -> None:
        """Call *evaluate*; fail the item if it raises an error."""
        try:
            set_up(self.item.config, evaluate, self.error_text)
        finally:
            if log := self.item.config.stash.get(run_log_key, None):
                log.decide(self.gate_run)

    def error_text(self, reason: FtgateError | EngineError) -> str:
        """Return the message that the gate was not evaluated; its report has the parts of it."""
        text, same_as = str(reason), ""
        if isinstance(reason, EngineError):
            self.item.config.stash[shown_key] = True
            text = f"{reason}\n{reason.traceback}"
        else:
            same_as = self._first_with(text)
        # A lone surrogate, of which there is no UTF-8, is shown as its escape.
        text = text.encode("utf-8", "backslashreplace").decode()
        node, variant = self.item.nodeid, self.gate_run.variant.name
        self.error = NotEvaluated(node=node, reason=text, variant=variant, same_as=same_as)
        return error_text(self.error, once=True)

    def show_once(self, report: pytest.TestReport) -> None:
        """Let *report* refer to another item that has shown the same exception of the project."""
        crash = getattr(report.longrepr, "reprcrash", None)
        if self.error or crash is None:
            return
        if same_as := self._first_with(f"{crash.message} {crash.path}:{crash.lineno}"):
            reason = report_error(report, self.settings.root)
            self.error = NotEvaluated(node=self.item.nodeid, reason=reason, same_as=same_as)
            report.longrepr = error_text(self.error, once=True)

    def store(self, verdict: Verdict) -> None:
        """Store *verdict* for the reports.

        It is stored in setup: an exception here is an error of the item, and no failed gate.
        """
        set_property(self.item, "ftgate", to_json(verdict))

    def _first_with(self, error: str) -> str:
        """Return the other item that has shown *error*, or "": one error may hit all gates."""
        shown = self.item.config.stash.setdefault(_shown_errors_key, {})
        first = shown.setdefault(error, self.item.nodeid)
        return "" if first == self.item.nodeid else first

    def blocks(self, verdict: Verdict) -> bool:
        """Return True if *verdict* fails the build; no option lets an invalid variant pass."""
        if verdict.outcome is Outcome.INVALID:
            return True
        lenient = self.settings.inconclusive == "warn" and not verdict.always_blocks
        is_inconclusive = verdict.outcome is Outcome.INCONCLUSIVE
        passes = self.settings.report_only or not verdict.gated or (is_inconclusive and lenient)
        return verdict.outcome is not Outcome.PASSED and not passes

    def section(
        self, verdict: Verdict, explanations: Mapping[str, Sequence[str]] | None = None
    ) -> str:
        """Return the failure section of *verdict*, with the *explanations* of cases by their id."""
        from pytest_ftgate.reporting.verdict import verdict_section

        settings, verbosity = self.settings, verbosity_of(self.item.config)
        verdict = as_typed(verdict, settings.typed)
        fixed = (node_id(verdict), verdict.variant, settings.options)
        command = None
        if verdict.flips and verbosity >= 0 and is_rate(self.gate_run.gate):
            from pytest_ftgate.plugin.cases import case_command

            command = partial(case_command, *fixed)
        with terminal_width(_terminal_columns(self.item.config)):
            return verdict_section(verdict, verbosity, settings.show, explanations, command)


def _terminal_columns(config: pytest.Config) -> int:
    """Return the columns of the terminal; a pytest-xdist worker gets them from the controller."""
    columns: int | None = getattr(config, "workerinput", {}).get("ftgate_columns")
    if columns or not config.pluginmanager.has_plugin("terminalreporter"):
        return columns or line_width()
    return config.get_terminal_writer().fullwidth


def skip_ungated(verdict: Verdict) -> None:
    """Skip the test of a verdict that nothing can fail: it would pass in every report."""
    if not verdict.gated:
        pytest.skip(headline(verdict))


def set_property(item: pytest.Item, name: str, value: str) -> None:
    """Set a property of the item's report; a value of an earlier run is replaced."""
    properties = item.user_properties
    properties[:] = [*(pair for pair in properties if pair[0] != name), (name, value)]


def state_of(item: Any) -> GateItemState | None:
    """Return the state of a gate's item; None for any other item."""
    state: GateItemState | None = item.stash.get(_state_key, None)
    return state


def carry_error(item: pytest.Item, report: pytest.TestReport) -> None:
    """Let *report* carry the error that its gate has just shown, or that another has shown."""
    state = state_of(item)
    if state and report.failed and report.when == "setup":
        state.show_once(report)
    if state and state.error:
        report.user_properties.append(("ftgate_error", asdict(state.error)))
        state.error = None


def run_once(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Run a gate as pytest itself does, past the plugin `flaky`; return None for other items."""
    if state_of(item) is None or _FLAKY_OPTION not in vars(item.config.option):
        return None
    runner: Any = item.config.pluginmanager.get_plugin("runner")
    return runner.pytest_runtest_protocol(item, nextitem)


def gates_in(items: Iterable[pytest.Item]) -> dict[pytest.Item, GateRun]:
    """Return the gates among *items*, each by its item."""
    return {item: state.gate_run for item in items if (state := state_of(item))}


def end_broken_run(item: pytest.Item) -> None:
    """End the run if an unexpected exception has ended the engine: no gate can be evaluated."""
    failure = item.config.stash[session_key].replies.failure
    if failure is not None:
        item.session.shouldstop = str(failure)


def _may_ask(item: pytest.Item) -> bool:
    return state_of(item) is not None or uses_fixture(item)


def begin_run(session: pytest.Session) -> None:
    """Start the engine, and prepare what a run of the gates shows while it waits for replies.

    Within a test pytest-socket forbids what an event loop needs.
    """
    config = session.config
    asks = config.stash[settings_key].cases or any(map(_may_ask, session.items))
    if asks and not (session.testsfailed or config.option.collectonly or only_shows_setup(config)):
        replies = config.stash[session_key].replies
        # The first test that asks shows the error of a cache that cannot be opened.
        with suppress(FtgateError, EngineError), replies.internal_errors():
            _ = replies.engine
    gate_runs = [run for run in gates_in(session.items).values() if run.sends_requests]
    if gate_runs:
        config.stash[run_log_key] = RunLog(config.stash[session_key], gate_runs)


class SuiteFile(pytest.File):
    """One ``*.ftgate.yaml`` file."""

    def collect(self) -> Iterator[GateItem | CaseItem]:
        """Yield the gates of each gated variant, or their single cases."""
        try:
            with self.config.stash[session_key].replies.internal_errors():
                suite = load_suite_once(self.session, self.path)
                check_feasibility(suite)
        except (SuiteError, EngineError) as error:
            if isinstance(error, SuiteError):
                self.stash[errors_key] = [*error.errors]
            raise self.CollectError(str(error)) from error
        gate_runs = gate_runs_of(suite)
        if self.config.stash[settings_key].cases:
            from pytest_ftgate.plugin.cases import case_items

            yield from case_items(self, gate_runs)
            return
        for gate_run in gate_runs:
            name = f"{gate_run.gate.kind}[{gate_run.variant.name}]"
            # The whole id is given, so that pytest reads the variant as a parameter.
            node = f"{self.nodeid}::{name}"
            yield GateItem.from_parent(self, name=name, nodeid=node, gate_run=gate_run)


class MisnamedFile(SuiteFile):
    """A file that is named almost like a suite; its accepted record would have a wrong name."""

    def collect(self) -> Iterator[GateItem | CaseItem]:
        """Raise an error that names the file as it should be."""
        name = suite_name_like(self.path)
        raise self.CollectError(f"the name of a suite ends in .ftgate.yaml: rename it to {name}")


class GateItem(pytest.Item):
    """One gate of one variant."""

    def __init__(self, *, gate_run: GateRun, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gate_run = gate_run
        self.state = GateItemState(self, gate_run)
        #: The result of the gate; None until it is evaluated.
        self.result: GateResult | None = None
        self.add_marker("ftgate")
        # An error before any verdict counts as an error of a gate.
        set_property(self, "ftgate_gate", self.nodeid)

    def _initrequest(self) -> None:
        """Do nothing: plugins that run a test again call it to set up its fixtures anew."""

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the gate's line in the suite file, and the title of its failure section."""
        line = self.gate_run.gate.line
        return self.path, line - 1, f"{self.gate_run.suite.name}:{line} {self.name}"

    # Evaluation: an error here is an error of this gate alone ---------------------------------

    def setup(self) -> None:
        """Send the gate's requests, check the variant's identity, and store the verdict."""
        self.state.set_up(self._evaluate)

    def _evaluate(self) -> None:
        session, gates = self.state.session, self.state.gates_to_submit()
        with session.replies.internal_errors():
            with live_progress(self.config):
                self.result = evaluate_gate(session, self.gate_run, submit_with=gates)
            verdict = self.result.verdict
            if self.state.settings.accept and verdict.outcome is not Outcome.INVALID:
                scores, wanted = None, (self.gate_run.suite, self.gate_run.variant)
                if is_rate(self.gate_run.gate):
                    scores = session.scores.task_scores(*wanted, self.result.look)
                from pytest_ftgate.plugin.accepted import store_accepted

                store_accepted(self, self.gate_run, scores)
            self.state.store(verdict)

    # Verdict --------------------------------------------------------------------------------

    def runtest(self) -> None:
        """Raise BlockingVerdict if the verdict fails the build."""
        if self.result is None:
            raise RuntimeError("the gate is evaluated in its setup, which did not run")
        verdict = self.result.verdict
        skip_ungated(verdict)
        if self.state.blocks(verdict):
            raise BlockingVerdict(verdict, self.state.section(verdict))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the section of a verdict; for any other failure, what pytest shows."""
        if isinstance(excinfo.value, BlockingVerdict):
            return excinfo.value.section
        if isinstance(excinfo.value, FtgateError | EngineError):
            return self.state.error_text(excinfo.value)
        return super().repr_failure(excinfo, style)

    # Ungated variants and advice --------------------------------------------------------------

    def teardown(self) -> None:
        """After the last gate of a suite, measure its ungated variants and make its advice."""
        session, suite = self.state.session, self.gate_run.suite
        items = (item for item in self.session.items if isinstance(item, GateItem))
        gates = [item for item in items if item.gate_run.suite.name == suite.name]
        is_last_of_whole_suite = len(gates) == len(gate_runs_of(suite)) and gates[-1] is self
        # After an interruption pytest tears items down when the engine is already closed.
        has_ended = self.session.shouldstop or self.session.shouldfail or session.closed
        if not is_last_of_whole_suite or has_ended or only_shows_setup(self.config):
            return
        stale = ("ftgate_measured", "ftgate_advice")
        properties = self.user_properties
        properties[:] = [pair for pair in properties if pair[0] not in stale]
        with session.replies.internal_errors(), live_progress(self.config):
            # Of the gates that ran in this process.
            ran = [(gate.gate_run, gate.result) for gate in gates if gate.result is not None]
            results = {(run.variant.name, run.gate.kind): result for run, result in ran}
            measured = list(measure_ungated(session, suite, results))
            properties += [("ftgate_measured", to_json(verdict)) for verdict in measured]
            if self.state.settings.ladder or suite.asks_for_advice:
                from pytest_ftgate.runner.recommend import suite_advice

                advice = suite_advice(session, suite, results, measured)
                properties += [("ftgate_advice", to_json(advice))] if advice else []
