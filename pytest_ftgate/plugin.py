"""The entry point: hooks alone, each a few lines, and nothing heavy before a gate runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.settings import Settings, add_options, settings_key

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from pytest_ftgate.nodes import SuiteFile
    from pytest_ftgate.recorder import Recorder

recorder_key: pytest.StashKey[Recorder] = pytest.StashKey()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare what other plugins may add."""
    from pytest_ftgate import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and the configuration keys."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, and where gates are wanted prepare to judge and to report."""
    config.addinivalue_line("markers", "ftgate: a gate of a suite; select gates with -m ftgate.")
    settings = Settings.of(config)
    config.stash[settings_key] = settings
    if settings.enabled:
        _enable(config, settings)


def _enable(config: pytest.Config, settings: Settings) -> None:
    from uuid import uuid4

    from pytest_ftgate.recorder import Recorder
    from pytest_ftgate.run.session import Session, session_key

    worker = getattr(config, "workerinput", None)
    if worker and settings.max_usd is not None:
        # Each worker may spend its part, for none knows what the others have spent.
        settings = replace(settings, max_usd=settings.max_usd / worker["workercount"])
    config.stash[session_key] = Session(settings, worker["testrunuid"] if worker else uuid4().hex)
    if worker is None:
        config.stash[recorder_key] = Recorder(settings)
        config.pluginmanager.register(config.stash[recorder_key], "ftgate-recorder")


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
    from pytest_ftgate.nodes import SuiteFile

    collected: SuiteFile = SuiteFile.from_parent(parent, path=file_path)
    return collected


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put gates after ordinary tests, and leave out the variants that were not named."""
    settings = config.stash[settings_key]
    if settings.enabled:
        from pytest_ftgate.nodes import arrange

        arrange(config, settings, items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Never let a marked function pass unjudged."""
    if item.get_closest_marker("ftgate") and not hasattr(item, "judged"):
        if not item.config.stash[settings_key].enabled:
            pytest.skip("judged with --ftgate only")
        pytest.fail("@pytest.mark.ftgate on functions is not available yet", pytrace=False)


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Print the plan instead of running, where that is what was asked for."""
    settings = session.config.stash[settings_key]
    if not (settings.enabled and settings.plan):
        return None
    from pytest_ftgate.nodes import show_plan

    show_plan(session)
    return True


def pytest_report_teststatus(report: Any, config: pytest.Config) -> Any:
    """Show inconclusive as a status of its own, neither passed nor failed."""
    if config.stash[settings_key].enabled and getattr(report, "when", "") == "call":
        from pytest_ftgate.recorder import status

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
    from pytest_ftgate.recorder import finish

    finish(session, config.stash.get(recorder_key, None))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take from a pytest-xdist worker how much it asked, and what it has to say."""
    told = getattr(node, "workeroutput", {})
    recorder = node.config.stash.get(recorder_key, None)
    if "ftgate_asking" in told and recorder is not None:
        recorder.note_asking(*(told["ftgate_asking"]))
        recorder.note_told(told["ftgate_told"])
        if told["ftgate_cases"]:
            from pytest_ftgate.run.leaving import taken

            recorder.note_suites(taken(told["ftgate_cases"]))
