"""The entry point: the hooks that pytest calls, each a few lines."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.plugin.state import (
    begun_key,
    errors_key,
    is_marked_as_gate,
    is_misnamed,
    left_out_key,
    marked_key,
    settings_key,
    unfound_suites,
    uses_fixture,
)
from pytest_ftgate.settings import Settings, add_options, short_path

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from pytest_ftgate.plugin.fixture import Ftgate
    from pytest_ftgate.plugin.item import SuiteFile
    from pytest_ftgate.plugin.reporter import Reporter

reporter_key: pytest.StashKey[Reporter] = pytest.StashKey()
#: The number of suites that a run without ``--ftgate`` has passed over.
ignored_key: pytest.StashKey[int] = pytest.StashKey()

_MARK = (
    "ftgate(suite=None, *, cases, variants, prompt, max_drop, min, repeats, tags, evidence, "
    "metrics): run a test on the reply to each case, as a gate for each variant; -m ftgate selects "
    "gates."
)
_SKIPPED = "evaluated with --ftgate only"


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the hooks that other plugins may implement."""
    from pytest_ftgate import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and the configuration keys."""
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """With ``--ftgate``, give a process without an output one: pytest cannot begin without."""
    if early_config.known_args_namespace.ftgate_enabled:
        from pytest_ftgate.reporting.text import open_missing_streams

        open_missing_streams()
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings; with ``--ftgate``, prepare to evaluate and to report."""
    config.addinivalue_line("markers", _MARK)
    try:
        settings = Settings.from_config(config)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[settings_key] = settings
    if settings.enabled:
        _enable(config, settings)


def _enable(config: pytest.Config, settings: Settings) -> None:
    from uuid import uuid4

    from pytest_ftgate.machine import show_conversion
    from pytest_ftgate.plugin.patching import PatchingFixtures
    from pytest_ftgate.plugin.progress import show_sentence
    from pytest_ftgate.plugin.reporter import Reporter
    from pytest_ftgate.plugin.suites import begin_session

    if not __debug__ and config.getoption("assertmode") == "plain":
        raise pytest.UsageError("python -O and --assert=plain leave out every assert: drop one")
    worker = getattr(config, "workerinput", None)
    if settings.plan:
        # pytest-xdist would evaluate the gates in its processes.
        config.option.dist = "no"
    if worker and settings.max_usd is not None:
        # Workers do not share a budget, so each may spend an equal part.
        settings = replace(settings, max_usd=settings.max_usd / worker["workercount"])
    begin_session(config, settings, worker["testrunuid"] if worker else uuid4().hex)
    config.pluginmanager.register(PatchingFixtures(config), "ftgate-patching")
    unchanged = show_conversion.set(partial(show_sentence, config))
    config.add_cleanup(partial(show_conversion.reset, unchanged))
    if worker is None:
        config.stash[reporter_key] = reporter = Reporter(config)
        config.pluginmanager.register(reporter, "ftgate-reporter")
        _register_tracker(config, settings)


def _register_tracker(config: pytest.Config, settings: Settings) -> None:
    if not settings.track:
        return
    from pytest_ftgate.reporting.trackers import Tracker

    try:
        config.pluginmanager.register(Tracker(settings.track), "ftgate-tracker")
    except ConfigurationError as error:
        raise pytest.UsageError(f"ftgate_track: {error}") from error


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """Return the header: where replies come from, the cache file, and what the command sets."""
    settings = config.stash[settings_key]
    if not settings.enabled:
        return None
    cache = short_path(settings.cache, settings.start)
    safe = ", safe mode" if settings.safe else ""
    told = f"ftgate: replies {settings.replies}{safe}, cache {cache}"
    if not settings.overrides:
        return [told]
    from pytest_ftgate.reporting.tables import override_line
    from pytest_ftgate.results.builder import shown_overrides

    return [told, f"ftgate: {override_line(shown_overrides(settings))}"]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """Collect suite files, with ``--ftgate``."""
    settings = parent.config.stash[settings_key]
    is_suite = any(file_path.match(glob) for glob in settings.files)
    if not settings.enabled:
        if is_suite:
            parent.config.stash[ignored_key] = parent.config.stash.get(ignored_key, 0) + 1
        return None
    if not is_suite and not is_misnamed(file_path):
        return None
    from pytest_ftgate.plugin.item import MisnamedFile, SuiteFile

    kind = SuiteFile if is_suite else MisnamedFile
    collected: SuiteFile = kind.from_parent(parent, path=file_path)
    return collected


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, Any, Any]:
    """Say what to write instead of a suite that pytest does not find."""
    try:
        return (yield)
    except pytest.UsageError as error:
        hints = [*unfound_suites(session.config)]
        raise pytest.UsageError(*(hints or error.args)) from error


