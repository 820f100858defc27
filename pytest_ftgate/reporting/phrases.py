"""The phrase book: each part of a verdict in words, once. Media choose the parts that they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from math import ceil, isclose
from typing import Any

from pytest_ftgate.gates.design import PERHAPS
from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import (
    MIN_RATE_TO_LOSE,
    Check,
    CheckKind,
    Fall,
    Outcome,
    Slice,
    Verdict,
)
from pytest_ftgate.reporting.notes import UNCHANGED, notes_text
from pytest_ftgate.reporting.number_text import (
    NO_CHANGE,
    RUN_AMOUNTS,
    VISIBLE,
    change_size,
    declared_percent,
    digits_beside,
    fill,
    first_names,
    interval_text,
    level,
    level_span,
    percent,
    quantity,
    share_change,
    short_change,
    span,
    unsigned_points,
    with_more,
)

#: What stands for the size of a change from a baseline that has drifted.
_NOT_COMPARED = "not compared"

#: A smaller change would read as none.
_ONE_POINT = 0.01
#: Fewer right answers may well be lost by chance.
_MIN_LOST_CASES = 4


class Relation(StrEnum):
    """How what was measured relates to the limit; every sentence on a check branches on it."""

    WITHIN = "within"
    UNCHANGED = "unchanged"
    BEYOND = "beyond"
    LIKELY_BEYOND = "likely beyond"
    REAL = "real"
    LIKELY = "likely"
    OPEN = "open"
    BLIND = "blind"
    MISSING = "missing"
    DRIFTED = "drifted"


def relation(check: Check) -> Relation:
    """Return how *check* relates to its limit."""
    return next(kind for kind, applies in _RELATIONS if applies(check))


def _excludes_zero(check: Check) -> bool:
    if check.before is None:
        return False
    return check.high is not None and check.high < 0.0


def _is_blocked(check: Check) -> bool:
    """Return True if the check is open for want of replies, or as its labels show nothing."""
    if check.inputs is not None:
        return check.inputs.is_blocked
    return check.missing > 0 or check.n == 1


#: The first that applies counts.
_RELATIONS: Sequence[tuple[Relation, Callable[[Check], bool]]] = (
    (Relation.DRIFTED, lambda check: check.has_drifted),
    (Relation.BLIND, lambda check: not check.informative),
    (Relation.UNCHANGED, lambda check: check.is_unchanged),
    (Relation.BEYOND, lambda check: check.outcome is Outcome.FAILED),
    (Relation.WITHIN, lambda check: check.outcome is not Outcome.INCONCLUSIVE),
    (Relation.MISSING, _is_blocked),
    (Relation.REAL, lambda check: check.drop_is_shown),
    (Relation.LIKELY_BEYOND, lambda check: check.is_beyond),
    (Relation.LIKELY, _excludes_zero),
    (Relation.OPEN, lambda _: True),
)


# What is measured -------------------------------------------------------------------------------

_MEASURES = {
    "format": "replies in the right format",
    "balanced_accuracy": "balanced accuracy",
    "thoughts": "replies with a thought",
}


def subject(verdict: Verdict) -> str:
    """Return what a verdict is about: ``accuracy``, ``general skills``, a function in words."""
    check = verdict.check
    if check is not None and check.measure:
        return _MEASURES.get(check.measure, check.measure)
    if verdict.statement.kind is StatementKind.SKILLS:
        under = check.under if check else ""
        return f"general skills under the {under}" if under else "general skills"
    return measure_name(verdict.statement.values)


def measure_name(values: Mapping[str, Any]) -> str:
    """Return what a gate measures, from the values of its statement."""
    if "tasks" in values:
        return f"success on these {values['tasks']:,} tasks"
    if "function" not in values:
        measure = str(values["measure"])
        return _MEASURES.get(measure, measure)
    # Names such as TestTone::test_never_promises[formal] read as a sentence.
    name = str(values["function"]).rpartition("::")[2].removeprefix("test_")
    return name.replace("[", " (").replace("]", ")").replace("_", " ") + ":"


def figure_name(check: Check) -> str:
    """Return what a check of cost, latency or thoughts measures."""
    if check.unit == "usd":
        return "cost of 1,000 requests"
    if check.measure:
        return "length of a thought"
    if check.unit in RUN_AMOUNTS:
        return RUN_AMOUNTS[check.unit]
    return "p95 latency" if check.kind is CheckKind.P95 else "median latency"


# Levels, size, interval, limit ------------------------------------------------------------------


def decimals(check: Check) -> int:
    """Return 1 if whole percent hide on which side of its limit, or of 0, a figure is, else 0.

    A figure is a level, a change, or an end of its interval. So it is as well where two rounded
    levels do not differ by as much as their change says.
    """
    ends, limit = (check.low, check.high), check.limit
    if check.unit != "share":
        return 0 if check.rise is None else digits_beside(limit, check.rise, *ends)
    if check.before is None:
        return digits_beside(limit, check.after, *ends)
    if check.inputs is not None:
        hides = digits_beside(-limit, check.inputs.change, *ends) or _hides_its_sign(check)
        return int(hides or 0 < abs(check.inputs.change) < _ONE_POINT)
    change = check.after - check.before
    rounded = round(check.after * 100) - round(check.before * 100)
    hides = digits_beside(-limit, change, *ends) or _hides_its_sign(check)
    return int(hides or rounded != round(change * 100))


def _hides_its_sign(check: Check) -> bool:
    """Return True if an interval of a change excludes 0, and would end at 0 in whole points."""
    if check.before is None or check.low is None or check.high is None:
        return False
    nearest = max(check.low, -check.high)
    return nearest >= VISIBLE and round(nearest * 100) == 0


def levels(check: Check, variant: str = "") -> str:
    """Return ``current 98 % → candidate 87 %``, or without *variant* ``current 98 % → 87 %``."""
    digits = decimals(check)
    now = level(check.after, check.unit, digits)
    if check.before is None:
        return now
    before = level(check.before, check.unit, digits)
    return " ".join(filter(None, (check.against, before, "→", variant, now)))


def size(check: Check, digits: int | None = None) -> str:
    """Return the size of a change: ``down 11 points``, ``up 12 %``; of a level the level."""
    digits = decimals(check) if digits is None else digits
    if check.has_drifted:
        return _NOT_COMPARED
    if check.is_unchanged:
        return UNCHANGED
    if check.before is None:
        return _level_beside_limit(check, digits)
    if check.unit != "share":
        return "" if check.rise is None else _directed_percent(check.rise, digits)
    least = " at most" * (check.inputs is not None and check.inputs.is_bound)
    text = change_size(check.change or 0.0, digits)
    # Tasks that went worse and better may leave the mean as it was.
    has_turned = check.noun == "task" and check.regressed + check.fixed > 0.0
    mean = " on average" * (text == NO_CHANGE and has_turned)
    return text + mean + least


def _level_beside_limit(check: Check, digits: int) -> str:
    """Return the level of a check, with more figures if it would read like its limit."""
    text, unit = level(check.after, check.unit, digits), check.unit
    if any(one.kind == NoteKind.NO_SUCCESS for one in check.notes):
        return f"over {text}"
    if unit == "share" or text != level(check.limit, unit) or isclose(check.after, check.limit):
        return text
    return f"{check.after:,.6g} {text.partition(' ')[2]}"


def _directed_percent(rise: float, digits: int) -> str:
    text = f"{'down' if rise < 0 else 'up'} {percent(abs(rise), digits)}"
    return text if round(rise, 4) else "no change"


def interval(check: Check, digits: int | None = None) -> str:
    """Return ``95 % CI 8 to 15``, of a level ``95 % CI 60 to 79 %``; "" if there is none."""
    digits = decimals(check) if digits is None else digits
    only_least = check.low == check.after and check.high is None
    if check.is_unchanged or check.has_drifted or only_least:
        return ""
    if check.before is None:
        text = level_span(check.low, check.high, check.unit, digits)
    else:
        text = change_span(check, digits)
    return interval_text(text)


def size_with_interval(check: Check, digits: int | None = None) -> str:
    """Return ``down 11 points (95 % CI 8 to 15)``, without brackets if there is no interval."""
    return with_more(size(check, digits), interval(check, digits))


def change_span(check: Check, digits: int = 0) -> str:
    """Return the bounds of a change, in points or in percent of the amount before."""
    text = span(check.low, check.high, digits)
    return f"{text} %" if text and check.unit != "share" else text


def limit(check: Check, *, nested: bool = False, is_capped: bool = False) -> str:
    """Return ``limit 5``, ``min 85 %``, or ``limit 9 (what 100 cases can show)``.

    *nested* is for text within brackets: ``limit 9: what 100 cases can show``. With *is_capped* it
    is the largest limit of a gate that declares none.
    """
    if check.kind is CheckKind.MUST_PASS:
        return "must pass"
    if check.unit != "share":
        # Of the baseline the amount may be unknown.
        is_rise = check.before is not None or check.kind is CheckKind.BASELINE
        value = f"+{declared_percent(check.limit)}" if is_rise else level(check.limit, check.unit)
        return f"limit {value}"
    if check.before is None:
        return f"min {declared_percent(check.limit)}"
    text = f"limit {unsigned_points(check.limit)}"
    if not (check.has_default_limit or is_capped):
        return text
    number = check.limit_cases or check.n
    sample = sample_text(check) if check.tasks else quantity(number, check.noun)
    few = f"the largest default; {sample} {'is' if number == 1 else 'are'} too few to show it"
    reason = few if is_capped else f"what {sample} can show"
    return f"{text}: {reason}" if nested else f"{text} ({reason})"


def sample_text(check: Check) -> str:
    """Return what a check rests on: ``300 cases``, ``40 tasks``, or ``12 tasks × 5 runs``."""
    if check.tasks:
        return f"{check.tasks:,} tasks × {runs_text(check)}"
    return quantity(check.n, check.noun)


def runs_text(check: Check) -> str:
    """Return ``5 runs``: of each task, on average, if a check is about these tasks alone."""
    runs = check.n / check.tasks
    return quantity(round(runs), "run") if runs == round(runs) else f"{runs:.1f} runs"


def check_text(check: Check, variant: str = "") -> str:
    """Return a check in one line: size, interval and limit, then the levels of both sides."""
    if check.kind is CheckKind.MUST_PASS:
        return must_pass_text(check)
    name = figure_name(check) if check.unit != "share" else ""
    text = f"{' '.join(filter(None, (name, size_with_interval(check))))}, {limit(check)}"
    if check.inputs is not None:
        from pytest_ftgate.reporting.inputs import input_counts

        return f"{text}: {input_counts(check.inputs)}"
    return f"{text}: {levels(check, variant)}" if is_compared(check) else text


def other_check(check: Check) -> str:
    """Return a check that did not decide, with what it is about if that is not the gate's own."""
    about = [check.measure, f"under the {check.under}" if check.under else ""]
    return " ".join(filter(None, (*about, check_text(check))))


