"""Keys under which the plugin keeps its state in pytest's stash, and what marks mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.errors import Diagnostic
from pytest_ftgate.settings import Settings

if TYPE_CHECKING:
    from pytest_ftgate.runner.session import Session

settings_key = pytest.StashKey[Settings]()
#: The session of the run, with ``--ftgate``.
session_key: pytest.StashKey[Session] = pytest.StashKey()
#: Of a collector: the errors of marks below it.
errors_key = pytest.StashKey[list[Diagnostic]]()


def evaluates_nothing(config: pytest.Config) -> bool:
    """Return True if the options of *config* ask to evaluate no gate."""
    # --setup-plan implies --setup-only.
    only_looks = config.getoption("collectonly") or config.getoption("setuponly")
    return bool(only_looks) or config.stash[settings_key].plan


def is_marked_as_gate(item: pytest.Item) -> bool:
    """Return True if *item* is marked to be a gate, whether it is one or cannot be."""
    if any(mark.name == "ftgate" for mark in item.own_markers):
        return True
    # In a marked class or module, some tests may take no reply.
    takes_reply = {"reply", "ask"} & {*getattr(item, "fixturenames", ())}
    return bool(takes_reply) and item.get_closest_marker("ftgate") is not None
