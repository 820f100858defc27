"""pytest's configuration, plugins and suites for commands that run no tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.kinds import check_feasibility
from pytest_ftgate.plugin.suites import begin_session, load_suite_once
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import Settings, short_path
from pytest_ftgate.suite.model import Suite

_T = TypeVar("_T")
#: Our plugin, also where plugins are not loaded by themselves. Nothing is tested, so there is no
#: reason to rewrite assertions.
_OPTIONS = ("-p", "pytest_ftgate", "--assert=plain")


def _with_config(path: Path | None, use: Callable[[pytest.Config], _T]) -> _T:
    """Return the result of *use*, called with the config of ``pytest PATH`` in this folder.

    pytest finds the root directory, the configuration file, options in the environment, plugins
    and ``conftest.py`` files. It neither configures the plugins nor collects. The config is valid
    until *use* returns.

    Raises:
        ConfigurationError: pytest does not start; it has printed why.
    """
    results: list[_T] = []

    class Command:
        """Stands in for the main loop of pytest."""

        @pytest.hookimpl(tryfirst=True)
        def pytest_cmdline_main(self, config: pytest.Config) -> int:
            results.append(use(config))
            return 0

    # An absolute path cannot be taken for an option.
    paths = [] if path is None else [str(path.absolute())]
    code = pytest.main([*_OPTIONS, *paths], plugins=[Command()])
    if not results:
        raise ConfigurationError(f"pytest does not start here (exit code {int(code)}), see above")
    return results[0]


def settings_of_run(path: Path | None = None, cache: Path | None = None) -> Settings:
    """Return the settings of ``pytest --ftgate PATH`` in this folder, with *cache* if it is given.

    Raises:
        ConfigurationError: pytest does not start, or a setting is not allowed.
    """
    return _with_config(path, lambda config: _settings(config, cache))


def with_suite(path: Path, cache: Path | None, use: Callable[[Suite, Session], _T]) -> _T:
    """Return the result of *use*, called with the suite *path* and a session, as in a run.

    *cache* None is the cache file of a run. Plugins are loaded until *use* returns.

    Raises:
        SuiteError: the suite is invalid.
        ConfigurationError: pytest does not start, or a setting is not allowed.
    """

    def use_config(config: pytest.Config) -> _T:
        session = begin_session(config, _settings(config, cache), "pytest-ftgate")
        suite = load_suite_once(pytest.Session.from_config(config), path.absolute())
        check_feasibility(suite)
        return use(suite, session)

    return _with_config(path, use_config)


def _settings(config: pytest.Config, cache: Path | None) -> Settings:
    settings = Settings.from_config(config)
    cache = cache or short_path(settings.cache, settings.start)
    return replace(settings, enabled=True, cache=cache)
