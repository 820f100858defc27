"""Limits of what the runs of agents take: cost per success, tokens, time, tool calls.

Nothing limits what one run may take, so that few runs decide nothing. The whole 95 % interval must
be within the limit to pass, and the whole 99 % interval beyond it to fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from pytest_ftgate.gates.design import (
    BEYOND,
    CONFIDENCE,
    MAX_MISSING_SHARE,
    MIN_CASES_FOR_COST,
    MIN_CASES_WITHOUT_BOUND,
    SIDE,
)
from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.figures import check_of_figure
from pytest_ftgate.gates.next_steps import (
    case_count_steps,
    claim_step,
    gate_place,
    missing_steps,
    observed_amount,
)
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.run_figures import Amount, Runs, run_figure, run_rise, runs_of
from pytest_ftgate.gates.statements import NextStep, StepKind, next_step
from pytest_ftgate.gates.tasks import without_copies
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import claims_these_tasks
from pytest_ftgate.suite.model import Gate, Suite
from pytest_ftgate.suite.prices import Tariff
from pytest_ftgate.suite.providers import provider_spec

#: The amounts that the usage gate limits, with the key of each limit.
USAGE_KEYS = {
    Amount.TOKENS: "max_tokens_per_task",
    Amount.SECONDS: "max_seconds_per_task",
    Amount.TOOL_CALLS: "max_tool_calls_per_task",
}
#: The key of the limit of each amount, by the unit of its check.
LIMIT_KEYS: Mapping[str, str] = {
    str(amount): key
    for amount, key in {Amount.COST_PER_SUCCESS: "max_usd_per_success", **USAGE_KEYS}.items()
}
#: The confidence of the interval that must lie beyond a limit to fail.
_SURE = 1.0 - 2.0 * BEYOND
#: The largest number of further runs to advise.
_MAX_NEEDED = 20_000
#: The most runs of a task that a step advises, in terms of those that there are.
_MOST_TIMES = 5


@dataclass(frozen=True, slots=True, eq=False)
class RunSides:
    """The runs of a variant and of its baseline, which are the same object for the baseline.

    Attributes:
        evidence: ``point`` if observed values decide.
    """

    suite: Suite
    scores: VariantScores
    baseline: VariantScores
    evidence: str

    @property
    def these_tasks(self) -> bool:
        """True if the runs are the sample, as the accuracy gate claims."""
        return claims_these_tasks(self.suite)

    def tariff(self, scores: VariantScores) -> Tariff:
        """Return the prices of the requests of *scores*."""
        return self.suite.variants[scores.variant].tariff

    def runs(self, scores: VariantScores, amount: Amount) -> Runs | None:
        """Return the runs of *scores* of which *amount* is known."""
        return runs_of(scores, amount, self.tariff(scores))

    def figure(
        self, scores: VariantScores, amount: Amount, confidence: float = CONFIDENCE
    ) -> Figure | None:
        """Return *amount* of *scores*."""
        tariff, these = self.tariff(scores), self.these_tasks
        return run_figure(scores, amount, tariff, these_tasks=these, confidence=confidence)

    def rise(self, amount: Amount, confidence: float = CONFIDENCE) -> Figure | None:
        """Return the rise of *amount* over the baseline."""
        sides = self.baseline, self.scores
        tariffs = self.tariff(self.baseline), self.tariff(self.scores)
        return run_rise(
            *sides, amount, tariffs, these_tasks=self.these_tasks, confidence=confidence
        )


def amount_check(sides: RunSides, amount: Amount, limit: float) -> Check:
    """Compare *amount* of the variant with *limit*."""
    runs = sides.runs(sides.scores, amount)
    if runs is None:
        return _unknown(CheckKind.MEAN, amount, limit, (sides.scores,))
    figure, tasks = sides.figure(sides.scores, amount), len(runs.tasks) * sides.these_tasks
    if figure is None:
        return _without_success(sides, runs, limit)
    check = check_of_figure(figure, CheckKind.MEAN, limit, tasks=tasks)
    sure = sides.figure(sides.scores, amount, _SURE)
    return _decided(sides, check, sure or figure, (sides.scores,))


def amount_rise(sides: RunSides, amount: Amount, limit: float) -> Check:
    """Compare the rise of *amount* over the baseline with *limit*."""
    against, pair = sides.baseline.variant, (sides.baseline, sides.scores)
    found = [sides.figure(scores, amount) for scores in pair]
    before, after = (one.value if one else 0.0 for one in found)
    figure, runs = sides.rise(amount), sides.runs(sides.scores, amount)
    lacking = [scores for scores in pair if sides.runs(scores, amount) is None]
    if runs is None or lacking:
        check = _unknown(CheckKind.BASELINE, amount, limit, lacking)
        n = int(runs.counts.sum()) if runs else 0
        return replace(check, against=against, n=n, after=after)
    told = {"against": against, "before": before, "after": after}
    if figure is None:
        lacks = NoteKind.FREE_BASELINE if found[0] and not before else NoteKind.NO_SUCCESS_OF
        name = sides.scores.variant if found[0] else against
        empty = Figure(unit=str(amount), value=after, n=int(runs.counts.sum()), units=0)
        check = check_of_figure(empty, CheckKind.BASELINE, limit, **told)
        notes = (note(lacks, baseline=against, variant=name),)
        return replace(check, informative=False, notes=notes)
    tasks = len(runs.tasks) * sides.these_tasks
    check = check_of_figure(
        figure, CheckKind.BASELINE, limit, rise=figure.value, tasks=tasks, **told
    )
    check = replace(check, after=after)
    if _same_runs(sides):
        return replace(check, low=0.0, high=0.0, outcome=Outcome.PASSED, is_unchanged=True)
    return _decided(sides, check, sides.rise(amount, _SURE) or figure, pair)


def _same_runs(sides: RunSides) -> bool:
    """Return True if both sides rest on the same requests and replies."""
    before, after = sides.baseline.results, sides.scores.results
    return before.keys() == after.keys() and all(
        before[key].fingerprints == row.fingerprints and before[key].replies == row.replies
        for key, row in after.items()
    )


def _unknown(
    kind: CheckKind, amount: Amount, limit: float, lacking: Sequence[VariantScores]
) -> Check:
    """Return a check of an amount that no run of the sides *lacking* states."""
    runs = {
        scores: sum(len(row.replies) + len(row.missing_reasons) for row in scores.case_results)
        for scores in lacking
    }
    gaps = tuple(
        gap for one, n in runs.items() if one.replies for gap in gap_notes(one, n, n, amount)
    )
    return Check(
        kind=kind, outcome=Outcome.INCONCLUSIVE, limit=limit, n=0, after=0.0,
        missing=sum(runs.values()), unit=str(amount), notes=gaps,
    )  # fmt: skip


def gap_notes(scores: VariantScores, n: int, of: int, unit: str) -> Iterator[Note]:
    """Yield that *n* of all runs of a side lack what *unit* counts, if more do than may."""
    if n > MAX_MISSING_SHARE * of:
        lack = {"unit": unit, "variant": scores.variant}
        yield note(NoteKind.UNKNOWN_RUNS, n=n, of=of, **lack, allowed=MAX_MISSING_SHARE)


def _without_success(sides: RunSides, runs: Runs, limit: float) -> Check:
    """Return the check of a cost per success where no run succeeded.

    So many failures leave a rate of success possible. What a success costs at that rate is the
    least that it may cost.
    """
    cost = sides.figure(sides.scores, Amount.COST)
    units = int(runs.counts.sum()) if sides.these_tasks else len({*runs.groups})
    rate = 1.0 - BEYOND ** (1.0 / units)
    least = (cost.value if cost else 0.0) / rate
    point = sides.evidence == "point"
    failed = least > 0.0 if point else least > limit
    check = Check(
        kind=CheckKind.MEAN, outcome=Outcome.FAILED if failed else Outcome.INCONCLUSIVE,
        limit=limit, n=int(runs.counts.sum()), after=least, low=least, missing=runs.missing,
        unit=str(Amount.COST_PER_SUCCESS), method="point" if point else "t", effective=units,
        tasks=len(runs.tasks) * sides.these_tasks,
        notes=(note(NoteKind.NO_SUCCESS, n=int(runs.counts.sum()), rate=rate, least=least),),
    )  # fmt: skip
    unknown = _gaps(sides, Amount.COST_PER_SUCCESS, (sides.scores,))
    return replace(check, outcome=Outcome.INCONCLUSIVE, notes=unknown) if unknown else check


def _gaps(sides: RunSides, amount: Amount, compared: Sequence[VariantScores]) -> tuple[Note, ...]:
    """Return which of the sides lacks the amount of too many runs."""
    notes = list[Note]()
    for scores in compared:
        if runs := sides.runs(scores, amount):
            of = runs.missing + int(runs.counts.sum())
            notes += gap_notes(scores, runs.missing, of, amount)
    return tuple(notes)


def _decided(
    sides: RunSides, check: Check, sure: Figure, compared: Sequence[VariantScores]
) -> Check:
    """Return *check*, decided by its interval and by the *sure* one."""
    amount, is_point = Amount(check.unit), sides.evidence == "point"
    if is_point:
        check = replace(check, method="point")
    if gaps := _gaps(sides, amount, compared):
        return replace(check, notes=gaps)
    if is_point:
        passes = observed_amount(check) <= check.limit
        return replace(check, outcome=Outcome.PASSED if passes else Outcome.FAILED)
    noun = "run" if sides.these_tasks else "task"
    if check.effective < MIN_CASES_FOR_COST:
        needed = MIN_CASES_FOR_COST - int(check.effective)
        few = note(NoteKind.FEW_RUNS, n=int(check.effective), noun=noun, needed=MIN_CASES_FOR_COST)
        return replace(check, needed=needed, notes=(few,))
    if check.high is not None and check.high <= check.limit:
        check = replace(check, outcome=Outcome.PASSED)
    elif sure.low is not None and sure.low > check.limit:
        check = replace(check, outcome=Outcome.FAILED)
    else:
        check = replace(check, needed=_needed(check, sure))
    if _are_equal(sides, amount, compared):
        copied = without_copies(check, compared)
        if copied is not check:
            return copied
    return replace(check, notes=tuple(_doubts(check, noun)))


def _doubts(check: Check, noun: str) -> Iterator[Note]:
    """Yield what a check that passed did not see, and what an open one lacks to fail."""
    if check.outcome is Outcome.PASSED and check.effective < MIN_CASES_WITHOUT_BOUND:
        # Of so many runs, none is drawn in one sample of forty.
        share = 1.0 - SIDE ** (1.0 / check.effective)
        yield note(NoteKind.UNSEEN_RUNS, share=share, noun=noun)
    if check.outcome is Outcome.INCONCLUSIVE and check.low is not None and check.low > check.limit:
        yield note(NoteKind.NOT_SURELY_BEYOND, confidence=_SURE)


def _are_equal(sides: RunSides, amount: Amount, compared: Sequence[VariantScores]) -> bool:
    """Return True if all runs of a task took the same, as copies do."""
    if not sides.these_tasks:
        return False
    found = [sides.runs(scores, amount) for scores in compared]
    return any(
        runs is not None and all(len({*row.tolist()}) == 1 for row in runs.amounts)
        for runs in found
    )


def _needed(check: Check, sure: Figure) -> int | None:
    """Return how many further units settle *check* if the result stays as it is."""
    value = observed_amount(check)
    end = check.high if value <= check.limit else sure.low
    if end is None or value == check.limit:
        return None
    times = ((end - value) / (check.limit - value)) ** 2
    needed = ceil(check.effective * (times - 1.0))
    return max(1, needed) if needed <= _MAX_NEEDED else None


# Steps --------------------------------------------------------------------------------------------


def run_steps(suite: Suite, gate: Gate, verdict: Verdict, check: Check) -> Iterator[NextStep]:
    """Yield what to do about *check*, which decides *verdict* and is about runs."""
    kinds = {one.kind for one in check.notes}
    if NoteKind.NO_SUCCESS in kinds or NoteKind.NO_SUCCESS_OF in kinds:
        yield next_step(StepKind.CHECK_SCORE, where=gate_place(suite, gate))
    elif verdict.outcome is Outcome.FAILED:
        yield next_step(StepKind.LOWER_USAGE, runs=True)
    elif not check.informative:
        yield next_step(StepKind.DECLARE_LIMIT, where=gate_place(suite, gate))
    elif NoteKind.UNKNOWN_RUNS in kinds:
        yield from state_steps(suite, check.notes)
    elif NoteKind.COPIES in kinds:
        yield claim_step(suite)
    elif check.missing and not check.n:
        yield from missing_steps(suite, gate, verdict, check.missing)
    else:
        yield from _more_runs(suite, verdict, check)


def state_steps(suite: Suite, notes: Iterable[Note]) -> Iterator[NextStep]:
    """Yield the steps to state an amount where it is not known, as one of *notes* says."""
    for gap in notes:
        if gap.kind == NoteKind.UNKNOWN_RUNS:
            yield _state_step(suite, gap)


def _state_step(suite: Suite, gap: Note) -> NextStep:
    variant = suite.variants[str(gap.values["variant"])]
    told: dict[str, Any] = {"missing": gap.values["n"], "unit": gap.values["unit"]}
    if variant.replies is not None:
        from pytest_ftgate.suite.external_cases import reply_columns

        by_tool = reply_columns(variant.replies, variant.options) is not None
        told |= {"file": variant.replies.name, "by_tool": by_tool}
    where = suite.places.get(f"variants.{variant.name}", suite.name)
    program = provider_spec(variant.provider).starts_programs
    return next_step(StepKind.STATE_AMOUNT, **told, program=program, where=where)


def _more_runs(suite: Suite, verdict: Verdict, check: Check) -> Iterator[NextStep]:
    """Yield how many more runs of these tasks, or how many more tasks, settle *check*."""
    needed, variant = check.needed, suite.variants[verdict.variant]
    if not check.tasks:
        yield from case_count_steps(check, "task")
    elif variant.replies is not None or not needed or needed > _MOST_TIMES * check.n:
        yield from case_count_steps(check, "run")
    else:
        repeats = ceil((check.effective + needed) / check.tasks)
        fails = observed_amount(check) > check.limit
        where = suite.places.get("repeats", suite.name)
        yield next_step(StepKind.REPEAT_RUNS, repeats=repeats, fails=fails, where=where)
