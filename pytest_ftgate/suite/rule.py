"""A rule: one way to score the content of a reply, or to check its format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

#: Kinds of rules that run Python of the repository.
PYTHON_KINDS = ("python", "pydantic")
#: Kinds of scores that join others: the mean of their scores, and whether every one is right.
COMBINED_KINDS = ("mean", "all")
#: The kind of rules that run JavaScript of the repository.
JAVASCRIPT = "javascript"


@dataclass(frozen=True)
class Rule:
    """One way to score the content of a reply, or to check its format.

    Attributes:
        kind: a kind of score or of format; ``mean`` or ``all`` for several scores, ``holds`` for a
            format as a part of ``all``, ``marked`` for a marked test function, ``offered`` for a
            function of a plugin.
        value: the data of the kind: labels, a schema, a pattern, tests, ``module:function``. For
            ``mean`` and ``all`` the scores with their weights, for ``holds`` the format, for
            ``marked`` a digest of the function's code, for ``offered`` the plugin's name of the
            function.
        options: the settings of a scorer.
        function: the function of a plugin, with the options applied.
        path: the file of JavaScript that the rule names, or None; its content is in *value*.
    """

    kind: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[..., Any] | None = field(default=None, compare=False)
    path: Path | None = field(default=None, compare=False)

    @cached_property
    def key(self) -> str:
        """A digest of kind, value, options and function. A copy of a rule has the same key."""
        content = (self.kind, self.value, self.options, _function_name(self.function))
        return sha256(repr(_to_plain(content)).encode()).hexdigest()

    @property
    def parts(self) -> tuple[Rule, ...]:
        """The scores that it joins, or the rule itself."""
        if self.kind not in COMBINED_KINDS:
            return (self,)
        return tuple(part for rule, _ in self.value for part in rule.parts)

    @property
    def checked(self) -> Rule:
        """The format that a part of ``all`` requires, or the rule itself."""
        return self.value if self.kind == "holds" else self

    @property
    def portable(self) -> Rule:
        """The rule as it reads in every process and folder: without its functions and its path."""
        value = self.value
        if self.kind in COMBINED_KINDS:
            value = tuple((rule.portable, weight) for rule, weight in value)
        elif self.kind == "holds":
            value = value.portable
        return replace(self, value=value, function=None, path=None)

    def with_parts(self, change: Callable[[Rule], Any]) -> Rule:
        """Return the rule with what *change* returns for each score that it joins."""
        return replace(self, value=tuple((change(rule), weight) for rule, weight in self.value))

    @property
    def is_graded(self) -> bool:
        """True if a reply may be right in part."""
        kinds = ("mean", "fields", "similarity", "judge", "python", "offered")
        if self.kind == JAVASCRIPT:
            return "threshold" not in self.options and not self.options.get("inverse")
        return self.kind in kinds or bool(self.options.get("partial"))

    @property
    def scores_without_expected(self) -> bool:
        """True if the rule scores a reply without an expected value, as a judge does."""
        kinds = ("python", JAVASCRIPT, "judge", "marked", "offered", "recorded", "holds")
        return any(part.kind in kinds or "tests" in part.options for part in self.parts)


def _to_plain(value: Any) -> Any:
    """Return *value* as lists and sorted dictionaries, so that equal values look the same."""
    if isinstance(value, Rule):
        return value.key
    if isinstance(value, Mapping):
        return {key: _to_plain(value[key]) for key in sorted(value, key=repr)}
    return [_to_plain(member) for member in value] if isinstance(value, list | tuple) else value


def _function_name(function: Callable[..., Any] | None) -> Any:
    """Return what tells *function* from others, in every process; None without a function."""
    if function is None:
        return None
    if isinstance(function, partial):
        return (_function_name(function.func), function.args, function.keywords)
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    code = getattr(function, "__code__", None)
    # Modules such as conftest may share their name.
    place = (code.co_filename, code.co_firstlineno) if code else ()
    return (named.__module__, named.__qualname__, place)


def choice_labels(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the labels of the ``choice`` rules among the rules of a reply format."""
    return tuple(label for rule in rules if rule.kind == "choice" for label in rule.value)


def grades_pairs(rule: Rule) -> bool:
    """Return True if *rule* is a judge that compares each reply with the baseline's."""
    return rule.kind == "judge" and bool(rule.options.get("compare"))


def function_error(rule: Rule, folder: Path) -> str | None:
    """Return why a Python object that *rule* names cannot be used, or None.

    *rule* may be of any kind. *folder* is that of the suite.
    """
    checked = [part.checked for part in rule.parts]
    references = [part.value for part in checked if part.kind in PYTHON_KINDS]
    if not references:
        return None
    from pytest_ftgate.suite.function_references import reference_error

    errors = (reference_error(value, folder) for value in references if value is not None)
    return next(filter(None, errors), None)
