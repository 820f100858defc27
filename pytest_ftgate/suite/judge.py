"""What a judge is: as an author declares it, and as it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

if TYPE_CHECKING:
    from pytest_ftgate.suite.model import Case, Variant
    from pytest_ftgate.suite.rules import Rule

__all__ = [
    "FIGURES",
    "FIRST",
    "GRADES",
    "ORDERS",
    "DeclaredFloor",
    "DeclaredJudge",
    "DeclaredRubric",
    "Judge",
    "Label",
    "schema_of",
]

#: What a judge says of a reply where the author declares nothing else, and what that is worth.
GRADES: Mapping[str, float] = {"good": 1.0, "bad": 0.0}
#: What it says of two replies, and what that is worth to the first of them.
ORDERS: Mapping[str, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}
FIRST = "first"
#: What is found out about a judge, and may have a floor.
FIGURES = ("kappa", "agreement", "sensitivity", "specificity", "consistency")

_Text = Annotated[str, Field(min_length=1)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredRubric(_Declared):
    """A rubric that stands in a file."""

    source: _Text = Field(alias="from")


class DeclaredFloor(_Declared):
    """How good a judge must have been shown to be before its grades decide anything."""

    kappa: _Share | None = None
    agreement: _Share | None = None
    sensitivity: _Share | None = None
    specificity: _Share | None = None
    consistency: _Share | None = None


class DeclaredJudge(_Declared):
    """A model that grades replies by a rubric."""

    rubric: _Text | DeclaredRubric
    model: dict[str, JsonValue]
    grades: Annotated[dict[_Text, _Share], Field(min_length=2)] | None = None
    compare: Literal["baseline"] | None = None
    samples: Annotated[int, Field(strict=True, ge=1, le=25)] = 1
    human: _Text | None = None
    floor: DeclaredFloor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a person says of a reply, or of two.

    Attributes:
        case: what was asked.
        reply: what is graded; of two the first.
        other: the second of two.
        grade: one of the judge's grades.
        where: ``path:line`` of the label.
    """

    case: Case
    reply: str
    other: str | None = None
    grade: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A model that grades replies by a rubric.

    Attributes:
        rule: the score that it is.
        rubric: a template, which sees what a prompt sees of a case.
        grades: what it may say, and what that is worth, 0 to 1.
        variant: who is asked.
        compares: it is shown the baseline's reply as well, in both orders.
        samples: how often it is asked the same.
        labels: what people said, by which it is examined.
        floor: what it must reach by that, each figure a share.
    """

    rule: Rule
    rubric: str
    grades: Mapping[str, float]
    variant: Variant
    compares: bool = False
    samples: int = 1
    labels: tuple[Label, ...] = ()
    floor: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a reader calls it: its model, or the function that answers."""
        return self.variant.model or self.variant.function or self.variant.provider

    @property
    def is_binary(self) -> bool:
        """Whether a reply is either wholly good or wholly bad to it."""
        return not self.compares and sorted(self.grades.values()) == [0.0, 1.0]

    def nearest(self, worth: float) -> str:
        """Return the grade whose worth is nearest to *worth*; of two the one declared first."""
        return min(self.grades, key=lambda grade: abs(self.grades[grade] - worth))


def schema_of(grades: Mapping[str, float], longest: int | None = None) -> dict[str, Any]:
    """Return the JSON Schema of what a judge answers, its reason first.

    Args:
        grades: what it may say.
        longest: the most characters of a reason, where the one who is asked can hold to that.
    """
    reason: dict[str, Any] = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "reason": {**reason, "maxLength": longest} if longest else reason,
            "grade": {"type": "string", "enum": list(grades)},
        },
        "required": ["reason", "grade"],
        "additionalProperties": False,
    }