@pytest.fixture(scope="session")
def ftgate(request: pytest.FixtureRequest) -> Ftgate:
    """Suites to ask, score and evaluate in your own test; such a test needs --ftgate."""
    if not request.config.stash[settings_key].enabled:
        pytest.skip(_SKIPPED)
    from pytest_ftgate.plugin.fixture import Ftgate

    return Ftgate(request.session)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a marked function with its variants, with ``--ftgate``."""
    definition = metafunc.definition
    enabled = metafunc.config.stash[settings_key].enabled
    if enabled and definition.get_closest_marker("ftgate"):
        metafunc.config.stash[marked_key] = True
        from pytest_ftgate.plugin.marked.collect import parametrize

        parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail the collection of *collector* if marks below it have errors."""
    report = yield
    if errors_key not in collector.stash:
        return report
    from pytest_ftgate.plugin.marked.collect import fail_collection

    return fail_collection(collector, report)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a gate of each item of a marked function; without ``--ftgate``, let pytest skip it."""
    if not item.config.stash[settings_key].enabled:
        if is_marked_as_gate(item) or uses_fixture(item):
            item.add_marker(pytest.mark.skip(reason=_SKIPPED))
    elif item.config.stash.get(marked_key, False) and hasattr(item, "callspec"):
        from pytest_ftgate.plugin.marked.collect import make_gate

        make_gate(item)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that the run leaves out tests on purpose."""
    if items and items[0].config.stash[settings_key].enabled:
        from pytest_ftgate.plugin.selection import gate_nodes

        items[0].config.stash.setdefault(left_out_key, []).extend(gate_nodes(items))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put gates after ordinary tests, and apply ``--ftgate-variant``."""
    settings = config.stash[settings_key]
    if settings.enabled:
        from pytest_ftgate.plugin.selection import arrange_items

        arrange_items(config, settings, items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Let no plugin run a gate again."""
    if not item.config.stash[settings_key].enabled:
        return None
    from pytest_ftgate.plugin.item import run_once

    return run_once(item, nextitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """After the fixtures of a marked function are set up, ask and score.

    A marked function that is not a gate fails; it never passes without a verdict.
    """
    __tracebackhide__ = True
    if not is_marked_as_gate(item) and not uses_fixture(item):
        return (yield)
    if not item.config.stash[settings_key].enabled:
        # A skip that is raised here would be shown at this line; the mark has the test's.
        if item.config.pluginmanager.has_plugin("skipping"):
            return (yield)
        pytest.skip(_SKIPPED)
    from pytest_ftgate.plugin.item import GateItem

    if isinstance(item, GateItem):
        return (yield)
    from pytest_ftgate.plugin.marked.collect import after_setup, before_setup

    before_setup(item)
    yield
    after_setup(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the verdict of a marked function in place of a traceback; end a run that is broken."""
    report = yield
    if item.config.stash.get(begun_key, False):
        report.ftgate_waited = True  # type: ignore[attr-defined]
    if call.excinfo and item.config.stash[settings_key].enabled:
        from pytest_ftgate.plugin.item import BlockingVerdict, carry_error, end_broken_run

        if isinstance(call.excinfo.value, BlockingVerdict):
            report.longrepr = call.excinfo.value.section
        carry_error(item, report)
        end_broken_run(item)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """With ``--ftgate-plan``, print the plan instead of running tests; else begin the run."""
    settings = session.config.stash[settings_key]
    if settings.enabled and not settings.plan:
        from pytest_ftgate.plugin.item import begin_run

        begin_run(session)
    if not (settings.enabled and settings.plan):
        return None
    from pytest_ftgate.plugin.selection import show_plan

    try:
        show_plan(session)
    except FtgateError as error:
        raise pytest.UsageError(str(error)) from error
    return True


def pytest_report_teststatus(report: Any, config: pytest.Config) -> Any:
    """Return *inconclusive* and *invalid*, and *reported* for what fails no test, as a status."""
    if config.stash[settings_key].enabled and getattr(report, "when", "") == "call":
        from pytest_ftgate.plugin.reporter import gate_status

        return gate_status(report, config)
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> Generator[None]:
    """Complete pytest's short summary with what it does not list, and close with the verdict.

    It names a forgotten --ftgate. After an error in the command line, pytest says it all. All
    sections, which quote replies, are printed while the build server obeys no commands.
    """
    reporter = config.stash.get(reporter_key, None)
    if reporter is None:
        yield
        ignored = config.stash.get(ignored_key, 0)
        if ignored and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            suites = "1 suite was" if ignored == 1 else f"{ignored} suites were"
            terminalreporter.write_line(f"{suites} not evaluated: add --ftgate")
        return
    from pytest_ftgate.plugin.internal_error import noted

    with reporter.commands_stopped(terminalreporter):
        yield
        if exitstatus != pytest.ExitCode.USAGE_ERROR:
            with noted(config):
                reporter.complete_short_summary(terminalreporter)
                reporter.write_summary(terminalreporter)
    with noted(config):
        reporter.annotate(terminalreporter)
    reporter.add_internal_error()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the engine and write the reports; a run without any verdict is not green.

    It comes before the file of JUnit, which has an internal error as well.
    """
    if session.config.stash[settings_key].enabled:
        from pytest_ftgate.plugin.reporter import finish_run

        finish_run(session, session.config.stash.get(reporter_key, None))
