"""The suites of a run, with what other plugins contribute to each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import extract_tb
from typing import Any

import pluggy
import pytest

from pytest_ftgate import skills
from pytest_ftgate.errors import Fault, SuiteFaults, Unavailable
from pytest_ftgate.gates.feasibility import repeats_for, runnable
from pytest_ftgate.requests.request import Call
from pytest_ftgate.runner.session import session_key
from pytest_ftgate.settings import settings_key
from pytest_ftgate.suite.formats import FORMATS
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.plugins import PluginContributions, Price
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.suite.scorers import SCORES
from pytest_ftgate.suite.variants import in_batches

__all__ = ["broken", "giver_of", "offered", "ordered", "prepared", "suite_at"]

#: Where the code lies that calls hooks.
_CALLERS = (Path(__file__).parents[1], Path(pluggy.__file__).parent)
#: Which plugin offers each name, in the whole run.
_givers_key = pytest.StashKey[dict[tuple[str, str], str]]()


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of thing that plugins offer by name.

    Attributes:
        hook: the end of the hook's name, and what a mapping of it is called.
        one: what one of it is called.
        taken: the names that the package has taken.
        fits: tells whether something is one of it.
        wanted: what to offer instead.
    """

    hook: str
    one: str
    taken: Callable[[], Collection[str]]
    fits: Callable[[Any], bool]
    wanted: str


def _is_file(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).is_file()


_KINDS = (
    _Kind(
        *("providers", "provider", lambda: PROVIDERS, callable),
        "a class derived from pytest_ftgate.Provider",
    ),
    _Kind(
        *("scorers", "scorer", lambda: SCORES, callable),
        "a function that takes a case and a reply, and returns 0 to 1",
    ),
    _Kind(
        *("formats", "format", lambda: FORMATS, callable),
        "a function that takes a case and a reply, and returns what is wrong or an empty text",
    ),
    _Kind(
        *("skills", "skill", lambda: (*skills.SETS, *skills.known()), _is_file),
        "the path of a .jsonl file of cases",
    ),
)


def offered(session: pytest.Session, path: Path) -> PluginContributions:
    """Return what plugins, and the ``conftest.py`` files above *path*, offer the suite there.

    The run is told of providers as well: one engine asks for all suites.

    Raises:
        SuiteFaults: a name is taken, or what is offered is not what the hook asks for.
    """
    hooks, root = session.gethookproxy(path), session.config.rootpath
    faults: list[Fault] = []
    found = {kind.hook: dict(_of_kind(session.config, hooks, kind, faults)) for kind in _KINDS}
    if faults:
        raise SuiteFaults(giver_of(str(path), root), faults)
    session.config.stash[session_key].others.update(found["providers"])
    return PluginContributions(
        providers=found["providers"],
        scorers=found["scorers"],
        formats=found["formats"],
        skills={name: Path(file).resolve() for name, file in found["skills"].items()},
        price=_price(hooks, root),
    )


def _of_kind(
    config: pytest.Config, hooks: Any, kind: _Kind, faults: list[Fault]
) -> Iterator[tuple[str, Any]]:
    """Yield the names and things of one kind; what is wrong with them goes to *faults*."""
    givers = config.stash.setdefault(_givers_key, {})
    # One by one, since a joint call does not tell which plugin a result is of.
    for one in getattr(hooks, f"pytest_ftgate_{kind.hook}").get_hookimpls():
        giver = giver_of(one.plugin_name, config.rootpath)
        try:
            offers: Any = one.function()
        except Exception as error:  # noqa: BLE001 - it may be any
            faults.append(broken(kind.hook, error, config.rootpath))
            continue
        wrong = [] if offers is None else list(_wrong(kind, offers, giver, givers))
        faults += [Fault(giver, 0, message) for message in wrong]
        if offers and not wrong:
            givers |= {(kind.hook, name): giver for name in offers}
            yield from offers.items()


def _price(hooks: Any, root: Path) -> Price | None:
    """Return what asks plugins for prices, the first of which that knows one is believed."""
    hook = hooks.pytest_ftgate_prices
    if not hook.get_hookimpls():
        return None

    def asked(provider: str, model: str) -> tuple[float, float] | None:
        try:
            found: tuple[float, float] | None = hook(provider=provider, model=model)
        except Exception as error:
            fault = broken("prices", error, root)
            raise SuiteFaults(fault.path, [fault]) from error
        return found

    return asked


def broken(hook: str, error: Exception, root: Path) -> Fault:
    """Return what a plugin's author mends: *error*, at the line of the plugin where it came up."""
    frames = [(Path(one.filename), one.lineno or 0) for one in extract_tb(error.__traceback__)]
    file, line = next(one for one in frames if not any(map(one[0].is_relative_to, _CALLERS)))
    told = f"pytest_ftgate_{hook} broke: {type(error).__name__}: {error}"
    return Fault(giver_of(str(file), root), line, told)


def giver_of(plugin: str, root: Path) -> str:
    """Return a plugin's name; that of a ``conftest.py`` is its path."""
    path = Path(plugin)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else plugin


def _wrong(
    kind: _Kind, offers: object, giver: str, givers: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    if not isinstance(offers, Mapping):
        what = type(offers).__name__
        told = f"return a mapping of names to {kind.hook}"
        yield f"pytest_ftgate_{kind.hook} returned {what}; {told}"
        return
    for name, one in offers.items():
        other = givers.get((kind.hook, name), giver)
        if name in kind.taken():
            yield f'{kind.one} "{name}" comes with the package; offer yours under another name'
        elif other != giver:
            yield f'{kind.one} "{name}" is offered by {other} as well; rename one of them'
        elif not kind.fits(one):
            what = one if kind.hook == "skills" else type(one).__name__
            yield f'{kind.one} "{name}" is {what}; offer {kind.wanted}'


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


def ordered(config: pytest.Config, calls: Iterable[Call]) -> Iterable[Call]:
    """Return *calls* in the order that plugins want; what they take out is asked when needed.

    Raises:
        Unavailable: one breaks, or puts in what nobody asks.
    """
    hook = config.hook.pytest_ftgate_plan_modifyitems
    if not hook.get_hookimpls():
        return calls
    planned = {call.fingerprint: call for call in calls}
    items = [*planned.values()]
    try:
        hook(config=config, items=items)
    except Exception as error:
        raise Unavailable(str(broken("plan_modifyitems", error, config.rootpath))) from error
    if any(planned.get(call.fingerprint) is not call for call in items):
        raise Unavailable("pytest_ftgate_plan_modifyitems may order calls, not add or change any")
    return items
