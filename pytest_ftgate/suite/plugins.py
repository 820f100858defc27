"""What plugins contribute to a suite: providers, scorers, formats, skills, prices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.yaml import Document, KeyPath
from pytest_ftgate.suite.rule import Rule

#: Scores or checks a reply: called with a case, a reply and the options in the suite.
ScorerFunction = Callable[..., Any]
#: Returns USD per million input and output tokens by provider and model, or None if unknown.
PriceFunction = Callable[[str, str], tuple[float, float] | None]
_NO_DOCUMENT = Document("", None, {}, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContributions:
    """What plugins add to the names that a suite may use.

    Attributes:
        providers: the names of providers, or None if they are unknown.
        scorers, formats: functions by their name in ``score`` or ``format``.
        skills: files of cases by their name in ``skills``.
        price: returns the price of requests for variants without a declared price, or None.
    """

    providers: Collection[str] | None = ()
    scorers: Mapping[str, ScorerFunction] = field(default_factory=dict)
    formats: Mapping[str, ScorerFunction] = field(default_factory=dict)
    skills: Mapping[str, Path] = field(default_factory=dict)
    price: PriceFunction | None = None

    def resolve_rules(self, value: Any) -> Any:
        """Return *value*, a case or ``reply``, with a `Rule` for each name of a plugin.

        Other names stay as they are, for the validation.
        """
        if not isinstance(value, Mapping) or not (self.scorers or self.formats):
            return value
        functions = {"score": self.scorers, "format": self.formats}
        return {key: _rules(functions.get(key, {}), entry) for key, entry in value.items()}


@dataclass(frozen=True, slots=True)
class SuiteSource(Source):
    """The files of one suite, with the contributions of plugins.

    Attributes:
        document: the content of the suite file, with lines.
    """

    plugins: PluginContributions = field(default_factory=PluginContributions)
    document: Document = _NO_DOCUMENT

    def line(self, *key_path: str | int) -> int:
        """Return the line of *key_path* in the suite file."""
        return self.document.line(key_path)

    def add_error_at(self, key_path: KeyPath, message: str) -> None:
        """Add an error at *key_path* of the suite file."""
        self.add_error(self.document.line(key_path), message)


def _rules(functions: Mapping[str, ScorerFunction], written: Any) -> Any:
    if isinstance(written, list):
        return [_rules(functions, item) for item in written]
    if isinstance(written, Mapping):
        # A name with its options; in a list of scores also a weight.
        entries = {key: _rule_or_value(functions, key, value) for key, value in written.items()}
        rules = [entry for entry in entries.values() if isinstance(entry, Rule)]
        return rules[0] if rules and len(written) == 1 else entries
    return _rule_or_value(functions, written, None) or written


def _rule_or_value(functions: Mapping[str, ScorerFunction], name: Any, value: Any) -> Any:
    """Return the rule of *name* with *value* as its options, or *value* if no plugin has it."""
    if not isinstance(name, str) or name not in functions:
        return value
    options = dict(value) if isinstance(value, Mapping) else {}
    function = partial(functions[name], **options) if options else functions[name]
    return Rule("offered", name, options, function)
