"""Collects test reports, ends the run, and writes its reports."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.internal_error import BROKEN, noted, reason_of, take_from_worker
from pytest_ftgate.plugin.item import gates_in
from pytest_ftgate.plugin.progress import (
    outlast_reader,
    show_sentence,
    write_verdict,
    writer_encoding,
)
from pytest_ftgate.plugin.selection import gate_nodes, usage_error_key
from pytest_ftgate.plugin.state import (
    accepted_of,
    broken_key,
    evaluates_nothing,
    left_out_key,
    session_key,
    settings_key,
    takes_whole_project,
    verbosity_of,
)
from pytest_ftgate.plugin.suites import named_suites, unselected_suites
from pytest_ftgate.plugin.verdicts import (
    PASSED_XFAIL,
    CrashLocation,
    FailureSection,
    GateVerdicts,
    carried,
    passed_xfail,
    verdict_of,
)
from pytest_ftgate.recommend.advice import Advice
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.text import break_command, encodable, escape_controls, terminal_width
from pytest_ftgate.results.builder import RunPart, build_report, run_facts
from pytest_ftgate.results.run import (
    FailedTest,
    NotEvaluated,
    Report,
    SuiteRun,
    as_typed,
    node_id,
    node_name,
    store_verdicts,
)
from pytest_ftgate.runner.evaluate_gate import interrupted_notes
from pytest_ftgate.runner.planner import GateRun
from pytest_ftgate.runner.plugins import report_to_plugins
from pytest_ftgate.runner.provenance import file_changes
from pytest_ftgate.runner.record import (
    collect_suite_runs,
    read_accepted,
    receive_part,
    run_part,
    send_part,
    write_accepted,
)
from pytest_ftgate.runner.session import Session

if TYPE_CHECKING:
    from pytest_ftgate.plugin.accepted import AcceptedGates

#: The option of pytest-github-actions-annotate-failures, which annotates the line of each failure.
_ANNOTATOR_OPTION = "exclude_warning_annotations"


_Row = TypeVar("_Row", NotEvaluated, FailedTest)
#: The statuses that pytest lists in its short summary, by the letter of -r.
_LISTED = {
    "f": "failed",
    "E": "error",
    "p": "passed",
    "s": "skipped",
    "x": "xfailed",
    "X": "xpassed",
}


class Reporter:
    """Collects the results of a run, prints the closing section and writes the reports.

    Under xdist it runs in the controller only.
    """

    #: The session, once it ends.
    _session: pytest.Session | None = None

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._settings = config, config.stash[settings_key]
        self._started = monotonic()
        self._verdicts = GateVerdicts(self._settings.root)
        self._measured: list[Verdict] = []
        self._advice: list[Advice] = []
        self._accepted: AcceptedGates | None = None
        if self._settings.accept:
            from pytest_ftgate.plugin.accepted import AcceptedGates

            self._accepted = AcceptedGates(config)
        #: What each process knows of the run.
        self._parts: list[RunPart] = []
        self._notes: list[str] = []
        self._report: Report | None = None
        self._written: list[str] = []
        #: The run was interrupted while requests were in flight.
        self._is_interrupted = False
        #: A test has used the fixture: it evaluates gates by itself.
        self._fixture_used = False
        if self._settings.reports and not evaluates_nothing(config):
            from pytest_ftgate.reporting.writers import remove_reports

            remove_reports(self._settings.reports.values())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Let the run go on if a reader such as ``head`` closes the pipe, and write its reports."""
        if self._config.pluginmanager.has_plugin("terminalreporter"):
            outlast_reader(self._config)

    def pytest_collection_finish(self) -> None:
        """Note that every gate of the run is known, except with processes of pytest-xdist."""
        self._verdicts.is_collected = True

    def pytest_internalerror(self) -> None:
        """Record an internal error of pytest, of another plugin or of a process of pytest-xdist."""
        self._config.stash.setdefault(broken_key, "pytest has ended with an internal error")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a suite or a module that cannot be collected."""
        self._verdicts.add_collect_report(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Record the tests that a worker of pytest-xdist has selected."""
        self._verdicts.add_tests(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist how wide the terminal is."""
        if self._config.pluginmanager.has_plugin("terminalreporter"):
            node.workerinput["ftgate_columns"] = self._config.get_terminal_writer().fullwidth

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Collect the request counts, messages and cases of a worker of pytest-xdist."""
        output, stash = getattr(node, "workeroutput", {}), self._config.stash
        take_from_worker(self._config, output)
        if "ftgate_usage_error" in output:
            stash[usage_error_key] = output["ftgate_usage_error"]
        if "ftgate_part" in output:
            accepted = read_accepted(output["ftgate_accepted"])
            self.add_process(receive_part(output["ftgate_part"]), output["ftgate_gates"], accepted)
            if (left_out := output["ftgate_left_out"]) is not None:
                stash.setdefault(left_out_key, []).extend(left_out)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Record the verdict of a gate, and what its item carries; show it if the run waits."""
        self._record(report)
        yield
        if shows_verdict(report, self._config) and (verdict := verdict_of(report)):
            from pytest_ftgate.reporting.summary import colour_parts, verdict_line

            files = {node.partition("::")[0] for node in self._verdicts.by_node}
            name = self._settings.typed(node_id(verdict)) if len(files) > 1 else node_name(verdict)
            with terminal_width(self._config.get_terminal_writer().fullwidth):
                write_verdict(self._config, colour_parts(verdict_line(verdict, name)))

    def _record(self, report: pytest.TestReport) -> None:
        # Another plugin, such as rerunfailures, will run the item again.
        if report.outcome not in ("passed", "failed", "skipped"):
            return
        if not report.user_properties:  # most are of ordinary tests
            self._verdicts.add_report(report)
            return
        properties = dict(report.user_properties)
        self._fixture_used |= "ftgate_used" in properties and report.when == "call"
        if report.when == "call" and report.failed and (verdict := verdict_of(report)):
            self._give_headline(report, verdict)
        if report.when == "teardown":
            self._measured += carried(report, "ftgate_measured", Verdict)
            self._advice += carried(report, "ftgate_advice", Advice)
        if self._accepted and report.when == "call":
            self._accepted.ended.add(report.nodeid)
        if verdict := self._verdicts.add_report(report):
            self._dispatch("verdict", verdict=verdict, nodeid=report.nodeid)
        elif _is_expected_failure(report):
            self._fixture_used = True
            self._notes.append(f"{report.nodeid} did not pass, as its xfail mark expects")

    def _give_headline(self, report: pytest.TestReport, verdict: Verdict) -> None:
        """Give the failure section of a gate its headline, and its place in the file."""
        if passed_xfail(report):
            report.longrepr = f"{str(report.longrepr).strip()}: the gate {PASSED_XFAIL}"
        # Of a gate that passed, the text is an error of another plugin.
        elif isinstance(report.longrepr, str) and verdict.outcome is not Outcome.PASSED:
            file, line, _ = report.location
            message = escape_controls(headline(verdict)).replace("\n", " ")
            crash = CrashLocation(str(self._config.rootpath / file), (line or 0) + 1, message)
            report.longrepr = FailureSection(report.longrepr, crash)  # type: ignore[assignment]

    def add_process(
        self, part: RunPart, gates: Iterable[str] | None, accepted: Mapping[str, Iterable[Any]]
    ) -> None:
        """Add what one process knows of the run, and what it accepts, by node id.

        *gates* are the node ids of those that it has selected; None if it selects no tests.
        """
        self._parts.append(part)
        if gates is not None:
            self._verdicts.add_gates(gates)
        if self._accepted:
            self._accepted.add(accepted)

    # Hooks of other plugins -----------------------------------------------------------------

    def _dispatch(self, name: str, **arguments: Any) -> None:
        """Call a hook; an exception in a plugin becomes a note, and changes no verdict."""
        breaks = (Exception, pytest.fail.Exception, pytest.skip.Exception)
        arguments |= {"config": self._config, "breaks": breaks}
        self._notes += report_to_plugins(
            self._config.hook, self._config.rootpath, name, **arguments
        )

    # The end of the run -----------------------------------------------------------------------

    def mark_interrupted(self, notes: Iterable[str]) -> None:
        """Record whether the run ended early, so that no report of it says passed.

        *notes* are the partial results of a run that waited for replies.
        """
        earlier = len(self._notes)
        self._notes += notes
        self._is_interrupted = len(self._notes) > earlier
        self._verdicts.add_interruption()

    @property
    def expects_gates(self) -> bool:
        """Whether no gate was evaluated in a run that selects gates, or the whole project.

        Otherwise the selection holds ordinary tests alone, such as one file or one part of a run.
        """
        if self._verdicts.has_gated or self._fixture_used:
            return False
        return self._verdicts.selects_gates or takes_whole_project(self._config)

    @property
    def exit_code(self) -> pytest.ExitCode:
        """The exit code of a run whose tests have passed."""
        if self._verdicts.not_evaluated:
            return pytest.ExitCode.TESTS_FAILED
        is_empty = self.expects_gates
        return pytest.ExitCode.NO_TESTS_COLLECTED if is_empty else pytest.ExitCode.OK

    def _run_record(self) -> Report:
        settings = self._settings
        files = {file for part in self._parts for file in part.files}
        return build_report(
            settings,
            self._parts,
            (*self._verdicts.by_node.values(), *self._measured),
            notes=self._notes,
            facts=run_facts(
                settings,
                self._parts,
                monotonic() - self._started,
                pytest_version=pytest.__version__,
                command=["pytest", *map(str, self._config.invocation_params.args)],
                calls_git=bool(settings.reports or settings.summary),
            ),
            not_evaluated=self._verdicts.not_evaluated,
            failed_tests=self._verdicts.failed_tests,
            advice=tuple(self._advice),
            file_changes=file_changes(settings, files, os.environ),
            unselected=unselected_suites(self._config, self._verdicts.files),
            left_out=self._left_out(),
        )

    def _left_out(self) -> tuple[str, ...]:
        nodes = [*self._config.stash.get(left_out_key, []), *self._verdicts.skipped]
        return tuple(dict.fromkeys(node for node in nodes if node not in self._verdicts.by_node))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the details with -v, before pytest's short summary."""
        if self._report is None:
            return
        from pytest_ftgate.reporting.summary import detail_lines

        report, verbosity = self._as_typed(self._report), self._config.get_verbosity()
        # Whoever accepts a run reviews its figures.
        verbosity = max(verbosity, 1) if self._settings.accept else verbosity
        with noted(self._config), self._lines(terminalreporter) as write:
            lines = detail_lines(report, verbosity, full_ladder=self._settings.ladder)
            if lines:
                terminalreporter.section("ftgate: details")
            write(lines)

    def write_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the closing section, the last thing above pytest's own count."""
        if self._report is None:
            return
        from pytest_ftgate.reporting.summary import message_lines, summary_lines

        report, verbosity = self._as_typed(self._report), self._config.get_verbosity()
        with self._lines(terminalreporter) as write:
            terminalreporter.section("ftgate")
            write(summary_lines(report, verbosity))
            failed = report.not_evaluated or terminalreporter.stats.get("error")
            if any(gate.errors for gate in report.not_evaluated):
                pass  # The block of its file says so.
            elif not self._verdicts.has_gated and (failed or not self._fixture_used):
                self._write_reason(terminalreporter, has_failed=bool(failed))
            # Notes on plugins that received the report come too late to be in it.
            late = [one for one in dict.fromkeys(self._notes) if one not in report.notes]
            write(message_lines((*self._written, *late)))

    def _write_reason(self, reporter: pytest.TerminalReporter, *, has_failed: bool) -> None:
        """Write why no gate was evaluated."""
        reason = "see the errors above" if has_failed else self._nothing_selected()
        reason = "the run was cut off" if self._is_interrupted else reason
        if has_failed or self._is_interrupted or self.expects_gates:
            reporter.write_line(f"no gate was evaluated; {reason}", red=True)
        else:
            reporter.write_line(
                "no gate was selected (suites are *.ftgate.yaml files)", yellow=True
            )

    def _nothing_selected(self) -> str:
        """Return why the run has no gate, and what to do."""
        if found := self._verdicts.by_node.values():
            name = next((verdict.variant for verdict in found if verdict.checkpoint), "")
            hint = f"; to gate a checkpoint: --ftgate-variant={name}" if name else ""
            return f"nothing can fail the selected gates{hint}"
        if self._verdicts.selects_gates:
            return "every gate was skipped"
        names, start = " or ".join(self._settings.files), self._config.invocation_params.dir
        looked = ", ".join(str(Path(start, argument)) for argument in self._config.args)
        return f"there is no {names} below {looked}; pytest-ftgate init writes one"

    @contextmanager
    def _lines(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Iterator[Callable[[Iterable[str]], None]]:
        """Yield a function that writes lines in the terminal's width, encoding and colours."""
        from pytest_ftgate.reporting.summary import colour_parts

        writer = self._config.get_terminal_writer()

        def write(lines: Iterable[str]) -> None:
            for line in lines:
                for text, colours in colour_parts(break_command(line)):
                    writer.write(encodable(text, writer_encoding(writer)), **colours)
                writer.line()

        terminalreporter.ensure_newline()
        with terminal_width(writer.fullwidth):
            yield write

    def _as_typed(self, report: Report) -> Report:
        """Return *report* with node ids and commands as the user types them."""
        typed, changes = self._settings.typed, report.file_changes

        def rows(found: tuple[_Row, ...]) -> tuple[_Row, ...]:
            return tuple(replace(one, node=typed(one.node)) for one in found)

        files = tuple(replace(file, name=typed(file.name)) for file in changes.files)
        return replace(
            report,
            verdicts=tuple(as_typed(verdict, typed) for verdict in report.verdicts),
            not_evaluated=rows(report.not_evaluated),
            failed_tests=rows(report.failed_tests),
            advice=tuple(replace(advice, suite=typed(advice.suite)) for advice in report.advice),
            unselected=tuple(map(typed, named_suites(self._config, report.unselected))),
            left_out=tuple(map(typed, report.left_out)),
            file_changes=replace(changes, files=files),
        )

    def complete_short_summary(self, reporter: pytest.TerminalReporter) -> None:
        """Add invalid and inconclusive gates to pytest's short summary."""
        if self._report is None:
            return
        from pytest_ftgate.reporting.summary import unlisted_lines

        on_build_server = any(map(os.environ.get, ("CI", "BUILD_NUMBER")))
        full = on_build_server or self._config.get_verbosity() > 1
        width = None if full else self._config.get_terminal_writer().fullwidth
        report = self._as_typed(self._report)
        lines = list(unlisted_lines(report, width)) if "f" in reporter.reportchars else []
        listed = (_LISTED[letter] for letter in reporter.reportchars if letter in _LISTED)
        if lines and not any(reporter.stats.get(status) for status in listed):
            reporter.write_sep("=", "short test summary info", cyan=True, bold=True)
        for line in lines:
            colour = "red" if line.startswith("INVALID") else "yellow"
            text = encodable(line, writer_encoding(self._config.get_terminal_writer()))
            reporter.write_line(text, **{colour: True})

    @contextmanager
    def commands_stopped(self, reporter: pytest.TerminalReporter) -> Iterator[None]:
        """Let GitHub obey no line that is printed in this context.

        What follows quotes replies and suites. They cannot guess the token that ends it.
        """
        if self._settings.annotation_prefix is None:
            yield
            return
        token = token_hex(16)
        reporter.ensure_newline()
        reporter.write_line(f"::stop-commands::{token}")
        try:
            yield
        finally:
            reporter.ensure_newline()
            reporter.write_line(f"::{token}::")

    def annotate(self, reporter: pytest.TerminalReporter) -> None:
        """On GitHub, annotate the lines of gates that did not pass."""
        prefix = self._settings.annotation_prefix
        if self._report is None or prefix is None:
            return
        from pytest_ftgate.reporting.markdown import workflow_commands  # imports SciPy

        if _ANNOTATOR_OPTION not in vars(self._config.option):
            for line in workflow_commands(self._report, prefix):
                reporter.write_line(line)

    def write(self, session: pytest.Session) -> None:
        """Write the verdicts, the accepted records and the reports that the user asked for."""
        self._session = session
        self._verdicts.add_end(session)
        self.add_internal_error()
        self._report = report = self._run_record()
        with noted(self._config):
            kept = self._store_verdicts(report)
            accepted = self._accepted.write(report) if self._accepted else []
            notes = (*accepted, *report.notes, *kept)
            self._report = replace(report, notes=notes)
        self._write_reports(self._report)
        self.add_internal_error()
        if self._settings.summary is not None:
            from pytest_ftgate.reporting.writers import write_reports

            with noted(self._config):
                self._written += write_reports(self._report, {}, self._settings.summary)
        self._dispatch("report", report=self._report)

    def _write_reports(self, report: Report) -> None:
        """Write each report, also where another one breaks."""
        self._written = []
        for name, path in self._settings.reports.items():
            with noted(self._config):
                from pytest_ftgate.reporting.writers import write_reports

                self._written += write_reports(report, {name: path})

    def add_internal_error(self) -> None:
        """Let no report say passed if the run ended with an internal error, also a late one."""
        reason = reason_of(self._session) if self._session else ""
        if reason:
            self._verdicts.add_internal_error(reason)
        missing = self._verdicts.not_evaluated
        if self._report is not None and self._report.not_evaluated != missing:
            self._report = replace(self._report, not_evaluated=missing, verdict="blocked")
            self._write_reports(self._report)

    def _store_verdicts(self, report: Report) -> list[str]:
        """Keep the verdicts of gates for ``pytest-ftgate explain``; return what kept them."""
        gates = [v for v in report.verdicts if node_id(v) in self._verdicts.by_node]
        try:
            if gates:
                store_verdicts(self._settings.cache.parent, gates)
        except OSError as error:
            return [f"the verdicts could not be kept for pytest-ftgate explain: {error}"]
        return []


def _is_expected_failure(report: pytest.TestReport) -> bool:
    """Return True if a gate did not pass, as its mark expects; a teardown may fail of any gate."""
    is_expected = hasattr(report, "wasxfail") and report.skipped and report.when != "teardown"
    return is_expected and "ftgate" in dict(report.user_properties)


def gate_status(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str | tuple[str, dict[str, bool]]] | None:
    """Return pytest's status of a gate that has another one than tests, or None."""
    verdict = dict(report.user_properties).get("ftgate")
    # pytest has its own words for expected failures.
    if verdict is None or hasattr(report, "wasxfail"):
        return None
    told = json.loads(str(verdict))
    outcome = told["outcome"]
    # A verdict that is shown on a line of its own needs no letter.
    letter = "" if shows_verdict(report, config) else "?!r"
    only_told = told["checkpoint"] and not told["gated"] and report.skipped
    if only_told or (outcome == "failed" and report.passed):
        return "reported", letter[2:], ("REPORTED", {"yellow": True})
    if outcome == "inconclusive":
        return "inconclusive", letter[:1], ("INCONCLUSIVE", {"yellow": True})
    if outcome == "invalid":
        return "invalid", letter[1:2], ("INVALID", {"red": True})
    if letter or report.skipped:
        return None
    return ("passed", "", "PASSED") if report.passed else ("failed", "", "FAILED")


def shows_verdict(report: pytest.TestReport, config: pytest.Config) -> bool:
    """Return True if the verdict of a gate has a line of its own, as the run waits for replies."""
    is_gate = report.when == "call" and not report.skipped and not hasattr(report, "wasxfail")
    is_shown = config.pluginmanager.has_plugin("terminalreporter") and verbosity_of(config) >= 0
    return is_gate and hasattr(report, "ftgate_waited") and is_shown


def finish_run(session: pytest.Session, reporter: Reporter | None) -> None:
    """Stop the engine, hand the results to the reporting process, write the reports.

    *reporter* is None in xdist workers.
    """
    with noted(session.config):
        _finish_run(session, reporter)
    reason = reason_of(session)
    if reporter is None:
        session.config.workeroutput[BROKEN] = reason  # type: ignore[attr-defined]


def _finish_run(session: pytest.Session, reporter: Reporter | None) -> None:
    config = session.config
    run = config.stash[session_key]
    if usage_error_key in config.stash:
        _end_with_usage_error(session, reporter)
    if usage_error_key in config.stash or evaluates_nothing(config):
        run.close()
        return
    gate_runs, nodes = [*gates_in(session.items).values()], gate_nodes(session.items)
    with noted(config):
        run.close()
    if reporter is None:
        # Workers share requests: what one of them did not send, another one may have.
        _send_to_reporter(config, _own_part(config, run, ()), nodes)
        return
    # The reporting process of pytest-xdist has no tests of its own.
    reporter.add_process(_own_part(config, run, gate_runs), nodes or None, accepted_of(config))
    interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
    with noted(config):
        reporter.mark_interrupted(interrupted_notes(run, gate_runs) if interrupted else ())
    reporter.write(session)
    if session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = reporter.exit_code


def _own_part(config: pytest.Config, run: Session, gate_runs: Iterable[GateRun]) -> RunPart:
    """Return what this process knows; *gate_runs* may have ended before all requests were sent."""
    skipped, suites = 0, list[SuiteRun]()
    with noted(config):
        skipped = run.count_saved_requests(gate_runs)
    with noted(config):
        suites = collect_suite_runs(run) if run.settings.reports_cases else []
    return run_part(run, suites, skipped, config.inipath)


def _end_with_usage_error(session: pytest.Session, reporter: Reporter | None) -> None:
    """End the run with the error that each worker of pytest-xdist has found."""
    error = session.config.stash[usage_error_key]
    if reporter is None:
        session.config.workeroutput["ftgate_usage_error"] = error  # type: ignore[attr-defined]
    else:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
        show_sentence(session.config, f"ERROR: {error}")


def _send_to_reporter(config: pytest.Config, part: RunPart, nodes: list[str]) -> None:
    folder = config.stash[settings_key].cache.parent
    # All of it, or nothing.
    config.workeroutput |= {  # type: ignore[attr-defined]
        "ftgate_part": send_part(part, folder),
        "ftgate_gates": nodes,
        "ftgate_accepted": write_accepted(folder, accepted_of(config)),
        "ftgate_left_out": config.stash.get(left_out_key, None),
    }
