"""What a gate needs: the scores and times that it reads, as values.

One list serves planning, cost preview, waiting, early looks and evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_ftgate.gates.design import Levels, Look
from pytest_ftgate.requests.request_groups import base_name
from pytest_ftgate.suite.model import Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.figures import ReplyTimes
    from pytest_ftgate.gates.judges import JudgeEvidence
    from pytest_ftgate.gates.notes import Note
    from pytest_ftgate.gates.samples import Samples
    from pytest_ftgate.scoring.scores import VariantScores
    from pytest_ftgate.suite.skill_levels import LevelChoice


class When(StrEnum):
    """When a gate reads what it needs."""

    ALWAYS = "always"
    #: Of the same replies, or of further ones to cases that were wrong.
    IF_WRONG = "if wrong"
    #: Only if the run brings it for another gate.
    IF_SENT = "if sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """A request for the scores of one variant.

    Attributes:
        variant: its name; a base has one too.
        of_gate: the gate whose own cases are scored, such as ``forgetting``; "" for those of the
            suite.
        of_inputs: True for the inputs of the suite in place of its cases.
        ids: the ids of the cases that count; None for all.
        repeats: the number of replies to each case, if they vary.
        under: for skills, ``prompt`` to ask them under the prompt of the variant.
        graded: True if judges take part; their requests follow the replies.
        greedy: True for replies at temperature 0.
        when: when the gate reads them.
    """

    variant: str
    of_gate: str = ""
    of_inputs: bool = False
    ids: frozenset[str] | None = None
    repeats: int = 1
    under: str = ""
    graded: bool = False
    greedy: bool = False
    when: When = When.ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesRequest:
    """A request for the latencies of *replies*."""

    replies: ScoreRequest


Need = ScoreRequest | TimesRequest


def replies_of(need: Need) -> ScoreRequest:
    """Return the request for the replies that *need* rests on."""
    return need if isinstance(need, ScoreRequest) else need.replies


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """One variant of a suite at one look, and what it may be compared with.

    Attributes:
        look: the replies that count.
    """

    suite: Suite
    variant: Variant
    look: Look

    def task(self, variant: str = "", *, graded: bool = False) -> ScoreRequest:
        """Return the request for the scores of the suite's cases; by default of the variant."""
        name, look = variant or self.variant.name, self.look
        return ScoreRequest(variant=name, ids=look.cases, repeats=look.repeats, graded=graded)

    def of_inputs(self, variant: str = "") -> ScoreRequest:
        """Return the request for the replies to the suite's inputs; by default of the variant."""
        name = variant or self.variant.name
        return ScoreRequest(variant=name, of_inputs=True, repeats=self.look.repeats)

    @property
    def base(self) -> str:
        """The name of the base of the variant, if it is tuned."""
        return base_name(self.variant)


class ScoreSource:
    """Brings what gates need. Each kind of source defines what it can bring.

    Raises:
        LookupError: a gate asks for what the source cannot bring.
    """

    def scores(self, request: ScoreRequest) -> VariantScores:
        """Return the scores that *request* names."""
        raise LookupError(f"there are no scores of {request.variant} here")

    def sent_scores(self, request: ScoreRequest) -> VariantScores | None:  # noqa: ARG002
        """Return the scores of the replies to *request* that the run brings anyway, if any."""
        return None

    def baseline_drift(self) -> Note | None:
        """Return how the baseline has drifted since it was recorded; None without a drift."""
        return None

    def judge_evidence(
        self, scores: VariantScores, baseline: VariantScores
    ) -> JudgeEvidence | None:
        """Return the evidence on the judges that graded *scores*, or None without judges."""
        del scores, baseline
        return None

    def times(self, request: TimesRequest) -> ReplyTimes:
        """Return the latencies of the replies."""
        raise LookupError(f"there are no times of {request.replies.variant} here")


@dataclass(frozen=True, slots=True)
class GivenScores(ScoreSource):
    """Scores that are there before a gate is evaluated, by variant.

    Attributes:
        drift: how the baseline has drifted since it was recorded, or None.
        shown: the scores of the baseline where the change from it is only shown, or None.
        of_inputs: the replies to the inputs of the suite, by variant.
    """

    by_variant: Mapping[str, VariantScores]
    drift: Note | None = None
    shown: VariantScores | None = None
    of_inputs: Mapping[str, VariantScores] = field(default_factory=dict)

    def scores(self, request: ScoreRequest) -> VariantScores:
        """Return the scores of the variant of *request*."""
        return (self.of_inputs if request.of_inputs else self.by_variant)[request.variant]

    def sent_scores(self, request: ScoreRequest) -> VariantScores | None:  # noqa: ARG002
        """Return the scores of the baseline that are only shown, if any."""
        return self.shown

    def baseline_drift(self) -> Note | None:
        """Return how the baseline has drifted since it was recorded; None without a drift."""
        return self.drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Sides):
    """All that the evaluation of a gate reads: values, and the source of its scores.

    Attributes:
        levels: the error rates of each drop check of the suite.
        accepted: the samples of the variant that were accepted last, or None.
        anchor: those that were accepted first, if others followed, or None.
        skill_levels: the levels of the families of skills that have some, as the base chose them.
        peak_in_flight: the largest number of concurrent requests.
    """

    source: ScoreSource = field(repr=False)
    levels: Levels
    accepted: Samples | None = None
    anchor: Samples | None = None
    skill_levels: tuple[LevelChoice, ...] = ()
    peak_in_flight: int = 0
