"""Explain a verdict in plain sentences with its own numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil

from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Slice, Verdict
from pytest_ftgate.reporting import phrases
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.notes import notes_text
from pytest_ftgate.reporting.number_text import (
    RUN_AMOUNTS,
    declared_percent,
    in_points,
    percent,
    quantity,
    with_more,
)
from pytest_ftgate.reporting.skills import skill_results_by_prompt
from pytest_ftgate.stats.power import pass_probability, point_rule_pass_probability
from pytest_ftgate.stats.proportions import binomial_sf
from pytest_ftgate.suite.gate_kinds import MIN_FAMILY_CASES

_ROUNDING_SLACK = 1e-9
_CONCLUSIONS = {
    Outcome.PASSED: "so this check passed.",
    Outcome.FAILED: "so it failed.",
    Outcome.INCONCLUSIVE: "so the gate can neither pass nor fail: inconclusive.",
}


def frequency_phrase(p: float) -> str:
    """Return how often an event of probability *p* happens, as ``about once in 40 runs``."""
    if p < 1e-6:  # noqa: PLR2004 - more zeros are hard to read
        return "less than once in a million runs"
    if p > 0.1:  # noqa: PLR2004 - a share is easier to grasp than "once in 3"
        return f"in {percent(p)} of runs"
    return f"about once in {round(1 / p):,} runs"


def explain(verdict: Verdict) -> Iterator[str]:
    """Yield the rule of the deciding check, in sentences with the numbers of this gate."""
    if verdict.statement.kind is StatementKind.NOT_GATED:
        yield "The gate has no check that could fail, so its test is skipped."
    check = verdict.check
    if check is not None and check.inputs is not None:
        from pytest_ftgate.reporting.inputs import input_sentences

        yield from input_sentences(check, check.inputs)
    else:
        yield from _rule_sentences(verdict)
    yield from _part_sentences(verdict)


def _rule_sentences(verdict: Verdict) -> Iterator[str]:
    check = verdict.check
    if verdict.statement.kind is StatementKind.EXAM_HAS_SHRUNK:
        yield (
            "Less decides than was accepted, so a pass on what is left is inconclusive, until a "
            "run is accepted. What is left:"
        )
    if check is None and verdict.statement.kind is not StatementKind.NOTHING_TO_COMPARE:
        # Every report has the headline above this.
        why = "" if verdict.outcome is Outcome.INVALID else f": {headline(verdict)}"
        yield f"No limit was checked{why}."
    elif check is None:
        yield from _first_run_sentences(verdict)
    elif check.kind is CheckKind.MUST_PASS:
        yield "A case marked must_pass fails the gate when most of its replies are wrong."
    elif check.unit != "share":
        yield from _usage_sentences(check)
    elif check.method == "point":
        flips = notes_text(check.notes)
        yield f"The measured values decide, without an allowance for chance: {flips}."
    elif check.method == "labels":
        yield from _labelled_sentences(check)
    elif check.before is None:
        yield from _minimum_sentences(check)
    elif check.p_pass is None or check.p_fail is None:
        yield f"The cases cannot be compared: {notes_text(check.notes)}."
    else:
        yield from _change_sentences(verdict, check)
        yield from _drop_sentences(verdict, check, check.p_pass, check.p_fail)
        yield from _family_sentences(verdict, check)


def _first_run_sentences(verdict: Verdict) -> Iterator[str]:
    yield "There was nothing to compare with, and no minimum was declared."
    if verdict.outcome is Outcome.INCONCLUSIVE:
        yield "Later runs need 95 % of the replies to compare with, and one that is right."


def _labelled_sentences(check: Check) -> Iterator[str]:
    """Yield how a judge's grades were corrected by people's labels of the same replies."""
    yield (
        f"A judge graded all {check.n} cases, and people a part of them: "
        f"{notes_text(check.notes)}. Its mean is "
        "taken less its mean error on that part (two-phase estimate, Student's t)."
    )
    yield f"{_measured(check)}, {_conclusion(check)}"


def _measured(check: Check) -> str:
    """Return the levels, the change between them if there are two, and the interval."""
    change = phrases.size(check) if check.before is not None else ""
    text = ", ".join(filter(None, (phrases.levels(check), change)))
    return with_more(text, phrases.interval(check))


def _family_sentences(verdict: Verdict, check: Check) -> Iterator[str]:
    """Yield which families of skills are tested separately, and which only in the mean."""
    for results in skill_results_by_prompt(verdict):
        if results.under != check.under:
            continue
        families = [part for part in results.parts if part.kind == "family" and part.gated]
        tested = [part for part in families if not part.required]
        if tested:
            limit = in_points(tested[0].margin or 0.0)
            yield (
                f"Each family of {MIN_FAMILY_CASES} cases or more is tested as well: "
                f"{_sizes(tested)}. It fails the gate if a drop is shown in it and {limit} "
                "or more are lost."
            )
        for part in families:
            if part.required:
                yield (
                    f"The family {part.name} ({part.n}) has a limit of its own: a drop of "
                    f"{in_points(part.margin or 0.0)} must be ruled out in it."
                )
        if results.untested:
            yield (
                f"With fewer than {MIN_FAMILY_CASES} cases a family is tested only as a part of "
                f"the mean: {_sizes(results.untested)}."
            )


def _sizes(parts: Iterable[Slice]) -> str:
    return ", ".join(f"{part.name} ({part.n})" for part in parts)


def _part_sentences(verdict: Verdict) -> Iterator[str]:
    if verdict.breaks:
        yield (
            f"But {', '.join(verdict.breaks)} must be kept, and the base has it right and "
            f"{verdict.variant} wrong."
        )
    gated = [part for part in verdict.slices if part.gated]
    regressed = [f"{part.kind} {part.name}" for part in gated if part.state == "regressed"]
    check = verdict.check
    if regressed and check and check.outcome is not Outcome.FAILED:
        yield (
            f"A drop is shown in {', '.join(regressed)} (Holm "
            f"over {len(gated)} tested parts), and such a part fails the gate whatever the average "
            "says."
        )
    if check and any(part.named for part in verdict.slices):
        parts = quantity(sum(part.p_alone is not None for part in verdict.slices), "part")
        yield (
            f"If none of {parts} were down, any would be named as clearly fallen at most "
            f"{frequency_phrase(check.miss)}. Naming decides nothing."
        )


def _change_sentences(verdict: Verdict, check: Check) -> Iterator[str]:
    """Yield what was compared, and the observed change."""
    if check.is_unchanged and not check.has_drifted:
        sample = phrases.sample_text(check)
        yield f"Both sides gave the same replies to the same requests, on {sample}."
        return
    rates, change = phrases.levels(check, verdict.variant), phrases.size_with_interval(check)
    yield f"{rates} on the same {phrases.sample_text(check)}, {change}: {_turned(verdict, check)}."
    if check.units is not None and check.units < check.n:
        yield f"Cases of one group are not independent, so that they count as {check.units}."
    if check.error is not None:
        yield (
            "Scores are graded, weighted or in groups. The test uses the spread of the changes "
            f"that was seen, and supposes that a drop comes in the {check.noun}s of the largest "
            "weight."
        )
    if check.has_default_limit:
        shown_by = quantity(check.limit_cases or check.n, check.noun)
        yield (
            f"The gate declares no limit, so that it has the smallest one that {shown_by} show for "
            f"9 in 10 unchanged builds: {in_points(check.limit)}."
        )


def _turned(verdict: Verdict, check: Check) -> str:
    """Return how many cases changed which way."""
    if check.measure:
        return f"{check.regressed:g} lost their thought and {check.fixed:g} got one"
    if check.noun == "task":
        return phrases.cases(verdict)
    return f"{verdict.regressed} regressed and {verdict.fixed} were fixed"


def _drop_sentences(verdict: Verdict, check: Check, p_pass: float, p_fail: float) -> Iterator[str]:
    limit, looks = in_points(check.limit), {one.kind: one.values for one in verdict.notes}
    of_skills, of_cases = (looks.get(kind) for kind in (NoteKind.LOOK_SKILLS, NoteKind.LOOK_CASES))
    is_early = of_skills is not None or (of_cases and of_cases["look"] != of_cases["of"])
    if of_skills is None:
        yield (
            f"It passes if a true drop of {limit} would produce a result this good at "
            f"most {frequency_phrase(check.miss)}. Here: {frequency_phrase(p_pass)}."
        )
    else:
        yield "It can pass with all questions alone, and fail with these."
    also = (
        f"While others are left to ask, the drop must be shown to exceed {limit} as well."
        if is_early
        else f"It also fails if the drop is shown to exceed {limit}."
    )
    yield (
        f"It fails if the observed drop reaches {limit}, and if an unchanged variant "
        f"would produce a result this bad {_at_most(check.alarm)}{_shared_alarm(check)}. "
        f"Here: {frequency_phrase(p_fail)}. {also}"
    )
    yield _position(check)
    if remark := ruled_out(check, check.outcome):
        yield f"{remark[0].upper()}{remark[1:]}."
    if of_skills is None:
        yield from _threshold_comparison(check, is_noted=NoteKind.UNCHANGED_PASSES in looks)


def _at_most(p: float) -> str:
    phrase = frequency_phrase(p)
    return phrase if phrase.startswith("less") else f"at most {phrase}"


def _position(check: Check) -> str:
    """Return in words where the interval of the change lies, and what follows."""
    conclusion = _conclusion(check)
    if check.is_beyond:
        return f"The 95 % CI lies beyond the limit, {conclusion}"
    if check.outcome is Outcome.INCONCLUSIVE and check.drop_is_shown:
        return f"The drop is real, and may or may not stay within the limit, {conclusion}"
    return conclusion[:1].upper() + conclusion[1:]


def _shared_alarm(check: Check) -> str:
    """Return how many checks share the alarm level; "" if the check has it alone."""
    return f" (0.01 shared by the suite's {check.shared} drop checks)" if check.shared > 1 else ""


def _conclusion(check: Check) -> str:
    if not check.informative and check.before is None:
        return f"but {notes_text(check.notes)}."
    if not check.informative:
        return "but a drop from so low a rate cannot be measured."
    if check.missing and check.outcome is Outcome.INCONCLUSIVE:
        return "but replies are missing that could change it, so it is inconclusive."
    if phrases.lacks_groups(check):
        return "but the cases are in too few groups, so it is inconclusive."
    if check.outcome is Outcome.INCONCLUSIVE and check.is_beyond:
        return "but not surely enough to fail the gate, so it is inconclusive."
    is_sure = check.outcome is Outcome.FAILED and check.is_beyond
    return "surely enough to fail the gate." if is_sure else _CONCLUSIONS[check.outcome]


def _threshold_comparison(check: Check, *, is_noted: bool) -> Iterator[str]:
    """Yield how often a plain threshold would miss the same drop with as many cases.

    *is_noted* is True if a note says, as its own changes tell, how often an unchanged one passes.
    """
    if check.error is not None:
        return
    n, discordance, drop = check.effective, check.discordance or 0.0, check.limit
    # A drop takes at least as many disagreements.
    miss = point_rule_pass_probability(n, max(discordance, drop), drop, margin=drop)
    yield (
        f"With {phrases.sample_text(check)} a plain threshold would miss a true drop of "
        f"{in_points(check.limit)} {percent(miss)} of the time; this gate misses it "
        f"at most {check.miss * 100:.2g} % of the time."
    )
    # Where cases are related, the plan counts their groups, which a check does not keep.
    if check.units is None and not is_noted:
        unchanged = pass_probability(n, discordance, 0.0, check.limit, check.miss)
        yield f"It passes an unchanged variant {percent(unchanged)} of the time."


def _minimum_sentences(check: Check) -> Iterator[str]:
    minimum, units = declared_percent(check.limit), ""
    if check.units is not None and check.units < check.n:
        units = f", of which {check.units} are unrelated"
    yield f"The rate is {_measured(check)}, over {phrases.sample_text(check)}{units}."
    if check.p_pass is not None and check.p_fail is not None:
        yield (
            f"It passes if a true rate just under {minimum} would reach this at most "
            f"{frequency_phrase(check.miss)}. Here: {frequency_phrase(check.p_pass)}."
        )
        yield (
            f"It fails if a true rate of {minimum} would fall this low at most "
            f"{frequency_phrase(check.alarm)}. Here: {frequency_phrase(check.p_fail)}, "
            f"{_conclusion(check)}"
        )
    slightly_below = check.limit - 0.02
    needed = ceil(check.limit * check.n - _ROUNDING_SLACK)
    if slightly_below > 0 and check.error is None:
        missed = float(binomial_sf(needed - 1.0, check.n, slightly_below))
        yield (
            f"With {phrases.sample_text(check)} a plain threshold would pass a variant that is "
            f"truly at {percent(slightly_below)} {percent(missed)} of the time; this gate passes "
            f"it at most {check.miss * 100:.2g} % of the time."
        )


#: How an interval of a cost or a latency was made, by the method of the check.
_USAGE_METHODS = {
    "order": "order statistics",
    "t": "Johnson's t over the cases",
    "bounded": "the cases, and one more that is as large as a case can be",
}


def _usage_sentences(check: Check) -> Iterator[str]:
    """Yield how a cost or latency check was decided."""
    verb = ":" if check.before is not None else " is"
    measured = f"{phrases.figure_name(check)}{verb} {_measured(check)}"
    measured = measured[:1].upper() + measured[1:]
    # Its own phrase says the limit as it is declared.
    limit = phrases.limit(check).removeprefix("limit ")
    if check.low is not None and check.low == check.high:
        yield f"{measured}, and {limit} is allowed; {_conclusion(check)}"
        return
    if check.method == "point":
        yield f"{measured}, and {limit} is allowed, without an allowance for chance."
        return
    if check.unit in RUN_AMOUNTS and not check.measure:
        yield from _run_sentences(check, measured, limit)
        return
    method = _USAGE_METHODS[check.method]
    if check.before is not None and check.method == "order":
        method += " of each case's own rise"
    yield f"{measured}; {method}, {check.effective:.0f} unrelated cases."
    yield (
        f"It passes if all of the 95 % CI is within {limit}, and fails if none of it is; "
        f"{_conclusion(check)}"
    )


def _run_sentences(check: Check, measured: str, limit: str) -> Iterator[str]:
    """Yield how a check of what runs took was decided."""
    sample = "runs of these tasks" if check.tasks else "tasks"
    by = f"; Johnson's t over {check.effective:.0f} {sample}" if check.effective else ""
    yield f"{measured}{by}."
    yield (
        f"It passes if all of the 95 % CI is within {limit}, and fails if all of the 99 % CI is "
        f"beyond it; {_conclusion(check)}"
    )


def ruled_out(check: Check, outcome: Outcome) -> str:
    """Return why *check* passed though its interval reaches beyond the limit; "" if it does not.

    The test looks at one side, with the whole level there; the interval has half of it on each.
    """
    is_drop = check.unit == "share" and check.before is not None and check.low is not None
    if outcome is not Outcome.PASSED or not is_drop or check.inputs is not None:
        return ""
    # Nothing was tested where both sides gave the same replies to the same requests.
    if check.is_unchanged or check.low is None or -check.low < check.limit:
        return ""
    sure = percent(1.0 - check.miss, 0 if round(check.miss * 1000) % 10 == 0 else 1)
    ruled = f"a drop of {in_points(check.limit)} or more is ruled out at {sure}"
    return f"{ruled}: that test has one side, and the CI two"
