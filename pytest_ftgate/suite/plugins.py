"""What plugins contribute to a suite: providers, scorers, formats, skills, prices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.readers.source import Source
from pytest_ftgate.suite.rule import Rule

__all__ = ["PluginContributions", "Price", "Reads", "SuiteSource"]

#: Reads a case and a reply, with the options that the suite gives; as of ``python``.
Reads = Callable[..., Any]
#: USD for a million tokens, read and written, by provider and model; None where it is not known.
Price = Callable[[str, str], tuple[float, float] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContributions:
    """What one suite may name besides what comes with the package.

    Attributes:
        providers: their names, or None where they cannot be known.
        scorers, formats: functions by the name that a suite writes for ``score`` or ``format``.
        skills: files of cases by the name that a suite writes for ``skills``.
        price: tells what calls cost where a suite declares no price, or None.
    """

    providers: Collection[str] | None = ()
    scorers: Mapping[str, Reads] = field(default_factory=dict)
    formats: Mapping[str, Reads] = field(default_factory=dict)
    skills: Mapping[str, Path] = field(default_factory=dict)
    price: Price | None = None

    def named(self, value: Any) -> Any:
        """Return *value*, a case or what a suite says of replies, with rules for what is offered.

        What is not offered stays as it is, for the validation to read.
        """
        if not isinstance(value, Mapping) or not (self.scorers or self.formats):
            return value
        found = {"score": self.scorers, "format": self.formats}
        return {key: _rules(found.get(key, {}), one) for key, one in value.items()}


@dataclass(frozen=True, slots=True)
class SuiteSource(Source):
    """The files of one suite, with what plugins contribute to it."""

    plugins: PluginContributions = field(default_factory=PluginContributions)


def _rules(offered: Mapping[str, Reads], written: Any) -> Any:
    if isinstance(written, list):
        return [_rules(offered, one) for one in written]
    if isinstance(written, Mapping):
        # One name with its options, and in a list of scores its weight.
        rules = {key: _rule(offered, key, value) for key, value in written.items()}
        own = [rule for rule in rules.values() if isinstance(rule, Rule)]
        return own[0] if own and len(written) == 1 else rules
    return _rule(offered, written, None) or written


def _rule(offered: Mapping[str, Reads], name: Any, options: Any) -> Any:
    if not isinstance(name, str) or name not in offered:
        return options
    given = dict(options) if isinstance(options, Mapping) else {}
    return Rule("offered", name, given, partial(offered[name], **given) if given else offered[name])
