"""The suites of a run, with what other plugins contribute to each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any

import pluggy
import pytest

from pytest_ftgate import skills
from pytest_ftgate.errors import ConfigurationError, Diagnostic, SuiteError
from pytest_ftgate.gates.feasibility import exclude_unrunnable_skills, with_default_limits
from pytest_ftgate.plugin.state import session_key, settings_key
from pytest_ftgate.providers.base import ProviderFactory
from pytest_ftgate.readers.source import display_path
from pytest_ftgate.requests.request import Request
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.cases import equal_inputs
from pytest_ftgate.suite.formats import FORMAT_KINDS
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.plugins import PluginContributions, PriceFunction
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.suite.scorers import SCORE_KINDS
from pytest_ftgate.suite.variants import with_batching

#: Folders of the code that calls hooks.
_CALLERS = (Path(__file__).parents[1], Path(pluggy.__file__).parent)
#: The plugin that contributed each name, for the whole run.
_owners_key = pytest.StashKey[dict[tuple[str, str], str]]()
_providers_key = pytest.StashKey[dict[str, ProviderFactory]]()


@dataclass(frozen=True, slots=True)
class _ContributionKind:
    """One kind of contribution, which a suite refers to by name.

    Attributes:
        hook: the end of the hook's name; also the plural noun in messages.
        noun: the singular noun in messages.
        reserved: returns the names that the package itself uses.
        is_valid: returns True if a value is a contribution of this kind.
        expected: a description of a valid value, for messages.
    """

    hook: str
    noun: str
    reserved: Callable[[], Collection[str]]
    is_valid: Callable[[Any], bool]
    expected: str


def _is_file(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).is_file()


_KINDS = (
    _ContributionKind(
        *("providers", "provider", lambda: PROVIDERS, callable),
        "a class derived from pytest_ftgate.Provider",
    ),
    _ContributionKind(
        *("scorers", "scorer", lambda: SCORE_KINDS, callable),
        "a function that takes a case and a reply, and returns 0 to 1",
    ),
    _ContributionKind(
        *("formats", "format", lambda: FORMAT_KINDS, callable),
        "a function that takes a case and a reply, and returns what is wrong or an empty text",
    ),
    _ContributionKind(
        *("skills", "skill", lambda: (*skills.set_names(), *skills.skill_names()), _is_file),
        "the path of a .jsonl file of cases",
    ),
)


def contributions_for(session: pytest.Session, path: Path) -> PluginContributions:
    """Return the contributions of plugins, and of ``conftest.py`` files above the suite *path*.

    One engine serves all suites, so that it gets the providers of each.

    Raises:
        SuiteError: a name is taken, or a contribution has the wrong type.
    """
    hooks, root = session.gethookproxy(path), session.config.rootpath
    errors: list[Diagnostic] = []
    contributed = {
        kind.hook: dict(_contributions_of_kind(session.config, hooks, kind, errors))
        for kind in _KINDS
    }
    if errors:
        raise SuiteError(display_path(root, path), errors)
    session.config.stash[_providers_key].update(contributed["providers"])
    skill_files = {name: Path(file).resolve() for name, file in contributed["skills"].items()}
    price = _price_function(hooks, root)
    return PluginContributions(**{**contributed, "skills": skill_files}, price=price)


def _contributions_of_kind(
    config: pytest.Config, hooks: Any, kind: _ContributionKind, errors: list[Diagnostic]
) -> Iterator[tuple[str, Any]]:
    """Yield names and values of one kind; append what is wrong with them to *errors*."""
    owners = config.stash.setdefault(_owners_key, {})
    # One by one: a joint call does not tell which plugin returned which value.
    for implementation in getattr(hooks, f"pytest_ftgate_{kind.hook}").get_hookimpls():
        plugin = display_path(config.rootpath, Path(implementation.plugin_name))
        try:
            contributed: Any = implementation.function()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            errors.append(_hook_error(kind.hook, error, config.rootpath))
            continue
        if contributed is None:
            continue
        messages = list(_contribution_errors(kind, contributed, plugin, owners))
        errors += [Diagnostic(plugin, 0, message) for message in messages]
        if not messages:
            owners |= {(kind.hook, name): plugin for name in contributed}
            yield from contributed.items()


def _price_function(hooks: Any, root: Path) -> PriceFunction | None:
    """Return a function that asks plugins for a price, or None if no plugin has prices."""
    hook = hooks.pytest_ftgate_prices
    if not hook.get_hookimpls():
        return None

    def price(provider: str, model: str) -> tuple[float, float] | None:
        try:
            usd: tuple[float, float] | None = hook(provider=provider, model=model)
        except Exception as error:
            diagnostic = _hook_error("prices", error, root)
            raise SuiteError(diagnostic.path, [diagnostic]) from error
        return usd

    return price


def _hook_error(hook: str, error: Exception, root: Path) -> Diagnostic:
    """Return *error* of a plugin's hook, at the line of the plugin that raised it."""
    frames = [
        (Path(frame.filename), frame.lineno or 0) for frame in extract_tb(error.__traceback__)
    ]
    file, line = next(
        (file, line) for file, line in frames if not any(map(file.is_relative_to, _CALLERS))
    )
    message = f"pytest_ftgate_{hook} broke: {type(error).__name__}: {error}"
    return Diagnostic(display_path(root, file), line, message)


