"""A rule: one way to score the content of a reply, or to check its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.suite.references import reference_error

__all__ = ["Rule", "function_error", "parse_python_rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to score the content of a reply, or to check its format.

    Attributes:
        kind: a kind of score or of format; ``mean`` for several scores, ``marked`` for a marked
            test function, ``offered`` for a function of a plugin.
        value: the data of the kind: labels, a schema, a pattern, tests, ``module:function``. For
            ``mean`` the scores with their weights, for ``marked`` a digest of the function's
            code, for ``offered`` the plugin's name of the function.
        options: the settings of a scorer.
        function: the function of a plugin, with the options applied.
    """

    kind: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[..., Any] | None = field(default=None, compare=False)

    @property
    def parts(self) -> tuple[Rule, ...]:
        """The scores of a mean, or the rule itself."""
        return tuple(rule for rule, _ in self.value) if self.kind == "mean" else (self,)

    @property
    def scores_without_expected(self) -> bool:
        """True if the rule scores a reply without an expected value, as a judge does."""
        kinds = ("python", "judge", "marked", "offered")
        return any(part.kind in kinds or "tests" in part.options for part in self.parts)


def function_error(rule: Rule, folder: Path) -> str | None:
    """Return why a Python object that *rule* names cannot be used, or None.

    Args:
        rule: a rule of any kind.
        folder: the folder of the suite.
    """
    kinds = ("python", "pydantic")
    references = [part.value for part in rule.parts if part.kind in kinds]
    errors = (reference_error(value, folder) for value in references if value is not None)
    return next((error for error in errors if error), None)


#: The longest timeout of a function that scores a reply, in seconds.
_MAX_SECONDS = 600


def parse_python_rule(written: Any) -> tuple[str, dict[str, Any]]:
    """Return the reference and the options of ``python``: a reference, or one with a timeout.

    Raises:
        ValueError: the value is neither. The message holds the remedy.
    """
    if isinstance(written, str):
        return written, {}
    example = "{python: {function: package.module:function, seconds: 60}}"
    if not isinstance(written, Mapping) or not isinstance(written.get("function"), str):
        raise ValueError("python needs a function, written package.module:function")  # noqa: TRY004
    unknown = next((key for key in written if key not in ("function", "seconds")), None)
    if unknown is not None:
        raise ValueError(f'python: unknown key "{unknown}", as in {example}')
    seconds = written.get("seconds", 1)
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"python: seconds must be above 0 and at most 600, not {seconds}")
    return written["function"], {"seconds": seconds} if "seconds" in written else {}