def is_compared(check: Check) -> bool:
    """Return True if the check compares with a side that it may be compared with."""
    return check.before is not None and not check.has_drifted and check.inputs is None


def must_pass_text(check: Check) -> str:
    """Return which must-pass cases are wrong."""
    right = f"{round(check.after * check.n)} of {check.n} must-pass cases are right"
    if check.case_ids:
        return f"{right}; wrong: {', '.join(check.case_ids)}"
    return right + f"; {check.missing} got no reply" * bool(check.missing)


# Which cases ------------------------------------------------------------------------------------


def cases(verdict: Verdict) -> str:
    """Return ``34 of 300 cases regressed, 0 fixed``."""
    check = verdict.check
    if check is not None and check.noun == "task" and not verdict.counts_wrong:
        each = f", {runs_text(check)} each," if check.tasks else ""
        what = f"{quantity(check.rated, 'task')}{each} went worse"
        return f"{verdict.regressed:,} of {what}, {verdict.fixed:,} better"
    total = f" of {check.rated if check.tasks else check.n:,}" if check is not None else ""
    if check is not None and check.inputs is not None:
        from pytest_ftgate.reporting.inputs import input_counts

        return input_counts(check.inputs, turns=True)
    if check is not None and check.measure:
        return f"{check.regressed:g}{total} cases lost their thought, {check.fixed:g} got one"
    is_one = verdict.regressed == 1 == (check.n if check else 1)
    noun = (check.noun if check else "case") + "s" * (not is_one)
    if verdict.counts_wrong:
        return f"{verdict.regressed:,}{total} {noun} {'is' if is_one else 'are'} wrong"
    return f"{verdict.regressed:,}{total} {noun} regressed, {verdict.fixed:,} fixed"


