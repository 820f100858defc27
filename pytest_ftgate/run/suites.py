"""The suites of a run, each loaded once: by its own file, and by whatever else names it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftgate.errors import SuiteFaults
from pytest_ftgate.gate.feasible import repeats_for
from pytest_ftgate.gate.runnable import runnable
from pytest_ftgate.run.offered import offered
from pytest_ftgate.run.session import session_key
from pytest_ftgate.settings import settings_key
from pytest_ftgate.suite.batch import in_batches
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.model import Suite

__all__ = ["prepared", "suite_at"]

_suites_key = pytest.StashKey[dict[Path, Suite | SuiteFaults]]()


def suite_at(session: pytest.Session, path: Path) -> Suite:
    """Return the suite in the file *path*, ready to be asked.

    Raises:
        SuiteFaults: it cannot be used; gates that no outcome could pass are not looked for.
    """
    known = session.config.stash.setdefault(_suites_key, {})
    if path not in known:
        try:
            suite = load(path, session.config.rootpath, offered(session, path))
            known[path] = prepared(session.config, suite)
        except SuiteFaults as error:
            known[path] = error
    found = known[path]
    if isinstance(found, SuiteFaults):
        raise found
    return found


def prepared(config: pytest.Config, suite: Suite) -> Suite:
    """Return *suite* as this run asks it, and use the replies that are committed beside it.

    Raises:
        SuiteFaults: these cannot be read.
    """
    suite = runnable(suite)
    suite = in_batches(suite) if config.stash[settings_key].batch else suite
    config.stash[session_key].take_in(suite)
    return replace(suite, repeats=repeats_for(suite))
