"""A rule: one way to rate a reply, for its content or for its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.suite.references import reference_fault

__all__ = ["Rule", "function_fault", "function_of"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to read a reply.

    Attributes:
        kind: a kind of score, ``mean`` for several of them, or a kind of format; ``marked`` where a
            marked test function marks, ``offered`` where a function of a plugin does.
        value: what the kind needs: labels, a schema, a pattern, tests, ``module:function``; of a
            mean the scores, each with its weight; of a marked function a digest of its code; the
            name under which a plugin offers it.
        options: the settings of a scorer.
        function: what a plugin offers under the name, with the options put in.
    """

    kind: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[..., Any] | None = field(default=None, compare=False)

    @property
    def parts(self) -> tuple[Rule, ...]:
        """The scores that it is the mean of, or itself alone."""
        return tuple(rule for rule, _ in self.value) if self.kind == "mean" else (self,)

    @property
    def unaided(self) -> bool:
        """Whether it marks a reply even where a case expects nothing, as a judge does."""
        alone = ("python", "judge", "marked", "offered")
        return any(one.kind in alone or "tests" in one.options for one in self.parts)


def function_fault(rule: Rule, folder: Path) -> str | None:
    """Say why what a rule names in Python cannot be used, or return None.

    Args:
        rule: of any kind.
        folder: of the suite.
    """
    known = ("python", "pydantic")
    named = (part.value for part in rule.parts if part.kind in known and part.value is not None)
    return next((fault for one in named if (fault := reference_fault(one, folder))), None)


#: What a function that reads a reply may be given, in seconds.
_MOST_SECONDS = 600


def function_of(written: Any) -> tuple[str, dict[str, Any]]:
    """Return the reference and the options of ``python``: a reference alone, or with its limit.

    Raises:
        ValueError: it is neither; what to write is said.
    """
    if isinstance(written, str):
        return written, {}
    example = "{python: {function: package.module:function, seconds: 60}}"
    if not isinstance(written, Mapping) or not isinstance(written.get("function"), str):
        raise ValueError("python needs a function, written package.module:function")  # noqa: TRY004
    strange = next((key for key in written if key not in ("function", "seconds")), None)
    if strange is not None:
        raise ValueError(f'python: unknown key "{strange}", as in {example}')
    seconds = written.get("seconds", 1)
    whole = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not whole or not 0 < seconds <= _MOST_SECONDS:
        raise ValueError(f"python: seconds must be above 0 and at most 600, not {seconds}")
    return written["function"], {"seconds": seconds} if "seconds" in written else {}
