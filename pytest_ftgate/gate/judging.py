"""What is known of the judges behind a verdict, and what they may decide of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_ftgate.gate.examined import Examined
from pytest_ftgate.gate.verdict import Check, Outcome, Verdict

__all__ = ["FEWEST_LABELS", "Judging", "by_judges", "judging_notes", "unproven"]

#: What to do where a judge may not gate.
_UNFIT = (
    "sharpen the rubric, or take a stronger judge; pytest-ftgate labels writes replies to label",
)
#: With fewer labels of these very replies the judge's mean is not corrected by its error on them.
FEWEST_LABELS = 100


@dataclass(frozen=True, slots=True)
class Judging:
    """What is known of the judges of one variant's replies.

    Attributes:
        judges: what each was found to be worth.
        alone: the score is one judge's grade and nothing else, so that labels speak of it.
        said: what people said of this variant's replies, by case, 0 to 1.
        said_before: the same of the baseline's replies.
        baseline: its name.
        compares: the grades say how far a reply is preferred to the baseline's, which is preferred
            as far as it is not.
        ungraded: which of this variant's replies came without a grade, in a sentence, or "".
        constant: the judge says one and the same of all replies of the run, of so many; or 0.
    """

    judges: tuple[Examined, ...] = ()
    alone: bool = False
    said: Mapping[str, float] = field(default_factory=dict)
    said_before: Mapping[str, float] = field(default_factory=dict)
    baseline: str = ""
    compares: bool = False
    ungraded: str = ""
    constant: int = 0

    @property
    def fault(self) -> str:
        """Why a judge may not gate, or ""."""
        return next((f"{one.judge}: {one.fault}" for one in self.judges if one.fault), "")

    @property
    def changes(self) -> dict[str, float]:
        """How much more people said of this variant's replies than of the baseline's."""
        both = self.said.keys() & self.said_before.keys()
        return {key: self.said[key] - self.said_before[key] for key in both}

    @property
    def shows(self) -> tuple[float, float] | None:
        """How much of a true change the grades show, and at least; None where nobody knows."""
        return self.judges[0].shows if self.alone and len(self.judges) == 1 else None

    @property
    def relative(self) -> str:
        """Why verdicts hold for what the judge says alone, or ""."""
        if not self.judges or self.fault:
            return ""
        if not all(one.labels for one in self.judges):
            return "no labels have examined it"
        return "" if self.shows or len(self.changes) >= FEWEST_LABELS else "nothing corrects it"


def unproven(check: Check, judging: Judging) -> Check:
    """Return *check* open, where a judge may not gate."""
    if not judging.fault:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, needed=None, certifiable=None)


def by_judges(verdict: Verdict, judging: Judging) -> Verdict:
    """Return *verdict* as far as its judges may decide it; that of another gate as it is."""
    if verdict.gate != "accuracy" or not judging.judges:
        return verdict
    verdict = replace(verdict, judges=judging.judges)
    if judging.fault:
        return replace(
            verdict,
            outcome=Outcome.INCONCLUSIVE,
            headline=f"judge not qualified: {judging.fault}",
            next=_UNFIT,
        )
    told = verdict.headline
    told = told.replace("accuracy", "preferred", 1) if judging.compares else told
    relative = judging.relative and verdict.check
    return replace(verdict, headline=f"{told} (judge-relative)" if relative else told)


def judging_notes(judging: Judging) -> Sequence[str]:
    """Return what a reader must know of the judges, a sentence each."""
    told = [f"{one.judge}: {warning}" for one in judging.judges for warning in one.warnings]
    if judging.relative:
        told.insert(0, f"judge-relative: {judging.relative}, so this holds for its grades alone")
    told += [judging.ungraded] * bool(judging.ungraded)
    if judging.constant and not all(one.labels for one in judging.judges):
        told.append(f"the judge says the same of all {judging.constant} replies")
    return told
