"""Next steps of the accuracy gate and the format gate: what makes it pass, by deciding check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from difflib import unified_diff
from math import ceil, inf

from pytest_ftgate.gates.checks import ROUNDING
from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.figure import InputChange
from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.statements import NextStep, StepKind, Value, next_step
from pytest_ftgate.gates.verdict import ACCEPTED_KINDS, Check, CheckKind, Outcome, Verdict
from pytest_ftgate.requests.request_groups import more_replies_vary
from pytest_ftgate.scoring.score import NO_LABEL
from pytest_ftgate.suite.gate_kinds import RateGate, is_rate
from pytest_ftgate.suite.model import Gate, Suite, Variant

#: The largest number of repeats to advise; beyond it, more cases are better.
_MAX_REPEATS = 20
#: The regressed cases that a step names.
_MAX_CASES = 3
#: A label that is taken for another one is named from this share of the regressed cases on.
_MIN_SHARE_OF_LABEL = 0.25
#: No limit is advised that allows more than this many times what the declared one allows.
MAX_LOOSER = 2.0
#: No step asks for more than this many times the cases that there are.
_MAX_MORE_CASES = 5


def rate_next_steps(
    suite: Suite, gate: RateGate, verdict: Verdict, look: Look, format_errors: Counter[str]
) -> Iterator[NextStep]:
    """Yield what to do about *verdict*: fixes first, then what else makes it pass.

    *format_errors* counts the replies of the variant with each kind of format error.
    """
    check, missing = verdict.check, verdict.statement.values.get("missing")
    if check is None and isinstance(missing, int):
        yield from missing_steps(suite, gate, verdict, missing)
    elif verdict.outcome is Outcome.PASSED:
        yield from _first_run_steps(suite, gate, verdict)
    elif check is None:
        yield next_step(StepKind.CHECK_SCORE, where=gate_place(suite, gate))
    elif verdict.outcome is Outcome.INCONCLUSIVE:
        yield from _steps_if_inconclusive(suite, gate, verdict, check, look)
    elif check.kind is CheckKind.MUST_PASS:
        cases, repeated = ", ".join(check.case_ids), look.replies_vary
        wrong = (flip.where for flip in verdict.flips if flip.case in check.case_ids)
        where = next(wrong, "")
        yield next_step(StepKind.FIX_MUST_PASS, cases=cases, repeated=repeated, where=where)
    elif check.measure:
        where = gate_place(suite, gate, "thoughts")
        yield next_step(StepKind.KEEP_THOUGHTS, variant=verdict.variant, where=where)
    else:
        yield from _mistake_steps(suite, gate, verdict, format_errors)
        yield from cases_step(suite, verdict)
        yield from _accepting_steps(suite, gate, verdict)


def _first_run_steps(suite: Suite, gate: RateGate, verdict: Verdict) -> Iterator[NextStep]:
    """Yield the step to accept a run, if a passed gate limits a drop and compares with nothing."""
    # Variants that are compared with each other need no accepted run.
    several = any(v.gated and v.name != verdict.variant for v in suite.variants.values())
    compares = any(c.before is not None and not c.measure for c in verdict.checks)
    if gate.reads_record and not several and not compares:
        alone = {"minimum": True} if verdict.check is not None else {}
        yield next_step(StepKind.ACCEPT, suite=suite.name, **alone)


# What to fix ------------------------------------------------------------------------------------


def _mistake_steps(
    suite: Suite, gate: RateGate, verdict: Verdict, format_errors: Counter[str]
) -> Iterator[NextStep]:
    """Yield the mistakes that stand out: replies cut off, a broken format, a label, a slice."""
    if cut := _cut_off(verdict):
        where = max_tokens_place(suite, verdict.variant)
        yield next_step(StepKind.RAISE_MAX_TOKENS, **cut, where=where)
    yield from _format_steps(gate, verdict, format_errors)
    yield from _label_steps(verdict)
    regressed = [part for part in verdict.slices if part.state == "regressed"]
    for part in sorted(regressed, key=lambda part: part.change)[:1]:
        counts = {"regressed": part.regressed, "n": part.n}
        yield next_step(StepKind.FIX_PART, kind=part.kind, name=part.name, **counts)


def _cut_off(verdict: Verdict) -> dict[str, Value]:
    """Return how many replies were cut off, of how many, if that explains the verdict."""
    values, check = verdict.statement.values, verdict.check
    if "cut" in values:
        return {"cut": values["cut"], "of": values["regressed"], "regressed": True}
    # Without a comparison every wrong case counts as regressed, and a reply that is cut off is.
    if check is None or check.before is not None:
        return {}
    for one in verdict.notes:
        cut, of = one.values.get("n"), one.values.get("of")
        is_wrong = one.kind == NoteKind.CUT_OFF and one.values.get("as_wrong")
        if is_wrong and isinstance(cut, int) and isinstance(of, int):
            return (
                {"cut": cut, "of": of, "regressed": False} if 2 * cut >= verdict.regressed else {}
            )
    return {}


def max_tokens_place(suite: Suite, variant: str) -> str:
    """Return the place of the key that limits the replies of *variant*, else of the variant."""
    places = (f"variants.{variant}.max_tokens", "reply.max_tokens", f"variants.{variant}")
    return next((suite.places[key] for key in places if key in suite.places), suite.name)


def _format_steps(
    gate: RateGate, verdict: Verdict, format_errors: Counter[str]
) -> Iterator[NextStep]:
    """Yield the format error to prevent, if most mistakes are of the format."""
    values = verdict.statement.values
    # Without a comparison every wrong case counts as regressed.
    below_minimum = verdict.check is not None and verdict.check.before is None
    is_broken = below_minimum and 2 * format_errors.total() >= verdict.regressed
    if gate.kind == "format" or is_broken:
        for kind, count in format_errors.most_common(1):
            yield next_step(StepKind.FIX_FORMAT, format_error=kind, replies=count)
    # Replies that were cut off have a step of their own.
    elif "format_error" in values and "cut" not in values:
        error = {"format_error": values["format_error"], "replies": values["format_replies"]}
        yield next_step(StepKind.FIX_FORMAT, **error, of="regressed cases")


def _label_steps(verdict: Verdict) -> Iterator[NextStep]:
    """Yield the label that is most often taken for another one, if that explains enough."""
    taken = ((of.label, *pair) for of in verdict.labels for pair in of.taken_for.items())
    # A reply that is no label breaks the format.
    mistakes = Counter({(label, other): n for label, other, n in taken if other != NO_LABEL})
    for (label, other), count in mistakes.most_common(1):
        if count > 1 and count >= _MIN_SHARE_OF_LABEL * verdict.regressed:
            yield next_step(StepKind.FIX_LABEL, label=label, taken_for=other, replies=count)


def cases_step(suite: Suite, verdict: Verdict) -> Iterator[NextStep]:
    """Yield the step to read the cases that regressed, and what has changed, if any did."""
    cases = [flip.case for flip in verdict.flips if flip.regressed][:_MAX_CASES]
    check = verdict.check
    if not cases or check is None:
        return
    before, after = (suite.variants.get(name) for name in (check.against, verdict.variant))
    differences = dict[str, Value]()
    if check.kind is CheckKind.BASELINE and before is not None and after is not None:
        differences = _differences(before, after)
    is_open = verdict.outcome is Outcome.INCONCLUSIVE
    counts = {"count": verdict.regressed, "open": is_open}
    yield next_step(StepKind.FIX_CASES, cases=", ".join(cases), **counts, **differences)


#: The words of a suite for fields of a variant.
_KEYS = {"system": "prompt", "shot_pool": "shots", "similar_shots": "shots", "sampling": "sampling"}
#: What tells variants apart, and decides no reply.
_NOT_COMPARED = {
    *("name", "line", "gated", "compared", "tariff", "rung", "prompt_path", "base", "base_fields"),
    *("base_replies", "is_proven", "training_data", "batch", "api_key_env", "runtime", "uses"),
}


#: What answers a prompt: where nothing else differs, two texts can be compared.
_ENGINE = {"provider", "base_url", "served_model", "model", "adapter", "options", "extra"}


def is_other_engine(before: Variant, after: Variant) -> bool:
    """Return True if two variants send the same prompt to different servers or programs."""
    changed = {*_changed_keys(before, after)}
    return bool(changed & {"provider", "base_url", "extra"}) and changed <= _ENGINE


def _changed_keys(before: Variant, after: Variant) -> tuple[str, ...]:
    names = (one.name for one in fields(Variant) if one.name not in _NOT_COMPARED)
    differing = [name for name in names if getattr(before, name) != getattr(after, name)]
    return tuple(dict.fromkeys(_KEYS.get(name, name) for name in differing))


def _differences(before: Variant, after: Variant) -> dict[str, Value]:
    """Return the keys in which two variants differ, and the changed lines of the prompt."""
    changed = _changed_keys(before, after)
    values: dict[str, Value] = {"changed": changed} if changed else {}
    if before.system and after.system and before.system != after.system:
        old, new = before.system.splitlines(), after.system.splitlines()
        signs = [line[0] for line in [*unified_diff(old, new, n=0)][2:]]
        values |= {"added": signs.count("+"), "removed": signs.count("-")}
    return values


# What to accept ---------------------------------------------------------------------------------


def gate_place(suite: Suite, gate: Gate, *keys: str) -> str:
    """Return the place of the first of *keys* that *gate* has in its file, else of the gate."""
    paths = [f"gates.{gate.kind}.{key}" for key in keys] if not gate.function else []
    found = (suite.places[path] for path in paths if path in suite.places)
    return next(found, f"{suite.name}:{gate.line}")


def limit_steps(suite: Suite, gate: Gate, settings: Iterable[str]) -> Iterator[NextStep]:
    """Yield the step that writes *settings*, such as ``max_drop: 0.1``, if there are any."""
    settings = [*settings]
    if settings:
        keys = [re.split("[:=]", setting)[0] for setting in settings]
        where = gate_place(suite, gate, *keys[:1]) if len(keys) == 1 else gate_place(suite, gate)
        yield next_step(StepKind.SET_LIMIT, setting=", ".join(settings), where=where)


def is_near(shown: float, declared: float, *, at_least: bool = False) -> bool:
    """Return True if the limit *shown* allows at most twice as much as the *declared* one.

    *at_least* is True for minimums, which allow what they are short of 1.
    """
    if at_least:
        shown, declared = 1.0 - shown, 1.0 - declared
    return shown <= MAX_LOOSER * declared + ROUNDING


def blocking_checks(verdict: Verdict) -> list[Check]:
    """Return the checks that keep a verdict from passing."""
    has_informative = any(check.informative for check in verdict.checks)
    return [
        check
        for check in verdict.checks
        if check.outcome is not Outcome.PASSED and (check.informative or not has_informative)
    ]


def _accepting_steps(suite: Suite, gate: RateGate, verdict: Verdict) -> Iterator[NextStep]:
    """Yield the one reviewed change after which the same replies pass, if there is one."""
    checks = blocking_checks(verdict)
    kinds = {check.kind for check in checks}
    # A larger max_drop does not cover a part of the cases that regressed.
    if CheckKind.MUST_PASS in kinds or any(part.state == "regressed" for part in verdict.slices):
        return
    failed = verdict.outcome is Outcome.FAILED
    if kinds <= {*ACCEPTED_KINDS}:
        # Without an anchor so far, the record that this run failed against becomes it.
        anchors = (check for check in verdict.checks if check.kind is CheckKind.ANCHOR)
        anchor = all(check.outcome is not Outcome.PASSED for check in anchors)
        values = {"anchor": anchor, "failed": failed}
        yield next_step(StepKind.ACCEPT_RUN, suite=suite.name, **values)
    elif kinds == {CheckKind.BASELINE} and failed:
        place = suite.places.get("baseline") or suite.places.get("variants") or suite.name
        # A mark with variants of its own has no key for the baseline: it is the first one.
        in_mark = bool(gate.function) and place.rpartition(":")[0] == suite.name
        step = StepKind.MAKE_BASELINE
        yield next_step(step, variant=verdict.variant, in_mark=in_mark, where=place)
    else:
        yield from limit_steps(suite, gate, _passing_settings(gate, checks))


def _passing_settings(gate: RateGate, checks: Iterable[Check]) -> list[str]:
    """Return the limits that pass *checks* with the same replies, if all are near those declared.

    None are returned if there are no such limits. A default limit is not declared: it follows the
    number of cases, and one that follows the result would decide nothing.
    """
    limits: dict[str, float] = {}
    for check in checks:
        shown, is_minimum = check.shown_limit, check.before is None
        if shown is None or check.has_default_limit:
            return []
        if not is_near(shown, check.limit, at_least=is_minimum):
            return []
        key = "min" if is_minimum else "max_drop"
        strictest = min if is_minimum else max
        limits[key] = strictest(limits.get(key, shown), shown)
    separator = "=" if gate.function else ": "
    return [f"{key}{separator}{limit:g}" for key, limit in limits.items()]


# What evidence to add ---------------------------------------------------------------------------


def _steps_if_inconclusive(
    suite: Suite, gate: RateGate, verdict: Verdict, check: Check, look: Look
) -> Iterator[NextStep]:
    """Yield what would settle an inconclusive verdict."""
    if check.has_drifted:
        yield next_step(StepKind.REQUEST_BOTH_AGAIN, suite=suite.name)
    elif not check.informative:
        kind = _step_without_information(check)
        yield next_step(kind, where=gate_place(suite, gate, "min"))
    elif check.missing and (check.inputs is None or check.inputs.is_blocked):
        yield from missing_steps(suite, gate, verdict, check.missing)
    elif check.inputs is not None:
        yield from _label_steps_of(suite, verdict, check.inputs)
        yield from cases_step(suite, verdict)
    elif any(one.kind == NoteKind.COPIES for one in check.notes):
        yield claim_step(suite)
    else:
        yield from cases_step(suite, verdict)
        yield from () if check.tasks else case_count_steps(check, "case")
        repeats = _repeats_of_tasks(check) or _repeats_for_needed(suite, check, look)
        if repeats:
            setting = f"repeats={repeats}" if gate.function else f"settle: {repeats}"
            where = gate_place(suite, gate, "settle")
            recorded = {"recorded": True} if suite.variants[verdict.variant].replies else {}
            yield next_step(
                StepKind.SETTLE, setting=setting, repeats=repeats, where=where, **recorded
            )
        yield from _accepting_steps(suite, gate, verdict)


def claim_step(suite: Suite) -> NextStep:
    """Return the step to count each task once, where its runs are copies."""
    claims = (f"gates.{kind}.claim" for kind in suite.gates)
    where = next((suite.places[key] for key in claims if key in suite.places), suite.name)
    return next_step(StepKind.CLAIM_OTHERS, where=where)


def _repeats_of_tasks(check: Check) -> int:
    """Return how many runs of each task settle a check on these tasks; 0 if none is known to."""
    needed = check.needed_unchanged or check.needed
    if not check.tasks or not needed or needed > _MAX_MORE_CASES * check.n:
        return 0
    return ceil((check.n + needed) / check.tasks)


def _label_steps_of(suite: Suite, verdict: Verdict, inputs: InputChange) -> Iterator[NextStep]:
    """Yield the step to label more inputs, if more labels can decide."""
    compared = [v for v in suite.variants.values() if v.compared and v.name != suite.baseline]
    if inputs.to_label:
        several = {"variant": verdict.variant} if len(compared) > 1 else {}
        last = {"last": inputs.to_last, "at_last": inputs.chance_at_last}
        counts = {"n": inputs.to_label, "chance": inputs.chance, **last}
        yield next_step(StepKind.LABEL, **counts, suite=suite.name, **several)


def case_count_steps(check: Check, noun: str) -> Iterator[NextStep]:
    """Yield how many further cases would settle *check*, or that too many would."""
    counts = (check.needed, check.needed_unchanged)
    most = _MAX_MORE_CASES * check.n
    needed, unchanged = (count if count and count <= most else 0 for count in counts)
    if needed or unchanged:
        default = check.limit if check.has_default_limit else 0.0
        limit: dict[str, Value] = {"fails": _is_past(check), "default": default}
        yield next_step(StepKind.ADD_CASES, needed=needed, unchanged=unchanged, cases=noun, **limit)
    elif any(counts):
        # A lower most that a case can cost shows a limit sooner, unless the mean is past it.
        narrows = check.unit == "usd" and not _is_past(check)
        yield next_step(StepKind.DECIDE_OTHERWISE, n=check.n, cases=noun, narrows=narrows)


def last_settled(checks: Sequence[Check]) -> Check:
    """Return which of *checks* takes the most further cases: of those past their limits, if any."""
    past = [check for check in checks if _is_past(check)]
    return max(past or checks, key=lambda check: inf if check.needed is None else check.needed)


def observed_amount(check: Check) -> float:
    """Return the amount, or its rise, that a check of usage compares with its limit."""
    return check.after if check.rise is None else check.rise


def _is_past(check: Check) -> bool:
    """Return True if the observed rate, drop, amount or rise is past its limit."""
    if check.unit != "share":
        return observed_amount(check) > check.limit
    if check.change is None:
        return check.after < check.limit
    return -check.change >= check.limit


def _step_without_information(check: Check) -> StepKind:
    """Return what to do about a check that shows nothing, whatever the replies."""
    if check.before is None:
        return StepKind.RAISE_MINIMUM
    return StepKind.DECLARE_MINIMUM if check.before or check.after else StepKind.CHECK_SCORE


def missing_steps(suite: Suite, gate: Gate, verdict: Verdict, missing: int) -> Iterator[NextStep]:
    """Yield what brings *missing* replies, or grades: a file of replies grows by hand."""
    file = suite.variants[verdict.variant].replies
    is_judged = suite.judges and is_rate(gate) and gate.reads_grades
    if file is not None and not is_judged:
        is_price = verdict.check is not None and verdict.check.unit == "usd"
        tokens = {"tokens": True} if is_price else {}
        yield next_step(StepKind.ADD_REPLIES, missing=missing, file=file.name, **tokens)
        return
    if is_judged:
        # A reply of a judge that holds no grade is cached, so that no run brings another one.
        yield next_step(StepKind.IMPROVE_JUDGE, ungraded=missing)
    told = (note.values["n"] for note in verdict.notes if note.kind == NoteKind.UNGRADED)
    if next(told, 0) != missing:
        yield next_step(StepKind.RUN_AGAIN, missing=missing, suite=suite.name)


def _vary(suite: Suite, *variants: str) -> bool:
    """Return True if more replies of one of *variants* may differ from those that there are."""
    return any(
        more_replies_vary(suite.variants[name]) for name in variants if name in suite.variants
    )


def _repeats_for_needed(suite: Suite, check: Check, look: Look) -> int:
    """Return the number of repeats that replace the needed cases, or 0 if they do not help."""
    if not look.replies_vary or look.cases is not None or not _vary(suite, *suite.variants):
        return 0
    if check.before is None or check.needed is None:
        return 0
    repeats = ceil(look.repeats * (1 + check.needed / check.n))
    return repeats if repeats <= _MAX_REPEATS else 0
