"""The suites of a run of pytest or of a command, with what plugins contribute to each."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_ftgate.errors import ConfigurationError, SuiteError
from pytest_ftgate.plugin.state import session_key, settings_key
from pytest_ftgate.providers.base import ProviderFactory
from pytest_ftgate.runner.plugins import Owners, order_requests, plugin_contributions
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.suite import check_feasibility, prepare_suite
from pytest_ftgate.settings import Settings, short_path
from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite

#: The plugin that contributed each name, for the whole run.
_owners_key = pytest.StashKey[Owners]()
_providers_key = pytest.StashKey[dict[str, ProviderFactory]]()


def contributions_for(session: pytest.Session, path: Path) -> PluginContributions:
    """Return the contributions of plugins, and of ``conftest.py`` files above the suite *path*.

    One engine serves all suites, so that it gets the providers of each.

    Raises:
        SuiteError: a name is taken, or a contribution has the wrong type.
    """
    config = session.config
    contributions, providers = plugin_contributions(
        session.gethookproxy(path), config.rootpath, path, config.stash.setdefault(_owners_key, {})
    )
    config.stash[_providers_key].update(providers)
    return contributions


_suites_key = pytest.StashKey[dict[Path, Suite | SuiteError]]()


def load_suite_once(session: pytest.Session, path: Path) -> Suite:
    """Return the suite in the file *path*, prepared for this run; each file is read once.

    Raises:
        SuiteError: it cannot be used. Gates that no outcome could pass are not checked here.
    """
    suites = session.config.stash.setdefault(_suites_key, {})
    if path not in suites:
        try:
            run, root = session.config.stash[session_key], session.config.rootpath
            found = contributions_for(session, path)
            safe, overrides = run.settings.safe, run.settings.overrides
            suite = load_suite(path, root, found, safe=safe, overrides=overrides)
            suites[path] = prepare_suite(run, suite)
        except SuiteError as error:
            suites[path] = error
    loaded = suites[path]
    if isinstance(loaded, SuiteError):
        raise loaded
    return loaded


def begin_session(config: pytest.Config, settings: Settings, run: str) -> Session:
    """Make the session of *config*; *run* is a name that all processes of the run share."""
    providers = config.stash[_providers_key] = {}
    order = partial(order_requests, config.hook, config.rootpath, config)
    session = Session(settings, run, providers, order)
    config.stash[settings_key], config.stash[session_key] = settings, session
    return session


def unselected_suites(config: pytest.Config, selected: Collection[str]) -> tuple[str, ...]:
    """Return the suites below the root directory, other than *selected*, as paths below it.

    It looks in no folder that pytest collects nothing from.
    """
    root, globs = config.rootpath, config.stash[settings_key].files
    skipped, found = config.getini("norecursedirs"), set[Path]()
    for name, below, files in os.walk(root):
        folder, is_environment = Path(name), "pyvenv.cfg" in files
        below[:] = (
            one
            for one in below
            if not (is_environment or any((folder / one).match(glob) for glob in skipped))
        )
        for glob in globs:
            alike = map(folder.joinpath, fnmatch.filter(files, glob.rpartition("/")[2]))
            found.update(path for path in alike if path.match(glob))
    paths = (path.relative_to(root).as_posix() for path in sorted(found))
    return tuple(path for path in paths if path not in selected)


def named_suites(config: pytest.Config, suites: Iterable[str]) -> Iterator[str]:
    """Yield those of *suites*, paths below the root directory, that lie in what the command names.

    The command does not select the others.
    """
    folder = config.invocation_params.dir
    named = [Path(folder, argument.partition("::")[0]) for argument in config.args]
    for suite in suites:
        path = config.rootpath / suite
        if any(one == path or one in path.parents for one in named):
            yield suite


def override_error(config: pytest.Config) -> str:
    """Return what is wrong with an option that sets a key of a variant in no suite; or ""."""
    session, loaded = config.stash[session_key], config.stash.setdefault(_suites_key, {})
    # A suite with errors may have had the variant.
    has_errors = any(isinstance(one, SuiteError) for one in loaded.values())
    if has_errors or not (session.suites and session.settings.overrides):
        return ""
    from pytest_ftgate.suite.overrides import unknown_override

    variants = (one for suite in session.suites for one in suite.variants.values())
    names = [*dict.fromkeys(variant.declared_name for variant in variants)]
    return unknown_override(session.settings.overrides, names)


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
        if path.is_dir():
            named = map(session.settings.typed, unselected_suites(config, ()))
            found = [one for one in named if Path(one).resolve().is_relative_to(path.resolve())]
            listed = f" in it: {', '.join(found[:_MAX_NAMED])}" if found else ""
            raise ConfigurationError(f"{path} is a folder; name a suite{listed}")
        suite = load_suite_once(pytest.Session.from_config(config), path.absolute())
        check_feasibility(suite)
        return use(suite, session)

    return _with_config(path, use_config)


#: The most suites that a message names.
_MAX_NAMED = 5


def _settings(config: pytest.Config, cache: Path | None) -> Settings:
    settings = Settings.from_config(config)
    cache = cache or short_path(settings.cache, settings.start)
    return replace(settings, enabled=True, cache=cache)
