"""The providers that other plugins offer, as one suite sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_ftgate.ask.provider import Open
from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.run.session import session_key
from pytest_ftgate.suite.providers import PROVIDERS

__all__ = ["offered"]

#: Which plugin offers each name, in the whole run.
_givers_key = pytest.StashKey[dict[str, str]]()


def offered(session: pytest.Session, path: Path) -> Mapping[str, Open]:
    """Return what plugins, and the ``conftest.py`` files above *path*, offer the suite there.

    The session is told as well: one engine asks for all suites of a run.

    Raises:
        SuiteFaults: a name is taken, or what is offered is no provider.
    """
    config = session.config
    givers = config.stash.setdefault(_givers_key, {})
    faults: list[Fault] = []
    found: dict[str, Open] = {}
    # One by one, since a joint call does not tell which plugin a result is of.
    for one in session.gethookproxy(path).pytest_ftgate_providers.get_hookimpls():
        giver = _shown(one.plugin_name, config.rootpath)
        offers: Any = one.function()
        wrong = [] if offers is None else list(_wrong(offers, giver, givers))
        faults += [Fault(giver, 0, message) for message in wrong]
        if offers and not wrong:
            found |= offers
            givers |= dict.fromkeys(offers, giver)
    if faults:
        raise SuiteFaults(_shown(str(path), config.rootpath), faults)
    config.stash[session_key].others.update(found)
    return found


def _shown(plugin: str, root: Path) -> str:
    """Return a plugin's name; that of a ``conftest.py`` is its path."""
    path = Path(plugin)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else plugin


def _wrong(offers: object, giver: str, givers: Mapping[str, str]) -> Iterator[str]:
    if not isinstance(offers, Mapping):
        kind = type(offers).__name__
        yield f"pytest_ftgate_providers returned {kind}; return a mapping of names to providers"
        return
    for name, opens in offers.items():
        if name in PROVIDERS:
            yield f'provider "{name}" comes with the package; offer yours under another name'
        elif givers.get(name, giver) != giver:
            yield f'provider "{name}" is offered by {givers[name]} as well; rename one of them'
        elif not callable(opens):
            kind = type(opens).__name__
            yield f'provider "{name}" is {kind}; offer a class derived from pytest_ftgate.Provider'
