"""Grades: read from a judge's replies, and turned into scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.judges import Put
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import Mark
from pytest_ftgate.scoring.structured import json_within
from pytest_ftgate.suite.model import ORDERS, Judge

__all__ = ["Answers", "Ruling", "ruling"]

Answers = Mapping[str, Reply | FtgateError]

#: Of a reason so many characters are kept.
_LONGEST = 500
#: What is said of two replies, where they were shown in the other order.
_TURNED = {"first": "second", "second": "first", "tie": "tie"}
#: What a grade of two replies means to a reader.
_PREFERRED = {"first": "this one", "second": "the baseline's", "tie": "neither"}


@dataclass(frozen=True, slots=True)
class Ruling:
    """All that a judge said of one matter.

    Attributes:
        grades: one for each answer that could be read, of two replies always in their own order.
        turned: for each of them whether the replies were shown in the other order.
        reason: the first that was given for the grade nearest to the whole.
        unread: why answers could not be read, or did not come.
    """

    judge: Judge
    grades: tuple[str, ...]
    turned: tuple[bool, ...] = ()
    reason: str = ""
    unread: tuple[str, ...] = ()

    @property
    def worth(self) -> float | None:
        """The mean worth of the grades, each order counting the same; None where there is none."""
        sides = [self._worth(turned=turned) for turned in (False, True)]
        known = [one for one in sides if one is not None]
        return sum(known) / len(known) if known else None

    def _worth(self, *, turned: bool) -> float | None:
        pairs = zip(self.grades, self.turned, strict=True)
        found = [self.judge.grades[grade] for grade, side in pairs if side is turned]
        return sum(found) / len(found) if found else None

    @property
    def consistent(self) -> bool | None:
        """Whether both orders came to the same; None where there were not two."""
        sides = [self._worth(turned=turned) for turned in (False, True)]
        if None in sides:
            return None
        return self.judge.nearest(sides[0] or 0.0) == self.judge.nearest(sides[1] or 0.0)

    @property
    def agreement(self) -> float | None:
        """The share of pairs of samples that say the same; None where nothing was asked twice."""
        shares = [self._agreement(turned=turned) for turned in (False, True)]
        known = [one for one in shares if one is not None]
        return sum(known) / len(known) if known else None

    def _agreement(self, *, turned: bool) -> float | None:
        pairs = zip(self.grades, self.turned, strict=True)
        said = [grade for grade, side in pairs if side is turned]
        count = len(said) * (len(said) - 1) / 2
        same = sum(one == other for i, one in enumerate(said) for other in said[:i])
        return same / count if count else None

    @property
    def mark(self) -> Mark:
        """What the reply is worth by it; no value where the judge gave no grade."""
        worth = self.worth
        if worth is None:
            return Mark(None, f"{self.judge.name} gave no grade: {self.unread[0]}")
        words = _PREFERRED if self.judge.compares else {}
        said = ", ".join(words.get(grade, grade) for grade in dict.fromkeys(self.grades))
        return Mark(worth, "" if worth == 1 else f"{self.judge.name} says {said}: {self.reason}")


def ruling(judge: Judge, puts: Iterable[Put], answers: Answers) -> Ruling:
    """Return what *judge* said when it was asked *puts*."""
    read, unread = list[tuple[str, bool, str]](), list[str]()
    for put in puts:
        answer = answers[put.ask.call.fingerprint]
        try:
            if not isinstance(answer, Reply):
                raise ValueError(str(answer))  # noqa: TRY004, TRY301 - no reply came
            grade, reason = _read(judge, answer)
        except ValueError as error:
            unread.append(str(error)[:_LONGEST])
            continue
        read.append((_TURNED[grade] if put.turned else grade, put.turned, reason))
    return Ruling(
        judge,
        tuple(grade for grade, _, _ in read),
        tuple(turned for _, turned, _ in read),
        _reason(judge, read),
        tuple(unread),
    )


def _reason(judge: Judge, read: Sequence[tuple[str, bool, str]]) -> str:
    if not read:
        return ""
    whole = judge.nearest(sum(judge.grades[grade] for grade, _, _ in read) / len(read))
    return next((reason for grade, _, reason in read if grade == whole), read[0][2])


def _read(judge: Judge, answer: Reply) -> tuple[str, str]:
    """Return the grade and the reason of one answer.

    Raises:
        ValueError: it gives none of the grades.
    """
    if answer.stop == "refusal":
        raise ValueError("it refused")
    told: Any = json_within(answer.text.strip())
    if not isinstance(told, Mapping) or not {"reason", "grade"} <= told.keys():
        cut = " (cut off at its token limit)" if answer.stop == "length" else ""
        raise ValueError(f"no JSON object with reason and grade{cut}: {answer.text.strip()[:80]!r}")
    grade, known = told["grade"], ORDERS if judge.compares else judge.grades
    if not isinstance(grade, str) or grade not in known:
        raise ValueError(f"the grade is {json.dumps(grade)[:80]}, none of {', '.join(known)}")
    return grade, " ".join(str(told["reason"]).split())[:_LONGEST]
