"""The forgetting gate: general skills of a fine-tuned variant, compared with its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import MAX_MISSING_SHARE, Levels, Look, look_levels, shared_levels
from pytest_ftgate.gates.diagnosis import with_endings
from pytest_ftgate.gates.format_errors import skill_drifts
from pytest_ftgate.gates.next_steps import (
    blocking_checks,
    case_count_steps,
    gate_place,
    is_near,
    limit_steps,
    missing_steps,
)
from pytest_ftgate.gates.notes import Note, NoteKind, note, text_note
from pytest_ftgate.gates.regressions import (
    Regressions,
    SliceSides,
    find_regressions,
    flips,
    interleave,
    slice_members,
    slice_samples,
    with_names,
)
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.skills import (
    Loss,
    LossClassifier,
    SkillWeights,
    guess_share,
    skill_retention,
    skill_samples,
    skill_slices,
)
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind, next_step
from pytest_ftgate.gates.thoughts import no_answer_notes
from pytest_ftgate.gates.verdict import (
    Check,
    CheckKind,
    Flip,
    LossKind,
    Outcome,
    Slice,
    Verdict,
    combine_checks,
    verdict_place,
)
from pytest_ftgate.requests.preflight import Contamination
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.resampling import SkillSample
from pytest_ftgate.suite.gate_kinds import ForgettingGate, SkillPart
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.skill_levels import LevelChoice, levels_note, limit_notes

#: A case is right if its score is above this value.
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class SkillComparison:
    """The skill scores that a forgetting gate compares.

    Attributes:
        scores: the scores of the variant and of its base, by prompt mode: ``""`` or ``prompt``.
        repeated: both scores of the broken must-keep cases, from repeated requests; None if no
            case broke, or if replies do not vary.
        contamination: the skills cases that the variant was trained on.
        levels: the error rates of each drop check; by default those of the suite alone.
        choices: the levels of the families of skills that have some.
        against: what reports call the base.
    """

    scores: Mapping[str, tuple[VariantScores, VariantScores]]
    repeated: tuple[VariantScores, VariantScores] | None = None
    contamination: Contamination | None = None
    levels: Levels | None = None
    choices: tuple[LevelChoice, ...] = ()
    against: str = "base"


@dataclass(frozen=True, slots=True)
class _ModeResult:
    """The result of the skills in one prompt mode."""

    check: Check
    slices: tuple[Slice, ...]
    regressions: Regressions
    loss_kinds: tuple[LossKind, ...]

    @property
    def unproven_skills(self) -> list[Slice]:
        """The skills that are required to keep their margin and are inconclusive."""
        return [part for part in self.slices if part.required and part.state == "inconclusive"]


def _evaluate_mode(
    gate: ForgettingGate,
    mode: str,
    comparison: SkillComparison,
    levels: Levels,
    classifier: LossClassifier,
) -> _ModeResult:
    """Return the result of the skills in one prompt mode, ``""`` or ``prompt``."""
    scores, base = comparison.scores[mode]
    contamination = comparison.contamination
    excluded = contamination.case_ids if contamination else frozenset()
    sides = [skill_samples(side) for side in (base, scores)]
    before, after = (side.select(~np.isin(side.case_ids, [*excluded])) for side in sides)
    cases = [case for case in scores.cases if case.id not in excluded]
    slices = skill_slices(before, after, cases, gate, levels)
    check = _check(gate, scores, before, after, levels, comparison.against)
    counted = [case.id for case in cases if case.must_keep or gate.evaluates(str(case.skill))]
    shown = (side.select(np.isin(side.case_ids, counted)) for side in (before, after))
    regressions = find_regressions(*shown)
    return _ModeResult(
        check=replace(check, under=mode),
        slices=tuple(replace(part, under=mode) for part in slices),
        regressions=regressions,
        loss_kinds=classifier.count_kinds(base, scores, regressions.regressed, mode),
    )


def _check(
    gate: ForgettingGate,
    scores: VariantScores,
    before: Samples,
    after: Samples,
    levels: Levels,
    against: str,
) -> Check:
    """Return the check of the mean over the skills."""
    cases = [scores.results[case_id].case for case_id in after.case_ids]
    members, weights = slice_members(cases, ["skill"]), SkillWeights(gate, cases)
    counted = [case.id for case in cases if str(case.skill) in weights.counted]
    then, now = (side.select(np.isin(side.case_ids, counted)) for side in (before, after))
    if gate.max_drop is None:
        raise ValueError("the limit of the gate is not computed yet")
    margin = gate.max_drop * weights.shown
    rule = DropRule(
        against=against, kind=CheckKind.BASE, margin=margin, levels=levels, pairing=weights.pair
    )
    check = check_drop(then, now, rule)
    return _with_retention(gate, check, slice_samples(before, after, members))


def _with_retention(
    gate: ForgettingGate, check: Check, sides: Mapping[SkillPart, SliceSides]
) -> Check:
    """Return *check* with the mean retention, and the mean change with equal weights.

    *sides* are the samples of each skill.
    """
    samples = {
        skill: SkillSample(before.values, after.values, float(len(after)))
        for (_, skill), (before, after) in sides.items()
    }
    if not samples:
        return check
    changes = [float(sample.after.mean() - sample.before.mean()) for sample in samples.values()]
    weighted = [sample._replace(weight=gate.weight(skill)) for skill, sample in samples.items()]
    return replace(
        check,
        retention=skill_retention([sample for sample in weighted if sample.weight]),
        transfer=float(np.mean(changes)),
    )


def broken_must_keep_ids(
    scores: VariantScores,
    base: VariantScores,
    repeated: tuple[VariantScores, VariantScores] | None = None,
) -> tuple[str, ...]:
    """Return the must-keep cases that *base* has right and *scores* has wrong.

    *repeated* has both scores of the cases that broke at first, from repeated requests. A case
    stays broken only if most of these replies confirm it.
    """
    then, now = (_values(side) for side in (base, scores))
    broken = [
        key
        for key, result in scores.results.items()
        if result.case.must_keep and then.get(key, 0.0) > _HALF and now.get(key, 1.0) <= _HALF
    ]
    if repeated is None:
        return tuple(broken)
    # A case without a repeated reply stays broken.
    now, then = (_values(side) for side in repeated)
    unconfirmed = {
        key for key in broken if now.get(key, 0.0) > _HALF or then.get(key, 1.0) <= _HALF
    }
    return tuple(key for key in broken if key not in unconfirmed)


def _values(scores: VariantScores) -> dict[str, float]:
    samples = skill_samples(scores)
    return dict(zip(samples.case_ids, map(float, samples.values), strict=True))


# Flips ------------------------------------------------------------------------------------------


def _easiest_first(
    regressions: Regressions, scores: VariantScores, breaks: tuple[str, ...]
) -> Regressions:
    """Return a copy that starts with the broken must-keep cases, then the easiest cases.

    The first cases come from as many skills as possible.
    """
    by_difficulty = sorted(
        regressions.regressed, key=lambda key: scores.results[key].case.difficulty or 3
    )
    ranked = interleave({key: scores.results[key].case.skill for key in by_difficulty})
    first = [key for key in breaks if key in regressions.regressed]
    return Regressions(ranked, regressions.fixed).with_first(first)


def _skill_flips(
    classifier: LossClassifier,
    base: VariantScores,
    scores: VariantScores,
    regressions: Regressions,
    breaks: tuple[str, ...],
) -> Iterator[Flip]:
    """Yield the flips for display, each regressed case with its kind of loss."""
    for flip in flips(base, scores, _easiest_first(regressions, scores, breaks)):
        sides = base.results.get(flip.case), scores.results[flip.case]
        yield replace(flip, kind=classifier.classify(*sides) if flip.regressed else "")


# The verdict ------------------------------------------------------------------------------------

#: From this share of the regressed answers on, a note reports that they look like labels.
_MIN_FORMAT_SHARE = 0.25


def evaluate_forgetting(
    suite: Suite, gate: ForgettingGate, comparison: SkillComparison, look: Look | None = None
) -> Verdict:
    """Return the verdict on the general skills of a fine-tuned variant.

    *look* is the look that *comparison* belongs to; by default all questions.

    The gate passes if a mean drop as large as the limit is ruled out, no tested family or skill
    regressed (Holm's correction over these), every skill with its own margin keeps it, and no
    must-keep case broke. A good mean therefore cannot hide a regressed family. An earlier look than
    the last fails by the mean or a must-keep case, and never passes.
    """
    look, classifier = look or Look(), LossClassifier(suite)
    levels = look_levels(look, comparison.levels or shared_levels(suite), can_pass=False)
    results = [
        _evaluate_mode(gate, mode, comparison, levels, classifier) for mode in gate.prompt_modes
    ]
    breaks = broken_must_keep_ids(*comparison.scores[""], comparison.repeated)
    outcome, deciding = _outcome(results, breaks, is_last=levels.last)
    decided = results[deciding]
    regressions, (scores, base) = decided.regressions, comparison.scores[decided.check.under]
    verdict = Verdict(
        **verdict_place(suite, gate, scores.variant),
        outcome=outcome,
        statement=Statement(StatementKind.SKILLS),
        checks=tuple(result.check for result in results),
        deciding=deciding,
        slices=with_names([part for result in results for part in result.slices], levels.miss),
        flips=tuple(_skill_flips(classifier, base, scores, regressions, breaks)),
        regressed=len(regressions.regressed),
        fixed=len(regressions.fixed),
        loss_kinds=tuple(kind for result in results for kind in result.loss_kinds),
        breaks=breaks,
        drifts=tuple(skill_drifts(base, scores)),
        notes=(*_look_notes(look, scores), *_notes(suite, gate, comparison, decided)),
    )
    steps = tuple(_next_steps(suite, gate, verdict, decided))
    return with_endings(suite, replace(verdict, next=steps), base, scores)


def _outcome(
    results: list[_ModeResult], breaks: tuple[str, ...], *, is_last: bool
) -> tuple[Outcome, int]:
    """Return the outcome of the gate, and the index of the prompt mode that decides it."""
    outcome, deciding = combine_checks([result.check for result in results])
    if not is_last:
        # The parts decide on all of their questions, and a pass needs them all.
        fails = outcome is Outcome.FAILED or breaks
        return Outcome.FAILED if fails else Outcome.INCONCLUSIVE, deciding
    for index, result in enumerate(results):
        # With too many missing replies even a regressed family decides nothing.
        regressed = any(part.state == "regressed" for part in result.slices)
        if regressed and _is_trustworthy(result.check) and outcome is not Outcome.FAILED:
            outcome, deciding = Outcome.FAILED, index
    if breaks:
        return Outcome.FAILED, deciding
    if outcome is Outcome.PASSED:
        for index, result in enumerate(results):
            if result.unproven_skills:
                return Outcome.INCONCLUSIVE, index
    return outcome, deciding


def _is_trustworthy(check: Check) -> bool:
    return check.informative and check.missing <= MAX_MISSING_SHARE * (check.n + check.missing)


# Notes and next steps ---------------------------------------------------------------------------


def _look_notes(look: Look, scores: VariantScores) -> Iterator[Note]:
    """Yield how many of the questions were enough, if others were not asked."""
    if look.number < look.of:
        n = len(scores.results)
        yield note(NoteKind.LOOK_SKILLS, n=n, of=round(n / look.fractions[-1]))


def _notes(
    suite: Suite, gate: ForgettingGate, comparison: SkillComparison, result: _ModeResult
) -> Iterator[Note]:
    scores, base = comparison.scores[result.check.under]
    if result.check.is_unchanged:
        yield note(NoteKind.UNCHANGED)
    yield from result.check.notes
    weak = [part for part in result.slices if part.state == "uninformative"]
    skills = tuple(part.name for part in weak if part.kind == "skill")
    if skills:
        yield note(NoteKind.WEAK_BASE, skills=skills)
    yield from _case_notes(gate, comparison.choices, scores)
    found = comparison.contamination
    if found is not None:
        first = {"file": found.file, "first": found.first_case}
        yield note(NoteKind.TRAINED_ON, n=found.leaked, line=found.line, **first)
    if gate.excluded_skills:
        yield note(NoteKind.NO_SANDBOX, skills=gate.excluded_skills)
    yield from no_answer_notes(base, scores)
    yield from (drift.message for drift in skill_drifts(base, scores) if drift.message)
    yield from _format_loss_note(suite, comparison, result)


def _case_notes(
    gate: ForgettingGate, choices: Sequence[LevelChoice], scores: VariantScores
) -> Iterator[Note]:
    """Yield the levels of the cases, what they cannot show, and the correction for guesses."""
    if choices:
        yield text_note(levels_note(choices))
    yield from map(text_note, limit_notes(choices))
    guessed = guess_share(case for case in scores.cases if gate.weight(str(case.skill)))
    if guessed:
        yield note(NoteKind.GUESSES, share=float(guessed))


def _format_loss_note(
    suite: Suite, comparison: SkillComparison, result: _ModeResult
) -> Iterator[Note]:
    """Yield the number of regressed answers that look like labels: typical of narrow tuning."""
    kind = next((kind for kind in result.loss_kinds if kind.kind == Loss.FORMAT), None)
    if kind is None or kind.share < _MIN_FORMAT_SHARE:
        return
    counts = {"n": kind.cases, "of": sum(kind.cases for kind in result.loss_kinds)}
    if not suite.labels:
        yield note(NoteKind.LIKE_REPLIES, **counts)
        return
    scores, _ = comparison.scores[result.check.under]
    labels = sum(
        reply.text.strip() in suite.labels
        for key in result.regressions.regressed
        for reply in scores.results[key].replies[:1]
    )
    yield note(NoteKind.LIKE_LABELS, **counts, labels=labels)


def _next_steps(
    suite: Suite, gate: ForgettingGate, verdict: Verdict, result: _ModeResult
) -> Iterator[NextStep]:
    if verdict.outcome is Outcome.FAILED:
        yield next_step(StepKind.TRAIN_AGAIN, variant=verdict.variant)
    elif verdict.outcome is Outcome.INCONCLUSIVE:
        yield from _steps_if_inconclusive(suite, gate, verdict, result)
    if verdict.outcome is not Outcome.PASSED:
        yield from limit_steps(suite, gate, _passing_settings(verdict))


def _passing_settings(verdict: Verdict) -> Iterator[str]:
    """Yield the limit of the mean that the same replies pass, if only the mean blocks."""
    is_part = any(part.state == "regressed" for part in verdict.slices)
    is_part |= any(part.required and part.state == "inconclusive" for part in verdict.slices)
    checks = blocking_checks(verdict)
    limits = [check.shown_limit for check in checks if check.shown_limit is not None]
    is_near_all = all(is_near(limit, checks[0].limit) for limit in limits)
    if limits and len(limits) == len(checks) and is_near_all and not (is_part or verdict.breaks):
        yield f"max_drop: {max(limits):g}"


def _steps_if_inconclusive(
    suite: Suite, gate: ForgettingGate, verdict: Verdict, result: _ModeResult
) -> Iterator[NextStep]:
    check = result.check
    if check.missing:
        yield from missing_steps(suite, gate, verdict, check.missing)
    else:
        yield from case_count_steps(check, "skills case")
    for part in result.unproven_skills:
        found = {"n": part.n, "margin": part.margin or 0.0, "low": part.low, "high": part.high}
        where = gate_place(suite, gate, "margins")
        yield next_step(StepKind.SETTLE_SKILL, skill=part.name, **found, where=where)