# How sure ---------------------------------------------------------------------------------------


#: What keeps a check open, by its relation to the limit.
_DOUBTS: Mapping[Relation, str] = {
    Relation.OPEN: "A drop of {limit:size} or more is still possible; so is no drop at all.",
    Relation.LIKELY: "The 95 % CI excludes 0, but {asked}.",
    Relation.REAL: (
        "The drop is real. {sample} cannot show that it stays below {limit:size} points."
    ),
    Relation.LIKELY_BEYOND: "The 95 % CI lies beyond the limit of {limit:size}, but {asked}.",
    Relation.MISSING: "{notes}.",
    Relation.BLIND: "{notes}.",
    Relation.DRIFTED: "{notes}.",
}
_OPEN_MINIMUM = "A true rate below {limit:size} % is still possible; so is one above it."


def doubt(check: Check) -> str:
    """Return in a sentence what keeps *check* open; "" if it is decided."""
    copies = [one for one in check.notes if one.kind == NoteKind.COPIES]
    if check.unit != "share" or copies:
        text = notes_text(copies or check.notes)
        return f"{text[:1].upper() if copies else text[:1]}{text[1:]}." if text else ""
    kind = relation(check)
    is_open_minimum = kind is Relation.OPEN and check.before is None
    words = _OPEN_MINIMUM if is_open_minimum else _DOUBTS.get(kind, "")
    notes = check.notes[:1] if check.inputs is not None else check.notes
    words = "{notes}." if lacks_groups(check) else words
    values = {"limit": check.limit, "sample": sample_text(check)}
    return fill(words, {**values, "notes": notes_text(notes), "asked": _asked(check)})


