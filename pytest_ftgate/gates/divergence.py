"""The divergence gate: how far a tuned model's distributions are from those of its base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pytest_ftgate.gates.design import MAX_MISSING_SHARE, MIN_CASES_FOR_COST, SIDE, round_up
from pytest_ftgate.gates.figures import bounded_ratio, check_of_figure, mean_figure
from pytest_ftgate.gates.next_steps import MAX_LOOSER, gate_place, limit_steps, missing_steps
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind, next_step
from pytest_ftgate.gates.usage import interval_outcome
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict, verdict_place
from pytest_ftgate.requests.logprobs import TOP_TOKENS, Divergence
from pytest_ftgate.scoring.logprobs import perplexity
from pytest_ftgate.suite.gate_kinds import DivergenceGate
from pytest_ftgate.suite.model import Case, Suite

#: A case, and how its reply diverges; None if the two could not be compared.
CaseDivergence = tuple[Case, Divergence | None]
#: The largest values that a note names.
_LARGEST = 3
#: The tolerance of a limit to advise, as a share of the declared one.
_ACCURACY = 1e-4


def evaluate_divergence(
    suite: Suite, gate: DivergenceGate, variant: str, cases: Sequence[CaseDivergence]
) -> Verdict:
    """Return the verdict on how far *variant* is from its base at the base's own replies."""
    known = [(case, found) for case, found in cases if found is not None]
    samples = samples_from_cases({
        case.id: CaseSample(found.kl / found.tokens, 1, "", case.group) for case, found in known
    })  # fmt: skip
    check = _check(gate, samples, missing=len(cases) - len(known))
    outcome = check.outcome if gate.max_kl is not None else Outcome.PASSED
    verdict = Verdict(
        **verdict_place(suite, gate, variant),
        outcome=outcome,
        statement=Statement(StatementKind.USAGE if known else StatementKind.NO_REPLIES),
        gated=gate.max_kl is not None,
        checks=(replace(check, outcome=outcome),) if known else (),
        notes=(*_notes([found for _, found in known]), *check.notes),
    )
    return replace(verdict, next=tuple(_next_steps(suite, gate, verdict, samples)))


def _check(gate: DivergenceGate, samples: Samples, missing: int) -> Check:
    """Return the check of the mean over the cases of the mean divergence per token."""
    figure = mean_figure(_clip(samples, gate.most), "nats", most=gate.most)
    check = check_of_figure(
        figure, CheckKind.MEAN, gate.max_kl or 0.0, units=figure.units, missing=missing,
        notes=tuple(_clipped(samples, gate.most)),
    )  # fmt: skip
    if gate.most is None and figure.units < MIN_CASES_FOR_COST:
        few = note(NoteKind.FEW_REPLIES, n=figure.units, needed=MIN_CASES_FOR_COST)
        return replace(check, notes=(few,))
    if missing > MAX_MISSING_SHARE * (len(samples) + missing):
        return replace(check, notes=(*check.notes, note(NoteKind.NOT_COMPARED, n=missing)))
    return replace(check, outcome=interval_outcome(check.low, check.high, check.limit))


def _clip(samples: Samples, most: float | None) -> Samples:
    """Return *samples* with values of at most *most*."""
    return replace(samples, values=np.minimum(samples.values, np.inf if most is None else most))


def _clipped(samples: Samples, most: float | None) -> Iterator[Note]:
    """Yield what a reply counts at most, how many exceed it, the mean without that, the largest."""
    if most is None or not len(samples):
        return
    largest = [int(index) for index in np.argsort(-samples.values, kind="stable")[:_LARGEST]]
    names = tuple(samples.case_ids[index] for index in largest)
    values = tuple(samples.values[largest].tolist())
    over = int((samples.values > most).sum())
    told = {"most": most, "over": over, "mean": samples.mean}
    yield note(NoteKind.CLIPPED, **told, cases=names, largest=values)


def _notes(divergences: Sequence[Divergence]) -> Iterator[Note]:
    """Yield the perplexity of the base's replies, and what the figures leave out."""
    tokens = sum(found.tokens for found in divergences)
    if not tokens:
        return
    before, after = (
        perplexity(sum(values), tokens)
        for values in zip(*((f.base_logprob, f.logprob) for f in divergences), strict=True)
    )
    yield note(NoteKind.PERPLEXITY, before=before, after=after, tokens=tokens)
    left_out = sum(found.left_out for found in divergences) / tokens
    if left_out:
        yield note(NoteKind.LOWER_BOUND, top=TOP_TOKENS, left_out=left_out)


def _next_steps(
    suite: Suite, gate: DivergenceGate, verdict: Verdict, samples: Samples
) -> Iterator[NextStep]:
    check = verdict.check
    if verdict.outcome is Outcome.PASSED or check is None:
        return
    where = gate_place(suite, gate)
    if verdict.outcome is Outcome.FAILED:
        yield next_step(StepKind.TRAIN_AGAIN, variant=verdict.variant, where=where)
    elif check.missing:
        yield from missing_steps(suite, gate, verdict, check.missing)
    limit = None if check.missing else _passing_limit(gate, check.limit, samples)
    if limit is not None:
        yield from limit_steps(suite, gate, [f"max_kl: {round_up(limit)}"])


def _passing_limit(gate: DivergenceGate, declared: float, samples: Samples) -> float | None:
    """Return the least limit near the *declared* one that *samples* pass, or None.

    A default clip moves with it.
    """
    from pytest_ftgate.stats.proportions import find_root

    def excess(limit: float) -> float:
        most = replace(gate, max_kl=limit).most or limit
        ratio = bounded_ratio(_clip(samples, most), None, (most, 1.0))
        return ratio.p_at_least(limit) - SIDE

    # Rounded up, a limit must still be so many times below its clip.
    high = min(MAX_LOOSER * declared, 0.99 * (gate.clip or np.inf) / gate.least_clip)
    is_between = declared < high and excess(declared) > 0.0 >= excess(high)
    return find_root(excess, declared, high, declared * _ACCURACY) if is_between else None
