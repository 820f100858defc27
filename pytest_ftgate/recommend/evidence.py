"""The evidence for an advice: scores, verdicts, git history, and the day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from pytest_ftgate.recommend.advice import CoverageGaps

if TYPE_CHECKING:
    from pytest_ftgate.gates.judges import JudgeEvidence
    from pytest_ftgate.gates.verdict import Verdict
    from pytest_ftgate.scoring.scores import VariantScores
    from pytest_ftgate.suite.model import Suite


class AcceptedVerdict(NamedTuple):
    """The verdict of one gate in an accepted run.

    Attributes:
        outcome: as in its verdict.
        value: what decided, in *unit*; None without a check.
    """

    gate: str
    variant: str
    outcome: str
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRun:
    """One commit of an accepted record.

    Attributes:
        commit: the shortened hash.
        at, by: the date (ISO) and the author of the commit.
        serves: the variant that should serve; "" if the record does not say.
        gates: the gates of the accepted run that could fail.
    """

    commit: str
    at: str
    by: str
    serves: str
    gates: tuple[AcceptedVerdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """The git history of a suite's files.

    Attributes:
        unknown_reason: why there is no history, or "".
        days: the length of the history, up to the period that is looked at.
        changes: the number of commits that changed ``prompt``, ``cases`` or ``suite``.
        commits: the number of different commits among them.
    """

    unknown_reason: str = ""
    days: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    commits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The inputs of the recommendation on one suite.

    Attributes:
        suite: the suite.
        scores: of each measured variant.
        verdicts: of all gates, and of variants without gates.
        today: the day of the run.
        facts: by variant, the facts on its model, as in ``Verdict.facts``.
        usd_spent: by variant, the cost of its replies in this run.
        training_rows: by variant, the number of labelled rows of its training file.
        examples: the number of labelled rows in the suite's training data; None without any.
        unmeasured: variants that could not be measured, and why.
        git: the git history of the suite's files.
        history: the accepted records, newest first.
        coverage_gaps: the gaps of the evaluation.
        judges: by the scores of a variant, the evidence about the judges that graded them.
        held_out: the scores of the chosen variant on held-out cases; None before the choice.
    """

    suite: Suite
    scores: Mapping[str, VariantScores]
    verdicts: tuple[Verdict, ...]
    today: date
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    usd_spent: Mapping[str, float] = field(default_factory=dict)
    training_rows: Mapping[str, int] = field(default_factory=dict)
    examples: int | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    git: GitFacts = field(default_factory=GitFacts)
    history: tuple[AcceptedRun, ...] = ()
    coverage_gaps: CoverageGaps = field(default_factory=CoverageGaps)
    judges: Mapping[VariantScores, JudgeEvidence] = field(default_factory=dict)
    held_out: VariantScores | None = None
