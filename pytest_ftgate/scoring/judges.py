"""Grades: parsed from the replies of a judge, and turned into scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.judges import JudgeRequest
from pytest_ftgate.requests.reply import Reply, read_reply
from pytest_ftgate.scoring.score import ContentScore, mean
from pytest_ftgate.scoring.structured import find_json
from pytest_ftgate.suite.model import Judge

#: By fingerprint of the request, the reply of a judge or the error.
JudgeReplies = Mapping[str, Reply | FtgateError]

#: The most characters of a reason that are stored.
_MAX_REASON = 500
#: The grade in the original order of two replies, by the grade in the swapped order.
_UNSWAPPED = {"first": "second", "second": "first", "tie": "tie"}
#: A pairwise grade in words for the user.
_PREFERRED = {"first": "this one", "second": "the baseline's", "tie": "neither"}


class UnreadableReply(NamedTuple):
    """Why a reply of a judge has no grade, and the beginning of its text if that shows it."""

    reason: str
    quote: str = ""


@dataclass(frozen=True, slots=True)
class JudgeGrades:
    """All grades that one judge gave to one reply, or to one pair of replies.

    Attributes:
        grades: one for each readable reply of the judge; pairwise grades in the original order.
        swapped: for each grade, whether the judge saw the two replies in the swapped order.
        reason: the first reason given for the grade that is nearest to the mean.
        unreadable: why the other replies of the judge are missing or cannot be read.
    """

    judge: Judge
    grades: tuple[str, ...]
    swapped: tuple[bool, ...] = ()
    reason: str = ""
    unreadable: tuple[UnreadableReply, ...] = ()

    @property
    def value(self) -> float | None:
        """The mean value of the grades, both orders with equal weight; None without a grade."""
        return mean(self._mean_value(swapped=swapped) for swapped in (False, True))

    def _mean_value(self, *, swapped: bool) -> float | None:
        return mean(self.judge.grades[grade] for grade in self._grades_in_order(swapped=swapped))

    def _grades_in_order(self, *, swapped: bool) -> list[str]:
        pairs = zip(self.grades, self.swapped, strict=True)
        return [grade for grade, was_swapped in pairs if was_swapped is swapped]

    @property
    def consistent(self) -> bool | None:
        """Whether both orders lead to the same grade; None unless both have a grade."""
        plain, swapped = (self._mean_value(swapped=swapped) for swapped in (False, True))
        if plain is None or swapped is None:
            return None
        return self.judge.nearest_grade(plain) == self.judge.nearest_grade(swapped)

    @property
    def self_agreement(self) -> float | None:
        """The share of pairs of samples with the same grade; None without repeated samples."""
        return mean(self._sample_agreement(swapped=swapped) for swapped in (False, True))

    def _sample_agreement(self, *, swapped: bool) -> float | None:
        grades = self._grades_in_order(swapped=swapped)
        pair_count = len(grades) * (len(grades) - 1) / 2
        same = sum(grade == earlier for i, grade in enumerate(grades) for earlier in grades[:i])
        return same / pair_count if pair_count else None

    @property
    def score(self) -> ContentScore:
        """The content score of the graded reply; its value is None without a grade."""
        value = self.value
        if value is None:
            message = ": ".join(filter(None, self.unreadable[0]))[:_MAX_REASON]
            return ContentScore(None, f"{self.judge.name} gave no grade: {message}")
        words = _PREFERRED if self.judge.is_pairwise else {}
        grades = ", ".join(words.get(grade, grade) for grade in dict.fromkeys(self.grades))
        reason = "" if value == 1 else f"{self.judge.name} says {grades}: {self.reason}"
        return ContentScore(value, reason)


def read_grades(
    judge: Judge, judge_requests: Iterable[JudgeRequest], replies: JudgeReplies
) -> JudgeGrades:
    """Return the grades in the replies of *judge* to *judge_requests*."""
    readable, unreadable = list[tuple[str, bool, str]](), list[UnreadableReply]()
    for judge_request in judge_requests:
        reply = replies[judge_request.case_request.fingerprint]
        try:
            if not isinstance(reply, Reply):
                raise ValueError(str(reply))  # noqa: TRY004, TRY301 - there is no reply
            grade, reason = _read_grade(judge, read_reply(reply))
        except ValueError as error:
            reason, *quote = error.args
            unreadable.append(UnreadableReply(reason[:_MAX_REASON], *quote))
            continue
        grade = _UNSWAPPED[grade] if judge_request.swapped else grade
        readable.append((grade, judge_request.swapped, reason))
    return JudgeGrades(
        judge,
        tuple(grade for grade, _, _ in readable),
        tuple(swapped for _, swapped, _ in readable),
        _typical_reason(judge, readable),
        tuple(unreadable),
    )


def _typical_reason(judge: Judge, readable: Sequence[tuple[str, bool, str]]) -> str:
    """Return the first reason for the grade that is nearest to the mean of all."""
    if not readable:
        return ""
    nearest = judge.nearest_grade(mean(judge.grades[grade] for grade, _, _ in readable) or 0.0)
    return next((reason for grade, _, reason in readable if grade == nearest), readable[0][2])


def _read_grade(judge: Judge, reply: Reply) -> tuple[str, str]:
    """Return the grade and the reason in one reply of a judge.

    Raises:
        ValueError: the reply contains none of the grades; its arguments are an *UnreadableReply*.
    """
    if reply.stop == "refusal":
        raise ValueError("it refused")
    text = reply.text.strip()
    document: Any = find_json(text)
    if not isinstance(document, Mapping) or not {"reason", "grade"} <= document.keys():
        cut = " (cut off at its token limit)" if reply.stop == "length" else ""
        raise ValueError(f"no JSON object with reason and grade{cut}", repr(text[:80]))
    grade = document["grade"]
    if not isinstance(grade, str) or grade not in judge.grades:
        raise ValueError(
            f"the grade is {json.dumps(grade)[:80]}, none of {', '.join(judge.grades)}"
        )
    return grade, " ".join(str(document["reason"]).split())[:_MAX_REASON]