def lacks_groups(check: Check) -> bool:
    """Return True if *check* is open since its cases are in too few groups."""
    kinds = {NoteKind.FEW_GROUPS, NoteKind.WHOLE_GROUPS}
    return check.outcome is Outcome.INCONCLUSIVE and any(one.kind in kinds for one in check.notes)


def _asked(check: Check) -> str:
    """Return how sure a suite must be before a drop fails its gate."""
    asked = percent(1.0 - check.alarm, 0 if round(check.alarm * 1000) % 10 == 0 else 1)
    shared = f", since {check.shared} checks share its error rate" if check.shared > 1 else ""
    return f"this suite asks for {asked}{shared}"


# Where, and why ---------------------------------------------------------------------------------


def worst(verdict: Verdict) -> tuple[str, tuple[str, ...]]:
    """Return the parts that got worse most: ``fell``, ``where`` or ``errors``, and which.

    They are the slices that clearly fell, with confusions of labels before them, or format errors.
    """
    confusions = (*_confusions(verdict),)
    rates = (
        f"{plain_name(part)} {share_change(part.before, part.after).removesuffix(' %')}"
        for part in clearly_fallen(verdict)
    )
    parts = (*confusions, *rates)
    errors = tuple(
        f"{share.kind} "
        + (
            percent(share.after)
            if share.before is None
            else share_change(share.before, share.after)
        )
        for share in verdict.format_errors
        if share.after > (share.before or 0.0)
    )
    if errors and not (verdict.rates_content and parts):
        return "errors", errors
    return "where" if confusions else "fell", parts


