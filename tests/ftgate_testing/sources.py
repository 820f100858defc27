"""A source of scores that notes all that gates ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pytest_ftgate.gates.figures import ReplyTimes
from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.needs import (
    Need,
    ScoreRequest,
    ScoreSource,
    TimesRequest,
    When,
)
from pytest_ftgate.gates.notes import Note
from pytest_ftgate.scoring.scores import VariantScores


@dataclass
class NotedSource(ScoreSource):
    """Scores by the name of a variant, with a note of each request.

    Attributes:
        seconds: how long the replies of each variant take, by its name.
        must_pass: the scores of must-pass cases, and those of the wrong ones that are repeated.
        asked: what gates asked for, in order. What may be missing is noted as `When.IF_SENT`.
        judged: the names of the variants that judges are said to have graded.
    """

    known: Mapping[str, VariantScores] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    must_pass: tuple[VariantScores, VariantScores | None] | None = None
    judges: JudgeEvidence | None = None
    drift: Note | None = None
    asked: list[Need] = field(default_factory=list)
    judged: tuple[str, ...] = ()
    asked_for_drift: bool = False

    def scores(self, request: ScoreRequest) -> VariantScores:
        self.asked.append(request)
        if self.must_pass and request.ids is not None and not request.of_gate:
            first, again = self.must_pass
            return again if again and request.repeats > 1 else first
        return self.known[request.variant]

    def sent_scores(self, request: ScoreRequest) -> VariantScores | None:
        self.asked.append(replace(request, when=When.IF_SENT))
        return self.known.get(request.variant)

    def baseline_drift(self) -> Note | None:
        self.asked_for_drift = True
        return self.drift

    def judge_evidence(
        self, scores: VariantScores, baseline: VariantScores
    ) -> JudgeEvidence | None:
        self.judged = scores.variant, baseline.variant
        return self.judges

    def times(self, request: TimesRequest) -> ReplyTimes:
        self.asked.append(request)
        name = request.replies.variant
        seconds = {f"c{i}": (self.seconds[name] + i / 1000,) for i in range(100)}
        groups = {name: name for name in seconds}
        return ReplyTimes(variant=name, seconds=seconds, groups=groups, replies=len(seconds))
