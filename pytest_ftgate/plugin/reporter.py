"""Collects test reports, ends the run, and writes its reports."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftgate.client.budget import CostReport, merge_cost_reports
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.plugin.item import gate_runs_in
from pytest_ftgate.plugin.state import evaluates_nothing, session_key, settings_key
from pytest_ftgate.readers.source import display_path
from pytest_ftgate.recommend.advice import Advice
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.results.git import GitError, git_output
from pytest_ftgate.results.run import (
    NotEvaluated,
    Report,
    RequestCounts,
    SuiteRun,
    overall_verdict,
)
from pytest_ftgate.results.verdicts import as_typed, from_json, store_verdicts
from pytest_ftgate.runner.evaluate import interrupted_notes
from pytest_ftgate.runner.workers import collect_suite_runs, write_suite_runs
from pytest_ftgate.settings import Settings


def _environment_facts(settings: Settings) -> dict[str, str]:
    """Return versions and commit of a run; git is called only if a report is written."""
    facts = {
        "pytest-ftgate": version("pytest-ftgate"),
        "pytest": pytest.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "replies": settings.replies,
    }
    if settings.run_url:
        facts["run"] = settings.run_url
    if settings.reports or settings.summary:
        facts |= _commit_facts(settings.root)
    return facts


def _commit_facts(root: Path) -> dict[str, str]:
    try:
        commit = git_output(root, "log", "-n1", "--format=%h %s").strip()
        changed = git_output(root, "status", "--porcelain", "--untracked-files=no").strip()
    except GitError:
        return {}
    return {"commit": f"{commit}{' (with changes that are not committed)' * bool(changed)}"}


#: The most characters of an error that kept a gate from being evaluated.
_MAX_ERROR_LENGTH = 2_000


#: A plugin that already annotates the line of each gate that fails.
_ANNOTATOR = "pytest_github_actions_annotate_failures"


class Reporter:
    """Collects the results of a run, prints the closing section and writes the reports.

    Under xdist it runs in the controller only.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._settings = config, config.stash[settings_key]
        self._verdicts: dict[str, str] = {}
        self._measured: list[str] = []
        self._advice: list[str] = []
        self._serves: dict[str, str] = {}
        self._accepted_cases: dict[str, dict[str, Any]] = defaultdict(dict)
        self._request_counts: list[tuple[int, int, float]] = []
        self._messages: list[str] = []
        self._cost_reports: list[CostReport] = []
        self._collected_runs: list[SuiteRun] = []
        self._not_evaluated: dict[str, str] = {}
        self._report: Report | None = None
        self._written: list[str] = []
        #: Requests that were never sent because gates stopped early.
        self.skipped_requests = 0
        #: The run was interrupted while requests were in flight.
        self._is_interrupted = False
        #: A test has used the fixture: it evaluates gates by itself.
        self._fixture_used = False

    def _is_suite(self, node: str) -> bool:
        path = PurePath(node.partition("::")[0])
        return any(path.match(pattern) for pattern in self._settings.files)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a suite that cannot be collected."""
        if report.failed and self._is_suite(report.nodeid):
            self._not_evaluated[report.nodeid] = _error_text(report, self._settings.root)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the verdict of a gate, and what its item carries besides."""
        properties = dict(report.user_properties)
        # Another plugin, such as rerunfailures, will run the item again.
        if report.outcome not in ("passed", "failed", "skipped"):
            return
        self._fixture_used |= "ftgate_used" in properties and report.when == "call"
        if "ftgate" in properties and report.when == "call" and isinstance(report.longrepr, str):
            text = headline(from_json(Verdict, str(properties["ftgate"])))
            report.longrepr = _Section(report.longrepr, text)  # type: ignore[assignment]
        if report.when == "teardown":
            pairs = report.user_properties
            self._measured += [str(value) for key, value in pairs if key == "ftgate_measured"]
            self._advice += [str(value) for key, value in pairs if key == "ftgate_advice"]
        if "ftgate_gate" in properties:
            self._add_gate_report(report, properties.get("ftgate"))
        if "ftgate_cells" in properties and report.when == "call":
            self._add_accepted_cases(properties)
        if "ftgate" in properties and (report.when == "call" or report.failed):
            self._dispatch_verdict(str(properties["ftgate"]), report.nodeid)

    def _add_accepted_cases(self, properties: Mapping[str, object]) -> None:
        verdict = json.loads(str(properties["ftgate"]))
        self._serves[verdict["suite"]] = str(properties.get("ftgate_serves", ""))
        cases = json.loads(str(properties["ftgate_cells"]))
        name = str(properties.get("ftgate_cells_of", verdict["variant"]))
        earlier = self._accepted_cases[verdict["suite"]].get(name, {})
        # Gates of one variant may use fewer replies than others; the most replies are stored.
        if _count_replies(cases) >= _count_replies(earlier):
            self._accepted_cases[verdict["suite"]][name] = cases

    def _add_gate_report(self, report: pytest.TestReport, verdict: object) -> None:
        """Record the report of a gate's item; *verdict* is its verdict as JSON, or None."""
        passed = verdict is not None and json.loads(str(verdict))["outcome"] == "passed"
        # The verdict passed and the item failed: for example a warning became an error.
        if report.failed and (verdict is None or passed or report.when == "teardown"):
            self._verdicts.pop(report.nodeid, None)
            self._not_evaluated[report.nodeid] = _error_text(report, self._settings.root)
        elif verdict is not None and hasattr(report, "wasxfail") and report.skipped:
            self._fixture_used = True
            self._messages.append(f"{report.nodeid} did not pass, as its xfail mark expects")
        elif verdict is not None and (report.when == "call" or report.failed):
            self._verdicts[report.nodeid] = str(verdict)

    def add_process(
        self,
        requests: tuple[int, int, float, Mapping[str, Any]],
        messages: Iterable[str],
        suite_runs: Iterable[SuiteRun],
    ) -> None:
        """Add the results of one process.

        *requests* are the replies, the sent requests, the seconds and the cost. *messages* are
        sentences for the user, such as those of the cache.
        """
        replies, sent, seconds, cost = requests
        self._request_counts.append((replies, sent, seconds))
        self._cost_reports.append(CostReport(**cost))
        self._messages += messages
        self._collected_runs += suite_runs

    # Hooks of other plugins -----------------------------------------------------------------

    def _dispatch_verdict(self, verdict: str, node: str) -> None:
        """Call ``pytest_ftgate_verdict`` for a verdict as JSON."""
        if self._config.hook.pytest_ftgate_verdict.get_hookimpls():
            self._dispatch("verdict", verdict=from_json(Verdict, verdict), nodeid=node)

    def _dispatch(self, name: str, **arguments: Any) -> None:
        """Call a hook; an exception in a plugin becomes a message, and changes no verdict."""
        arguments["config"] = self._config
        for implementation in getattr(self._config.hook, f"pytest_ftgate_{name}").get_hookimpls():
            try:
                implementation.function(**{key: arguments[key] for key in implementation.argnames})
            except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - a plugin may raise anything
                plugin = display_path(self._config.rootpath, Path(implementation.plugin_name))
                what = f"{type(error).__name__}: {error}"
                self._messages.append(f"pytest_ftgate_{name} of {plugin} broke: {what}")

    # The end of the run -----------------------------------------------------------------------

    def mark_interrupted(self, notes: Iterable[str]) -> None:
        """Record that gates are missing, so that no report of an interrupted run says passed.

        *notes* are the partial results of a run that waited for replies.
        """
        earlier = len(self._messages)
        self._messages += notes
        self._is_interrupted = len(self._messages) > earlier
        if not self._not_evaluated:
            self._not_evaluated["pytest"] = "the run was cut off before every gate was evaluated"

    @property
    def evaluated(self) -> int:
        """The number of gates with a verdict."""
        return len(self._verdicts) + self._fixture_used

    def _run_record(self, pending_batches: Iterable[str]) -> Report:
        verdicts = (*self._verdicts.values(), *self._measured)
        pending = [f"{line}; the same command picks its replies up" for line in pending_batches]
        report = Report(
            verdict="blocked",
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            lenient=self._settings.inconclusive == "warn",
            verdicts=tuple(from_json(Verdict, text) for text in verdicts),
            not_evaluated=tuple(
                NotEvaluated(node=node, reason=why) for node, why in self._not_evaluated.items()
            ),
            requests=self._total_requests(),
            cost=merge_cost_reports(self._cost_reports),
            max_usd=self._settings.max_usd,
            notes=tuple(dict.fromkeys((*pending, *self._messages))),
            facts=_environment_facts(self._settings),
            suites=self._suite_runs(),
            advice=tuple(from_json(Advice, text) for text in self._advice),
        )
        return replace(report, verdict=overall_verdict(report))

    def _suite_runs(self) -> tuple[SuiteRun, ...]:
        if not self._collected_runs:
            return ()
        from pytest_ftgate.results.accepted import accepted_path
        from pytest_ftgate.results.collect import merge_suite_runs
        from pytest_ftgate.results.history import accepted_history

        by_name: dict[str, list[SuiteRun]] = defaultdict(list)
        for run in self._collected_runs:
            by_name[run.name].append(run)
        root = self._settings.root
        return tuple(
            replace(run, history=accepted_history(accepted_path(root, run.name)))
            for run in map(merge_suite_runs, by_name.values())
        )

    def _total_requests(self) -> RequestCounts:
        return RequestCounts(
            replies=max((replies for replies, _, _ in self._request_counts), default=0),
            sent=sum(sent for _, sent, _ in self._request_counts),
            seconds=max((seconds for _, _, seconds in self._request_counts), default=0.0),
            skipped=self.skipped_requests,
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the closing section."""
        if self._report is None:
            return
        from pytest_ftgate.reporting.summary import colour_parts, message_lines, summary_lines

        terminalreporter.ensure_newline()
        terminalreporter.section("ftgate")
        failed = self._not_evaluated or terminalreporter.stats.get("error")
        if not self._verdicts and (failed or not self._fixture_used):
            reason = "see the errors above" if failed else "name a suite, or check the selection"
            reason = "the run was cut off" if self._is_interrupted else reason
            terminalreporter.write_line(f"no gate was evaluated; {reason}", red=True)
        for line in summary_lines(
            self._as_typed(self._report),
            self._config.get_verbosity(),
            show_table=self._settings.accept,
            full_ladder=self._settings.ladder,
        ):
            for text, colours in colour_parts(line):
                terminalreporter.write(text, **colours)
            terminalreporter.line("")
        # Messages of plugins that received the report came too late to be in it.
        late = [line for line in dict.fromkeys(self._messages) if line not in self._report.notes]
        for line in message_lines((*self._written, *late)):
            terminalreporter.write_line(line)

    def _as_typed(self, report: Report) -> Report:
        """Return *report* with node ids and commands as the user types them."""
        typed = self._settings.typed
        return replace(
            report,
            verdicts=tuple(as_typed(verdict, typed) for verdict in report.verdicts),
            advice=tuple(replace(advice, suite=typed(advice.suite)) for advice in report.advice),
        )

    def complete_short_summary(self, reporter: pytest.TerminalReporter) -> None:
        """Add inconclusive gates to pytest's short summary, and annotate lines on GitHub."""
        if self._report is None:
            return
        from pytest_ftgate.reporting.github import workflow_commands
        from pytest_ftgate.reporting.summary import inconclusive_lines

        on_build_server = any(map(os.environ.get, ("CI", "BUILD_NUMBER")))
        full = on_build_server or self._config.get_verbosity() > 1
        width = None if full else self._config.get_terminal_writer().fullwidth
        wanted = set(reporter.reportchars) & set("fa")
        report = self._as_typed(self._report)
        lines = list(inconclusive_lines(report, width)) if wanted else []
        if lines and not any(reporter.stats.get(kind) for kind in ("failed", "error")):
            reporter.write_sep("=", "short test summary info", cyan=True, bold=True)
        for line in lines:
            reporter.write_line(line, yellow=True)
        prefix = self._settings.annotation_prefix
        if prefix is not None and not self._config.pluginmanager.has_plugin(_ANNOTATOR):
            reporter.ensure_newline()
            for line in workflow_commands(self._report, prefix):
                reporter.write_line(line)

    def write(self, pending_batches: Iterable[str]) -> None:
        """Write the verdicts, the accepted records and the reports that the user asked for.

        *pending_batches* are sentences on the batches that are still on their way.
        """
        from pytest_ftgate.reporting.writers import write_reports

        if self._verdicts:
            self._store_verdicts()
        report = self._run_record(pending_batches)
        report = replace(report, notes=(*report.notes, *self._write_accepted_records(report)))
        self._written = write_reports(report, self._settings.reports, self._settings.summary)
        self._report = report
        self._dispatch("report", report=report)

    def _store_verdicts(self) -> None:
        try:
            store_verdicts(self._settings.cache.parent, [*self._verdicts.values()])
        except OSError as error:
            self._messages.append(
                f"the verdicts could not be kept for pytest-ftgate explain: {error}"
            )

    def _write_accepted_records(self, report: Report) -> list[str]:
        if not self._accepted_cases:
            return []
        from pytest_ftgate.results.accepted import accept_run  # imports SciPy

        root = self._settings.root
        return [
            accept_run(root, suite, cases, report, self._serves[suite])
            for suite, cases in self._accepted_cases.items()
        ]


class _Section:
    """The failure section of a gate, with its headline for JUnit files and the short summary.

    Both would show several lines of a plain text.
    """

    def __init__(self, text: str, headline: str) -> None:
        self._text = text
        self.reprcrash = SimpleNamespace(message=escape_controls(headline).replace("\n", " "))

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        """Write the section."""
        tw.line(self._text)


def _error_text(report: pytest.CollectReport | pytest.TestReport, root: Path) -> str:
    """Return the message and the place of an error; pytest itself shows the traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None or not hasattr(crash, "path"):
        return report.longreprtext[:_MAX_ERROR_LENGTH]
    place = display_path(root, Path(crash.path))
    return f"{crash.message[:_MAX_ERROR_LENGTH]}\n{place}:{crash.lineno}"


def _count_replies(cases: Mapping[str, Any]) -> int:
    from pytest_ftgate.results.accepted import AcceptedCase

    return sum(AcceptedCase(*values).repeats for values in cases.values())


def inconclusive_status(
    report: pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Return pytest's status of an inconclusive gate, or None for every other item."""
    verdict = dict(report.user_properties).get("ftgate")
    # pytest has its own words for expected failures.
    if hasattr(report, "wasxfail"):
        return None
    if verdict is not None and json.loads(str(verdict))["outcome"] == "inconclusive":
        return "inconclusive", "?", ("INCONCLUSIVE", {"yellow": True})
    return None


def finish_run(session: pytest.Session, reporter: Reporter | None) -> None:
    """Stop the engine, hand the results to the reporting process, write the reports.

    *reporter* is None in xdist workers.
    """
    run = session.config.stash[session_key]
    if evaluates_nothing(session.config):
        run.close()
        return
    gate_runs = gate_runs_in(session.items)
    if reporter is not None:
        reporter.skipped_requests = run.count_saved_requests(gate_runs)
    run.close()
    progress = run.progress
    replies = progress.planned - progress.failed
    counts = (replies, progress.received, progress.seconds, asdict(run.cost_report()))
    if reporter is None:
        output = session.config.workeroutput  # type: ignore[attr-defined]
        output |= {"ftgate_requests": list(counts), "ftgate_messages": run.cache_messages}
        output["ftgate_cases"] = write_suite_runs(run)
        return
    reporter.add_process(counts, run.cache_messages, collect_suite_runs(run))
    interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
    if interrupted or session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
        reporter.mark_interrupted(interrupted_notes(run, gate_runs) if interrupted else ())
    reporter.write(run.pending_batches)
    if not reporter.evaluated and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
