"""The suites of a run of pytest, with what its plugins contribute to each."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection
from functools import partial
from pathlib import Path

import pytest

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.plugin.state import session_key, settings_key
from pytest_ftgate.providers.base import ProviderFactory
from pytest_ftgate.runner.plugins import Owners, order_requests, plugin_contributions
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.suite import prepare_suite
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.plugins import PluginContributions

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
            suite = load_suite(path, session.config.rootpath, contributions_for(session, path))
            suites[path] = prepare_suite(session.config.stash[session_key], suite)
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