def _contribution_errors(
    kind: _ContributionKind,
    contributed: object,
    plugin: str,
    owners: Mapping[tuple[str, str], str],
) -> Iterator[str]:
    if not isinstance(contributed, Mapping):
        what = type(contributed).__name__
        remedy = f"return a mapping of names to {kind.hook}"
        yield f"pytest_ftgate_{kind.hook} returned {what}; {remedy}"
        return
    for name, value in contributed.items():
        owner = owners.get((kind.hook, name), plugin)
        if name in kind.reserved():
            yield f'{kind.noun} "{name}" comes with the package; offer yours under another name'
        elif owner != plugin:
            yield f'{kind.noun} "{name}" is offered by {owner} as well; rename one of them'
        elif not kind.is_valid(value):
            what = value if kind.hook == "skills" else type(value).__name__
            yield f'{kind.noun} "{name}" is {what}; offer {kind.expected}'


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
            suites[path] = prepare_suite(session.config, suite)
        except SuiteError as error:
            suites[path] = error
    loaded = suites[path]
    if isinstance(loaded, SuiteError):
        raise loaded
    return loaded


def prepare_suite(config: pytest.Config, suite: Suite) -> Suite:
    """Return *suite* with the settings of this run, and load the replies committed beside it.

    Raises:
        SuiteError: the committed replies or the accepted record cannot be read, or a gate has too
            few cases for a default limit.
    """
    suite = exclude_unrunnable_skills(suite)
    suite = with_batching(suite) if config.stash[settings_key].batch else suite
    session = config.stash[session_key]
    session.use_committed_replies(suite)
    same = equal_inputs(suite.cases)
    session.user_messages += [f"{session.settings.typed(suite.name)}: {same}"] if same else []
    suite = with_default_limits(suite, session.accepted_limits(suite))
    if suite.repeats is None:
        from pytest_ftgate.gates.power import needed_repeats  # imports SciPy

        suite = replace(suite, repeats=needed_repeats(suite))
    return suite


def begin_session(config: pytest.Config, settings: Settings, run: str) -> Session:
    """Make the session of *config*; *run* is a name that all processes of the run share."""
    providers = config.stash[_providers_key] = {}
    session = Session(settings, run, providers, partial(_order_requests, config))
    config.stash[settings_key], config.stash[session_key] = settings, session
    return session


def _order_requests(config: pytest.Config, requests: Iterable[Request]) -> Iterable[Request]:
    """Return *requests* in the order that plugins want; removed ones are sent when needed.

    Raises:
        ConfigurationError: a plugin raises, or adds a request.
    """
    hook = config.hook.pytest_ftgate_plan_modifyitems
    if not hook.get_hookimpls():
        return requests
    planned = {request.fingerprint: request for request in requests}
    items = [*planned.values()]
    try:
        hook(config=config, items=items)
    except Exception as error:
        raise ConfigurationError(
            str(_hook_error("plan_modifyitems", error, config.rootpath))
        ) from error
    if any(planned.get(request.fingerprint) is not request for request in items):
        raise ConfigurationError(
            "pytest_ftgate_plan_modifyitems may order requests, not add or change any"
        )
    return items
