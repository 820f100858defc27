"""Collects test reports, ends the run, and writes its reports."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.client.budget import Bill, summed
from pytest_ftgate.plugin.item import gates_of
from pytest_ftgate.plugin.suites import giver_of
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.runner.evaluate import so_far
from pytest_ftgate.runner.session import session_key
from pytest_ftgate.runner.workers import leave, told
from pytest_ftgate.settings import Settings, judges_nothing

if TYPE_CHECKING:
    from pytest_ftgate.gates.verdict import Verdict
    from pytest_ftgate.results.run import Asking, Report, SuiteRun

__all__ = ["Gathering", "Observers", "Recorder", "finish", "status", "surroundings"]


class Observers:
    """A plugin object of the process that reports.

    What a plugin does with what it is told is its own: where it breaks, that is said, and neither
    the verdicts nor the exit code change.

    Args:
        config: of the run.
        say: takes a sentence that the user should read.
    """

    def __init__(self, config: pytest.Config, say: Callable[[Iterable[str]], None]) -> None:
        self._config, self._say = config, say

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell of the verdict that a test has reached."""
        told = dict(report.user_properties).get("ftgate")
        reached = report.when == "call" or report.failed
        ended = report.outcome in ("passed", "failed", "skipped")
        if told is None or not reached or not ended or not self._are_there("verdict"):
            return
        from pytest_ftgate.results.verdicts import verdict_from_json

        self._tell("verdict", verdict=verdict_from_json(str(told)), nodeid=report.nodeid)

    def tell_run(self, report: Any) -> None:
        """Tell of the whole run."""
        self._tell("reporters", report=report)

    def _are_there(self, name: str) -> bool:
        return bool(getattr(self._config.hook, f"pytest_ftgate_{name}").get_hookimpls())

    def _tell(self, name: str, **given: Any) -> None:
        given["config"] = self._config
        for one in getattr(self._config.hook, f"pytest_ftgate_{name}").get_hookimpls():
            try:
                one.function(**{key: given[key] for key in one.argnames})
            except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - it may be any
                giver = giver_of(one.plugin_name, self._config.rootpath)
                what = f"{type(error).__name__}: {error}"
                self._say([f"pytest_ftgate_{name} of {giver} broke: {what}"])


def surroundings(settings: Settings) -> dict[str, str]:
    """Return where and by what a run was made; git is asked where a report is written."""
    facts = {
        "pytest-ftgate": version("pytest-ftgate"),
        "pytest": pytest.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "replies": settings.replies,
    }
    if settings.run_url:
        facts["run"] = settings.run_url
    if settings.reports or settings.summary:
        facts |= _commit(settings.root)
    return facts


def _commit(root: Path) -> dict[str, str]:
    from pytest_ftgate.results.git import NoAnswer, said

    try:
        commit = said(root, "log", "-n1", "--format=%h %s").strip()
        changed = said(root, "status", "--porcelain", "--untracked-files=no").strip()
    except NoAnswer:
        return {}
    return {"commit": f"{commit}{' (with changes that are not committed)' * bool(changed)}"}


#: What is told of an error that left a gate unjudged, in characters.
_LONGEST = 2_000