def plain_name(part: Slice) -> str:
    """Return the name of a slice: that of a difficulty is a number, which alone says nothing."""
    return f"{part.kind} {part.name}" if part.kind == "difficulty" else part.name


def _confusions(verdict: Verdict) -> Iterator[str]:
    """Yield the labels that are taken for another one in several replies, most often first."""
    pairs = [
        (count, label.label, other)
        for label in verdict.labels
        for other, count in label.taken_for.items()
        if count > 1
    ]
    for count, label, other in sorted(pairs, key=lambda pair: -pair[0]):
        yield f"{label} → {other} {count}"


def cause_parts(verdict: Verdict) -> tuple[str, str]:
    """Return what most regressed cases have in common, and what the others came to."""
    if not verdict.loss_kinds and verdict.statement.values.keys() <= _WITHOUT_CAUSE:
        return "", ""
    from pytest_ftgate.reporting.causes import cause, rest

    return cause(verdict), rest(verdict.statement.values)


#: The values of a statement that name no cause.
_WITHOUT_CAUSE = {"measure", "function", "tasks"}


# Which parts fell -------------------------------------------------------------------------------

#: The most parts that are named at once.
_MAX_NAMED = 5
#: How surely a part fell, in words.
FALLS: Mapping[Fall, str] = {"clearly": "clearly fell", "perhaps": "may have fallen"}


def clearly_fallen(verdict: Verdict) -> list[Slice]:
    """Return the slices that clearly fell, largest drop first."""
    return _largest_drop_first(part for part in verdict.slices if part.named == "clearly")


def half_gone_skills(verdict: Verdict) -> list[Slice]:
    """Return the skills of which at least half is gone, unless so is their fallen family.

    They are observed, not tested. A single skill is all that the verdict is about.
    """
    skills = [part for part in verdict.slices if part.kind == "skill" and part.state != "allowed"]
    fallen = filter(is_half_gone, clearly_fallen(verdict))
    told = {(part.name, part.under) for part in fallen}
    return _largest_drop_first(
        part
        for part in skills
        if is_half_gone(part)
        and part.p_alone is None
        and any(other.name != part.name for other in skills)
        and (part.family, part.under) not in told
    )


def is_half_gone(part: Slice) -> bool:
    """Return True if half of what was right before, or more, is lost.

    Where little was right, or few right answers are lost, it may well be chance.
    """
    lost = part.before - part.after
    is_enough = part.before > MIN_RATE_TO_LOSE and round(lost * part.n, 6) >= _MIN_LOST_CASES
    return is_enough and round(2 * lost - part.before, 9) >= 0


def _largest_drop_first(parts: Iterable[Slice]) -> list[Slice]:
    return sorted(parts, key=lambda part: part.change)


def stands_out(verdict: Verdict) -> bool:
    """Return True if a part is named for more than what may be chance."""
    return bool(clearly_fallen(verdict) or half_gone_skills(verdict))


def perhaps_fallen(verdict: Verdict) -> str:
    """Return which parts may have fallen, and how many would by chance; "" if there is none."""
    parts = [part for part in verdict.slices if part.named == "perhaps"]
    return f"{perhaps_count([verdict])}: {_named(verdict, parts)}" if parts else ""


def perhaps_count(verdicts: Iterable[Verdict]) -> str:
    """Return how many parts of *verdicts* may have fallen, and would by chance; "" if none."""
    parts = [part for verdict in verdicts for part in verdict.slices if part.p_alone is not None]
    fallen = sum(part.named == "perhaps" for part in parts)
    chance = ceil(round(10.0 * PERHAPS * len(parts), 6)) / 10.0
    text = f"{fallen} of {quantity(len(parts), 'part')} {FALLS['perhaps']}"
    return f"{text} (by chance: at most {chance:g})" if fallen else ""


