"""What other plugins contribute to a run: names for suites, prices, an order of the requests.

Plugins are those that pytest has loaded or, without pytest, those that `load_plugins` finds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from traceback import extract_tb
from typing import Any

import pluggy

from pytest_ftgate import hookspecs, skills
from pytest_ftgate.errors import ConfigurationError, Diagnostic, SuiteError
from pytest_ftgate.readers.source import display_path
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.draft import PluginContributions, PriceFunction
from pytest_ftgate.suite.formats import FORMAT_KINDS
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.suite.scorers import SCORE_KINDS

#: Folders of the code that calls hooks.
_CALLERS = (Path(__file__).parents[1], Path(pluggy.__file__).parent)
#: The plugin that contributed each kind and name.
Owners = dict[tuple[str, str], str]


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


def plugin_contributions(
    hooks: Any, root: Path, suite: Path, owners: Owners
) -> tuple[PluginContributions, Mapping[str, Any]]:
    """Return what the plugins behind *hooks* contribute to the file *suite*, and their providers.

    Messages name files relative to *root*. *owners* are the names of the run so far; new ones are
    added.

    Raises:
        SuiteError: a name is taken, or a contribution has the wrong type.
    """
    errors: list[Diagnostic] = []
    contributed = {
        kind.hook: dict(_contributions_of_kind(hooks, root, kind, owners, errors))
        for kind in _KINDS
    }
    if errors:
        raise SuiteError(display_path(root, suite), errors)
    skill_files = {name: Path(file).resolve() for name, file in contributed["skills"].items()}
    price = _price_function(hooks, root)
    contributions = PluginContributions(**{**contributed, "skills": skill_files}, price=price)
    return contributions, contributed["providers"]


def _contributions_of_kind(
    hooks: Any, root: Path, kind: _ContributionKind, owners: Owners, errors: list[Diagnostic]
) -> Iterator[tuple[str, Any]]:
    """Yield names and values of one kind; append what is wrong with them to *errors*."""
    # One by one: a joint call does not show which plugin returned which value.
    for implementation in getattr(hooks, f"pytest_ftgate_{kind.hook}").get_hookimpls():
        plugin = display_path(root, Path(implementation.plugin_name))
        try:
            contributed: Any = implementation.function()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            errors.append(_hook_error(kind.hook, error, root))
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


def order_requests(
    hooks: Any, root: Path, config: Any, requests: Iterable[Request]
) -> Iterable[Request]:
    """Return *requests* in the order that plugins want; removed ones are sent when needed.

    *config* is pytest's, or None.

    Raises:
        ConfigurationError: a plugin raises, or adds a request.
    """
    hook = hooks.pytest_ftgate_plan_modifyitems
    planned = {request.fingerprint: request for request in requests}
    if not (planned and hook.get_hookimpls()):
        return [*planned.values()]
    items = [*planned.values()]
    try:
        hook(config=config, items=items)
    except Exception as error:
        raise ConfigurationError(str(_hook_error("plan_modifyitems", error, root))) from error
    if any(planned.get(request.fingerprint) is not request for request in items):
        raise ConfigurationError(
            "pytest_ftgate_plan_modifyitems may order requests, not add or change any"
        )
    return items


# Plugins without pytest --------------------------------------------------------------------------

#: A requirement of this package, in the metadata of a plugin's distribution.
_REQUIREMENT = re.compile(r"pytest[-_.]ftgate(?![\w.-])", re.IGNORECASE)


class _HookPlugins(pluggy.PluginManager):
    """The hooks of this package alone, found by their names as pytest finds them."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        if not hasattr(hookspecs, name) or not name.startswith("pytest_ftgate_"):
            return None
        function = getattr(plugin, name, None)
        return getattr(function, "pytest_impl", {}) if callable(function) else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        if not name.startswith("pytest_ftgate_"):
            return None
        return getattr(getattr(module_or_class, name), "pytest_spec", {"firstresult": False})


def load_plugins(conftests: Iterable[Path]) -> Any:
    """Return the hooks of the installed plugins and of the files *conftests*, without pytest.

    A plugin is installed if its distribution requires this package and has an entry point of
    pytest's.

    Raises:
        ConfigurationError: a plugin or a file cannot be imported.
    """
    from pytest_ftgate.suite.function_references import import_file

    plugins = _HookPlugins("pytest")
    plugins.add_hookspecs(hookspecs)
    is_off = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    for distribution in () if is_off else distributions():
        # The requirements are read last: they lie in a file that is long for most distributions.
        entries = distribution.entry_points.select(group="pytest11")
        if not entries or not any(map(_REQUIREMENT.match, distribution.requires or ())):
            continue
        for entry in entries:
            try:
                plugins.register(entry.load(), entry.name)
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise ConfigurationError(
                    f"the plugin {entry.name} cannot be imported: {what}"
                ) from error
    for path in conftests:
        plugins.register(import_file(path), str(path))
    return plugins.hook


def report_to_plugins(
    hooks: Any,
    root: Path,
    name: str,
    *,
    breaks: tuple[type[BaseException], ...] = (Exception,),
    **arguments: Any,
) -> list[str]:
    """Call the hook *name* of every plugin; return what went wrong, which changes no verdict.

    *breaks* are the exceptions by which a plugin may break. Among *arguments* is pytest's
    ``config``, None without pytest.
    """
    messages = []
    for implementation in getattr(hooks, f"pytest_ftgate_{name}").get_hookimpls():
        try:
            implementation.function(**{key: arguments[key] for key in implementation.argnames})
        except breaks as error:
            plugin = display_path(root, Path(implementation.plugin_name))
            what = f"{type(error).__name__}: {error}"
            messages.append(f"pytest_ftgate_{name} of {plugin} broke: {what}")
    return messages
