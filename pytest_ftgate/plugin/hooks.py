"""The entry point: the hooks that pytest calls, each a few lines."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.settings import Settings, add_options, faults_key, settings_key

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from pytest_ftgate.plugin.fixture import Ftgate
    from pytest_ftgate.plugin.item import SuiteFile
    from pytest_ftgate.plugin.reporter import Observers, Recorder

recorder_key: pytest.StashKey[Recorder] = pytest.StashKey()
observers_key: pytest.StashKey[Observers] = pytest.StashKey()

_MARK = (
    "ftgate(suite=None, *, cases, variants, prompt, max_drop, min, repeats, tags, evidence): "
    "run a test on the reply to each case, as a gate for each variant; -m ftgate selects gates."
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare what other plugins may add."""
    from pytest_ftgate import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and the configuration keys."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, and where gates are wanted prepare to judge and to report."""
    config.addinivalue_line("markers", _MARK)
    settings = Settings.of(config)
    config.stash[settings_key] = settings
    if settings.enabled:
        _enable(config, settings)


def _enable(config: pytest.Config, settings: Settings) -> None:
    from uuid import uuid4

    from pytest_ftgate.runner.imports import uncollected, unhooked

    with uncollected(), unhooked():
        import pytest_ftgate.plugin.item
        import pytest_ftgate.plugin.selection  # noqa: F401
        from pytest_ftgate.plugin.reporter import Observers, Recorder
        from pytest_ftgate.plugin.suites import ordered
        from pytest_ftgate.runner.session import Session, session_key

    worker = getattr(config, "workerinput", None)
    if worker and settings.max_usd is not None:
        # Each worker may spend its part, for none knows what the others have spent.
        settings = replace(settings, max_usd=settings.max_usd / worker["workercount"])
    session = Session(settings, worker["testrunuid"] if worker else uuid4().hex)
    session.order = partial(ordered, config)
    config.stash[session_key] = session
    if worker is None:
        config.stash[recorder_key] = Recorder(settings)
        recorder = config.stash[recorder_key]
        config.stash[observers_key] = Observers(config, recorder.note_told)
        config.pluginmanager.register(recorder, "ftgate-recorder")
        config.pluginmanager.register(config.stash[observers_key], "ftgate-observers")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say where replies come from and where they are kept."""
    settings = config.stash[settings_key]
    if not settings.enabled:
        return None
    ledger = config.getoption("ftgate_ledger") or config.getini("ftgate_ledger")
    return f"ftgate: replies {settings.replies}, ledger {ledger}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """Collect suite files, where gates are wanted."""
    settings = parent.config.stash[settings_key]
    if not settings.enabled or not any(file_path.match(glob) for glob in settings.files):
        return None
    from pytest_ftgate.plugin.item import SuiteFile

    collected: SuiteFile = SuiteFile.from_parent(parent, path=file_path)
    return collected


@pytest.fixture(scope="session")
def ftgate(request: pytest.FixtureRequest) -> Ftgate:
    """Suites to ask, score and judge in a test of one's own; such a test needs --ftgate."""
    from pytest_ftgate.plugin.fixture import Ftgate

    return Ftgate(request.session)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a gate of a marked function for each variant, where gates are wanted."""
    definition = metafunc.definition
    enabled = metafunc.config.stash[settings_key].enabled
    if enabled and definition.get_closest_marker("ftgate"):
        from pytest_ftgate.plugin.marked.collect import parametrize

        parametrize(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Tell the faults of all marks that were met below *collector*."""
    report = yield
    if faults_key not in collector.stash:
        return report
    from pytest_ftgate.plugin.marked.collect import faults_in

    return faults_in(collector, report)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let the items of marked functions stand for gates."""
    if item.config.stash[settings_key].enabled and item.get_closest_marker("ftgate"):
        from pytest_ftgate.plugin.marked.collect import collected

        collected(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put gates after ordinary tests, and leave out the variants that were not named."""
    settings = config.stash[settings_key]
    if settings.enabled:
        from pytest_ftgate.plugin.selection import arrange

        arrange(config, settings, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Once the fixtures of a marked function stand, ask and mark; never let one pass unjudged."""
    takes = {"reply", "ask"} & {*getattr(item, "fixturenames", ())}
    # A class or a module may be marked though not every test of it marks replies.
    itself = any(mark.name == "ftgate" for mark in item.own_markers)
    marked = itself or (takes and item.get_closest_marker("ftgate") is not None)
    if not marked and "ftgate" not in getattr(item, "fixturenames", ()):
        return (yield)
    if not item.config.stash[settings_key].enabled:
        pytest.skip("judged with --ftgate only")
    from pytest_ftgate.plugin.marked.collect import begin, end

    begin(item)
    yield
    end(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the verdict that ended a marked function, and not how it did."""
    report = yield
    if call.when == "call" and call.excinfo and item.config.stash[settings_key].enabled:
        from pytest_ftgate.plugin.marked.collect import explain

        explain(item, call, report)
    return report


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Print the plan instead of running, where that is what was asked for."""
    settings = session.config.stash[settings_key]
    if not (settings.enabled and settings.plan):
        return None
    from pytest_ftgate.plugin.selection import show_plan

    show_plan(session)
    return True


def pytest_report_teststatus(report: Any, config: pytest.Config) -> Any:
    """Show inconclusive as a status of its own, neither passed nor failed."""
    if config.stash[settings_key].enabled and getattr(report, "when", "") == "call":
        from pytest_ftgate.plugin.reporter import status

        return status(report)
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None]:
    """Follow pytest's short summary with what it leaves out."""
    yield
    recorder = config.stash.get(recorder_key, None)
    if recorder is not None:
        recorder.last_words(terminalreporter, config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the engine, write records, and never end green without a gate judged."""
    config = session.config
    if not config.stash[settings_key].enabled:
        return
    from pytest_ftgate.plugin.reporter import finish

    observers = config.stash.get(observers_key, None)
    tell = observers.tell_run if observers else None
    finish(session, config.stash.get(recorder_key, None), tell)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give up what replies said, which takes room on the disk."""
    settings = config.stash.get(settings_key, None)
    if settings is None or not settings.enabled:
        return
    from pytest_ftgate.runner.session import session_key

    if session_key in config.stash:
        config.stash[session_key].forget()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take from a pytest-xdist worker how much it asked, and what it has to say."""
    told = getattr(node, "workeroutput", {})
    recorder = node.config.stash.get(recorder_key, None)
    if "ftgate_asking" in told and recorder is not None:
        recorder.note_asking(*(told["ftgate_asking"]))
        recorder.note_told(told["ftgate_told"])
        if told["ftgate_cases"]:
            from pytest_ftgate.runner.workers import taken

            recorder.note_suites(taken(told["ftgate_cases"]))