def _named(verdict: Verdict, parts: Iterable[Slice]) -> str:
    """Return the first of *parts*, each as ``tag long down 8 (2 to 14)``, largest drop first."""
    names = []
    for part in _largest_drop_first(parts):
        # Whole points do not hide that it fell.
        digits = int(round(part.high * 100) == 0)
        change = short_change(part.change, part.low, part.high, digits)
        names.append(f"{_part_name(verdict, part)} {change}")
    return first_names(names, _MAX_NAMED)


def _part_name(verdict: Verdict, part: Slice) -> str:
    """Return the name of a slice, with its kind if it is no skill, and its prompt if it differs."""
    name = plain_name(part) if verdict.tests_skills else f"{part.kind} {part.name}"
    if part.under == (verdict.check.under if verdict.check else ""):
        return name
    return f"{name} under the {part.under}" if part.under else f"{name} without the prompt"


# The verdict in one line ------------------------------------------------------------------------


def measured_headline(verdict: Verdict) -> str:
    """Return what a verdict with a check says, in one line: its numbers, then what stands out."""
    check = verdict.check
    if check is None:
        raise ValueError(f"the verdict on {verdict.variant} has no check")
    numbers = check_text(check, verdict.variant)
    if check.unit == "share" and check.kind is not CheckKind.MUST_PASS:
        numbers = f"{subject(verdict)} {numbers}"
    relative = " (judge-relative)" if verdict.statement.values.get("judge_relative") else ""
    return "; ".join([numbers + relative, *_remarks(verdict, check)])


def _remarks(verdict: Verdict, check: Check) -> Iterator[str]:
    """Yield what stands out beside the numbers: parts, causes, missing replies."""
    is_open = check.missing and check.outcome is not Outcome.PASSED
    if is_open and check.kind is not CheckKind.MUST_PASS:
        if check.unit in RUN_AMOUNTS and not check.measure:
            yield f"not known of {check.missing:,} of {check.n + check.missing:,} runs"
        else:
            lacks = "no run of" if check.noun == "task" else "no reply to"
            lacks = "no price of" if check.unit == "usd" else lacks
            total = (check.tasks or check.n) + check.missing
            yield f"{lacks} {check.missing:,} of {total:,} {check.noun}s"
    if any(one.kind == NoteKind.NO_SUCCESS for one in check.notes):
        yield "no run succeeded"
    if verdict.outcome is Outcome.FAILED and verdict.breaks:
        yield f"must-keep cases broke: {first_names(verdict.breaks)}"
    yield from _part_remarks(verdict, check)
    if not verdict.tests_skills:
        yield from filter(None, cause_parts(verdict))


def _part_remarks(verdict: Verdict, check: Check) -> Iterator[str]:
    """Yield the parts that stand out: those that decide, those that fell, and half gone skills."""
    here = [part for part in verdict.slices if part.under == check.under]
    regressed, unproven = list[Slice](), list[Slice]()
    if check.outcome is not verdict.outcome is Outcome.FAILED:
        regressed = [part for part in here if part.state == "regressed"]
    if check.outcome is not verdict.outcome is Outcome.INCONCLUSIVE:
        unproven = [part for part in here if part.required and part.state == "inconclusive"]
    if regressed:
        yield f"but regressed: {_named(verdict, regressed)}"
    if unproven:
        yield f"but inconclusive: {first_names([part.name for part in unproven])}"
    if fallen := [part for part in clearly_fallen(verdict) if part not in regressed]:
        yield f"{FALLS['clearly']}: {_named(verdict, fallen)}"
    if lost := half_gone_skills(verdict):
        rates = (
            f"{_part_name(verdict, part)} {share_change(part.before, part.after)}" for part in lost
        )
        yield f"half gone: {first_names([*rates], _MAX_NAMED)}"
    yield from filter(None, [perhaps_fallen(verdict)])