class Gathering:
    """What came so far; a run has one, in the process that reports."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verdicts: dict[str, str] = {}
        self._measured: list[str] = []
        self._advice: list[str] = []
        self._serves: dict[str, str] = {}
        self._cells: dict[str, dict[str, Any]] = defaultdict(dict)
        self._asking: list[tuple[int, int, float]] = []
        self._told: list[str] = []
        self._bills: list[Bill] = []
        self._suites: list[SuiteRun] = []
        self._unjudged: dict[str, str] = {}
        #: Calls that were never asked because gates stopped early.
        self.spared = 0
        #: What goes on though the run has ended.
        self.left: tuple[str, ...] = ()
        #: It was cut off while it asked.
        self.cut = False
        #: A test has used the fixture, which judges as that test says.
        self._used = False

    def _is_suite(self, node: str) -> bool:
        return any(PurePath(node.partition("::")[0]).match(one) for one in self._settings.files)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of a suite that cannot be collected."""
        if report.failed and self._is_suite(report.nodeid):
            self._unjudged[report.nodeid] = _trouble(report, self._settings.root)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict from the phase that reached it."""
        own = dict(report.user_properties)
        # One that another plugin will run again has not come to its end.
        if report.outcome not in ("passed", "failed", "skipped"):
            return
        self._used |= "ftgate_used" in own and report.when == "call"
        if "ftgate" in own and report.when == "call" and isinstance(report.longrepr, str):
            headline = json.loads(str(own["ftgate"]))["headline"]
            report.longrepr = _Section(report.longrepr, headline)  # type: ignore[assignment]
        if report.when == "teardown":
            told = report.user_properties
            self._measured += [str(v) for key, v in told if key == "ftgate_measured"]
            self._advice += [str(v) for key, v in told if key == "ftgate_advice"]
        if "ftgate_gate" in own:
            self._note(report, own.get("ftgate"))
        if "ftgate_cells" in own and report.when == "call":
            verdict = json.loads(str(own["ftgate"]))
            self._serves[verdict["suite"]] = str(own.get("ftgate_serves", ""))
            cells = json.loads(str(own["ftgate_cells"]))
            name = str(own.get("ftgate_cells_of", verdict["variant"]))
            before = self._cells[verdict["suite"]].get(name, {})
            # Gates of one variant may look at less than others; what rests on most is kept.
            if _replies(cells) >= _replies(before):
                self._cells[verdict["suite"]][name] = cells

    def _note(self, report: pytest.TestReport, told: object) -> None:
        """Take note of what became of a gate, *told* being its verdict, if it has one by now."""
        passed = told is not None and json.loads(str(told))["outcome"] == "passed"
        # With a verdict that passed something else went wrong, such as a warning that is an error.
        if report.failed and (told is None or passed or report.when == "teardown"):
            self._verdicts.pop(report.nodeid, None)
            self._unjudged[report.nodeid] = _trouble(report, self._settings.root)
        elif told is not None and hasattr(report, "wasxfail") and report.skipped:
            self._used = True
            self._told.append(f"{report.nodeid} did not pass, as its xfail mark expects")
        elif told is not None and (report.when == "call" or report.failed):
            self._verdicts[report.nodeid] = str(told)

    def note_asking(self, used: int, asked: int, seconds: float, bill: Mapping[str, Any]) -> None:
        """Add what one process used, asked, how many seconds that took, and what it cost."""
        self._asking.append((used, asked, seconds))
        self._bills.append(Bill(**bill))

    def note_told(self, sentences: Iterable[str]) -> None:
        """Add what one process has to say of the ledger."""
        self._told += sentences

    def note_cut(self, sentences: Iterable[str]) -> None:
        """Add what is known by a run that was cut off while it asked."""
        told = [*sentences]
        self.cut = bool(told)
        self._told += told

    def note_suites(self, suites: Iterable[SuiteRun]) -> None:
        """Add the cases that one process knows."""
        self._suites += suites

    def note_interruption(self) -> None:
        """Let no report of a run that was cut off say that it passed."""
        if not self._unjudged:
            self._unjudged["pytest"] = "the run was cut off before every gate was judged"

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the verdicts of the run, those of gates first."""
        from pytest_ftgate.results.verdicts import verdict_from_json

        return tuple(map(verdict_from_json, (*self._verdicts.values(), *self._measured)))

    @property
    def judged(self) -> int:
        """How many gates reached a verdict."""
        return len(self._verdicts) + self._used

    def report(self) -> Report:
        """Return all that a report shows of the run so far."""
        from pytest_ftgate.results.run import Report, Unjudged, advice_from_json, verdict_of

        lenient = self._settings.inconclusive == "warn"
        left = [f"{line}; the same command picks its replies up" for line in self.left]
        report = Report(
            verdict="blocked",
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            lenient=lenient,
            verdicts=self.verdicts(),
            unjudged=tuple(Unjudged(node=node, why=why) for node, why in self._unjudged.items()),
            asking=self._asked(),
            bill=summed(self._bills),
            max_usd=self._settings.max_usd,
            told=tuple(dict.fromkeys((*left, *self._told))),
            facts=surroundings(self._settings),
            suites=self._with_history(),
            advice=tuple(map(advice_from_json, self._advice)),
        )
        return replace(report, verdict=verdict_of(report))

    def _with_history(self) -> tuple[SuiteRun, ...]:
        if not self._suites:
            return ()
        from pytest_ftgate.results.accepted import accepted_path
        from pytest_ftgate.results.collect import joined
        from pytest_ftgate.results.git import history

        by_name: dict[str, list[SuiteRun]] = defaultdict(list)
        for one in self._suites:
            by_name[one.name].append(one)
        made = (joined(own) for own in by_name.values())
        root = self._settings.root
        return tuple(replace(one, history=history(accepted_path(root, one.name))) for one in made)

    def _asked(self) -> Asking:
        from pytest_ftgate.results.run import Asking

        return Asking(
            used=max((one[0] for one in self._asking), default=0),
            asked=sum(one[1] for one in self._asking),
            seconds=max((one[2] for one in self._asking), default=0.0),
            spared=self.spared,
        )


class _Section:
    """The section of a gate as a failure that has one line for those who want no more.

    Of a plain text, JUnit files and, on build servers, the short summary would take several.
    """

    def __init__(self, text: str, headline: str) -> None:
        self._text = text
        self.reprcrash = SimpleNamespace(message=visible(headline).replace("\n", " "))

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        """Write the section."""
        tw.line(self._text)


def _trouble(report: pytest.CollectReport | pytest.TestReport, root: Path) -> str:
    """Return what went wrong: the error itself, and not the way to it, which pytest has shown."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None or not hasattr(crash, "path"):
        return report.longreprtext[:_LONGEST]
    path = Path(crash.path)
    place = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{crash.message[:_LONGEST]}\n{place.as_posix()}:{crash.lineno}"


def _replies(cells: Mapping[str, Any]) -> int:
    from pytest_ftgate.results.accepted import Kept

    return sum(Kept(*cell).repeats for cell in cells.values())


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
        from pytest_ftgate.reporting.summary import spoken, summary, tinted

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
        from pytest_ftgate.reporting.github import commands
        from pytest_ftgate.reporting.summary import undecided

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
        from pytest_ftgate.reporting.writers import write_reports

        if self._verdicts:
            self._keep_verdicts()
        made = self.report()
        made = replace(made, told=(*made.told, *self._accepted(made)))
        self._written = write_reports(made, self._settings.reports, self._settings.summary)
        self._report = made

    def _keep_verdicts(self) -> None:
        from pytest_ftgate.results.verdicts import keep_verdicts

        try:
            keep_verdicts(self._settings.ledger.parent, [*self._verdicts.values()])
        except OSError as error:
            self._told.append(f"the verdicts could not be kept for pytest-ftgate explain: {error}")

    def _accepted(self, made: Report) -> list[str]:
        if not self._cells:
            return []
        from pytest_ftgate.results.accepted import accept  # which takes what judges

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
