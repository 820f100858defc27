"""What a rule is: one way to read a reply, for its content or for its form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from pytest_ftgate.suite.defined import reference_fault

__all__ = [
    "Rule",
    "function_fault",
    "later",
]


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
        """Whether it marks a reply even where a case expects nothing: by a function, by tests."""
        own = ("python", "marked", "offered")
        return any(one.kind in own or "tests" in one.options for one in self.parts)


def later(what: str) -> PydanticCustomError:
    """Return the fault for *what* is planned and not built: said, never ignored."""
    return PydanticCustomError("later", "{what} is not available yet; remove it", {"what": what})


def function_fault(rule: Rule, folder: Path) -> str | None:
    """Say why what a rule names in Python cannot be used, or return None.

    Args:
        rule: of any kind.
        folder: of the suite.
    """
    known = ("python", "pydantic")
    named = (part.value for part in rule.parts if part.kind in known and part.value is not None)
    return next((fault for one in named if (fault := reference_fault(one, folder))), None)
