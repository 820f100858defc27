"""The rules for and against fine-tuning; docs/ladder.md has the source of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.gates.notes import Note, NoteValue, note
from pytest_ftgate.recommend.advice import (
    NOT_EVALUATED,
    BreakEven,
    Challenge,
    Condition,
    Evidence,
    Gain,
    GitFacts,
    LadderRow,
    Reason,
    ReasonKind,
    Retirement,
)
from pytest_ftgate.recommend.ladder import (
    FORMAT_ERRORS,
    WORTH,
    Ladder,
    compare_challengers,
    gate_minimum,
    required_gain,
)
from pytest_ftgate.suite.declaration import Economics

#: A fine-tune with fewer labelled rows is advised against, and with fewer than wanted named.
_FEWEST_EXAMPLES, _WANTED_EXAMPLES = 200, 500
#: A task whose files change in more commits is not stable.
_MOST_CHANGES = 6
#: Tokens of a prompt that a fine-tune could shorten, and of one that costs much in every request.
_LONG_PROMPT, _COSTLY_PROMPT = 1_000, 3_000
#: The share of wrong cases that retrieval mends, from which on knowledge is what is missing.
_KNOWLEDGE = 0.5
#: The days in which savings must pay for the training.
_PAYBACK_DAYS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionContext:
    """The inputs of the rules.

    Attributes:
        below: the best untuned row, which the fine-tune would replace.
        tuned: the row of the fine-tune; None if none was measured.
        gain: of the fine-tune over *below*.
        as_good: whether a drop of ``worth`` from *below* to the fine-tune is ruled out.
        minimum: of the accuracy gate, or None.
        examples: the number of labelled rows; None if the suite names no training data.
        git: how often the task changed.
        rag: the row with retrieval.
        rag_gain: of *rag* over the row above it.
        rag_fixes: the share of the wrong cases of that row that *rag* fixes.
        with_schema: the row with a response schema.
        economics: the declared volume, or None.
        break_even: of the fine-tune with *below*; None without prices.
        challenges: the comparisons of untuned variants with the fine-tune.
        retiring: models in use that retire.
        local_only: whether the model must run on machines of one's own.
    """

    below: LadderRow
    tuned: LadderRow | None = None
    gain: Gain | None = None
    as_good: bool = False
    minimum: float | None = None
    examples: int | None = None
    git: GitFacts
    rag: LadderRow | None = None
    rag_gain: Gain | None = None
    rag_fixes: float | None = None
    with_schema: LadderRow | None = None
    economics: Economics | None = None
    break_even: BreakEven | None = None
    challenges: tuple[Challenge, ...] = ()
    retiring: tuple[Retirement, ...] = ()
    local_only: bool = False


def _required_gain(context: DecisionContext) -> float:
    saves = context.break_even.saves_per_month if context.break_even else None
    return required_gain(context.economics, None if saves is None else -saves)


def _pays_back(context: DecisionContext) -> bool:
    """Return True if the fine-tune is cheaper than *below* and soon pays for its training."""
    break_even = context.break_even
    if break_even is None or break_even.saves_per_month is None or break_even.days is None:
        return False
    return break_even.saves_per_month > 0.0 and break_even.days <= _PAYBACK_DAYS


def _is_worth_it(context: DecisionContext) -> bool:
    """Return True if the gain is certain, and makes up for its price."""
    gain = context.gain
    return gain is not None and gain.certain and gain.change >= _required_gain(context)


#: The period in which a task must be stable.
_STABLE_DAYS = 90


#: Whether a rule speaks for fine-tuning (None: unknown), and why.
_Result = tuple[bool | None, Note]


def evaluate_rules(context: DecisionContext) -> Iterator[Condition]:
    """Yield the result of each rule that applies, in the order of the table."""
    for name, evaluate, needed in RULES:
        result = evaluate(context)
        if result is not None:
            yield Condition(name=name, needed=needed, holds=result[0], note=result[1])


def _for(kind: ReasonKind, **values: NoteValue) -> _Result:
    return True, note(kind, **values)


def _against(kind: ReasonKind, **values: NoteValue) -> _Result:
    return False, note(kind, **values)


def _unknown(kind: ReasonKind, **values: NoteValue) -> _Result:
    return None, note(kind, **values)


# The rules ----------------------------------------------------------------------------------


def _evaluate_gap(context: DecisionContext) -> _Result | None:
    tuned, below, gain = context.tuned, context.below, context.gain
    if tuned is None or gain is None:
        return _evaluate_gap_to_minimum(context)
    required = _required_gain(context)
    values: dict[str, NoteValue] = {
        "variant": tuned.variant,
        "accuracy": tuned.accuracy or 0.0,
        "below": below.variant,
        "below_accuracy": below.accuracy or 0.0,
        **gain_values(gain),
    }
    if _is_worth_it(context):
        return _for(ReasonKind.GAIN_IS_WORTH_IT, **values, required=required)
    if (context.as_good or gain.certain) and _pays_back(context):
        return _for(ReasonKind.AS_GOOD_AND_CHEAPER, **values)
    if gain.certain:
        return _against(ReasonKind.GAIN_TOO_SMALL, **values, required=required)
    if _pays_back(context):
        return _against(ReasonKind.NOT_SHOWN_AS_GOOD, **values)
    is_gain = gain.change > 0.0
    return _against(ReasonKind.MAY_BE_CHANCE if is_gain else ReasonKind.NO_GAIN, **values)


def gain_values(gain: Gain) -> dict[str, float]:
    """Return the values of a note on *gain*."""
    return {"change": gain.change, "low": gain.low, "high": gain.high}


def _evaluate_gap_to_minimum(context: DecisionContext) -> _Result | None:
    below, minimum = context.below, context.minimum
    if minimum is None or below.accuracy is None:
        return None
    change = below.accuracy - minimum
    values = {"accuracy": below.accuracy, "minimum": minimum, "change": change}
    holds = (below.accuracy_high or 1.0) < minimum and -change >= WORTH
    return holds, note(ReasonKind.MINIMUM, variant=below.variant, **values)


def _evaluate_examples(context: DecisionContext) -> _Result:
    rows, tuned = context.examples, context.tuned
    if tuned and tuned.training_rows is not None:
        rows = tuned.training_rows
    if rows is None:
        return _unknown(ReasonKind.NO_TRAINING_DATA, wanted=_WANTED_EXAMPLES)
    if rows < _FEWEST_EXAMPLES:
        return _against(ReasonKind.TOO_FEW_ROWS, rows=rows, fewest=_FEWEST_EXAMPLES)
    if rows < _WANTED_EXAMPLES:
        return _for(ReasonKind.FEW_ROWS, rows=rows, wanted=_WANTED_EXAMPLES)
    return _for(ReasonKind.ENOUGH_ROWS, rows=rows)


def _evaluate_stable(context: DecisionContext) -> _Result:
    git = context.git
    if git.unknown_reason:
        return _unknown(ReasonKind.CHANGES_UNKNOWN, reason=git.unknown_reason)
    values: dict[str, NoteValue] = {"commits": git.commits, "days": git.days, **git.changes}
    values["is_young"] = git.days < _STABLE_DAYS
    if git.commits <= _MOST_CHANGES:
        return _for(ReasonKind.CHANGES, **values)
    return _against(ReasonKind.MANY_CHANGES, **values, most=_MOST_CHANGES)


def _evaluate_knowledge(context: DecisionContext) -> _Result | None:
    rag, gain, share = context.rag, context.rag_gain, context.rag_fixes
    if rag is None or gain is None or share is None:
        return None
    values: dict[str, NoteValue] = {"rag": rag.variant, "variant": gain.over, "share": share}
    if share >= _KNOWLEDGE and gain.certain:
        return _against(ReasonKind.KNOWLEDGE_IS_MISSING, **values)
    return _for(ReasonKind.BEHAVIOUR_IS_MISSING, **values)


def _evaluate_prompt(context: DecisionContext) -> _Result | None:
    variant, tokens = context.below.variant, context.below.prompt_tokens
    if tokens is None:
        return None
    if tokens > _LONG_PROMPT:
        is_costly = tokens > _COSTLY_PROMPT
        kind = ReasonKind.COSTLY_PROMPT if is_costly else ReasonKind.LONG_PROMPT
        return _for(kind, variant=variant, tokens=tokens)
    return _against(ReasonKind.SHORT_PROMPT, variant=variant, tokens=tokens)


def _evaluate_format(context: DecisionContext) -> _Result | None:
    row = context.with_schema or context.below
    if row.format is None:
        return None
    is_high = 1.0 - row.format >= FORMAT_ERRORS
    values: dict[str, NoteValue] = {"share": 1.0 - row.format, "variant": row.variant}
    if context.with_schema:
        return is_high, note(ReasonKind.FORMAT_UNDER_SCHEMA, **values)
    return (_unknown if is_high else _against)(ReasonKind.FORMAT_WITHOUT_SCHEMA, **values)


def _evaluate_volume(context: DecisionContext) -> _Result | None:
    tuned, below, break_even = context.tuned, context.below, context.break_even
    economics, gain = context.economics, context.gain
    if tuned is None or economics is None:
        return None
    if break_even is None or tuned.usd_per_month is None or below.usd_per_month is None:
        price = tuned.unknown or below.unknown or "unpriced"
        return _unknown(ReasonKind.PRICE_UNKNOWN, price=price)
    values: dict[str, NoteValue] = {
        "usd": tuned.usd_per_month,
        "below_usd": below.usd_per_month,
        "below": below.variant,
        "calls_per_day": economics.calls_per_day,
    }
    if break_even.days is not None and _pays_back(context):
        return _for(ReasonKind.PAID_BACK, **values, days=break_even.days)
    if _is_worth_it(context) and economics.wrong_usd is not None:
        return _for(ReasonKind.WORTH_ITS_PRICE, **values)
    if gain is not None and _is_worth_it(context):
        extra_right = gain.change * economics.calls_per_month
        usd_each = -(break_even.saves_per_month or 0.0) / extra_right
        return _unknown(ReasonKind.PRICE_OF_GAIN, **values, price=usd_each)
    return _against_the_price(break_even, values)


def _against_the_price(break_even: BreakEven, values: Mapping[str, NoteValue]) -> _Result:
    if break_even.days is not None and (break_even.saves_per_month or 0.0) > 0.0:
        paid = {"days": break_even.days, "most": _PAYBACK_DAYS}
        return _against(ReasonKind.PAID_BACK_LATE, **values, **paid)
    if break_even.calls_per_day is None:
        return _against(ReasonKind.NEVER_CHEAPER, **values)
    return _against(ReasonKind.CHEAPER_FROM, **values, break_even=break_even.calls_per_day)


def _evaluate_privacy(context: DecisionContext) -> _Result | None:
    return _for(ReasonKind.MUST_RUN_HERE) if context.local_only else None


def _evaluate_gates(context: DecisionContext) -> _Result | None:
    if context.tuned is None or not context.tuned.outcomes:
        return None
    outcomes = context.tuned.outcomes
    bad = [gate for gate, end in outcomes.items() if end in ("failed", "invalid", NOT_EVALUATED)]
    holds = False if bad else None if "inconclusive" in outcomes.values() else True
    listed = tuple(f"{gate} {outcomes[gate]}" for gate in bad or outcomes)
    return holds, note(ReasonKind.GATES, variant=context.tuned.variant, outcomes=listed)


def _evaluate_challengers(context: DecisionContext) -> _Result | None:
    if not context.challenges:
        return None
    for challenge in context.challenges:
        if challenge.outcome == "as good":
            name, gain = challenge.challenger, gain_values(challenge.gain)
            return _against(ReasonKind.CHALLENGER_IS_AS_GOOD, variant=name, **gain)
    outcomes = tuple(f"{one.challenger} {one.outcome}" for one in context.challenges)
    return _for(ReasonKind.NO_CHALLENGER, outcomes=outcomes)


def _evaluate_retirement(context: DecisionContext) -> _Result | None:
    tuned = context.tuned
    for one in context.retiring:
        if tuned is not None and tuned.variant in one.variants:
            return _against(ReasonKind.RETIRES, model=one.model, days=one.days, date=one.date)
    return None


#: All rules, in the order of reports: the name, what evaluates it (None if it does not apply), and
#: whether a fine-tune is not justified unless it holds. docs/ladder.md has the questions.
RULES: tuple[tuple[str, Callable[[DecisionContext], _Result | None], bool], ...] = (
    ("gap", _evaluate_gap, True),
    ("gates", _evaluate_gates, True),
    ("examples", _evaluate_examples, True),
    ("stable", _evaluate_stable, True),
    ("knowledge", _evaluate_knowledge, True),
    ("volume", _evaluate_volume, True),
    ("challenger", _evaluate_challengers, True),
    ("retirement", _evaluate_retirement, False),
    ("format", _evaluate_format, False),
    ("prompt", _evaluate_prompt, False),
    ("privacy", _evaluate_privacy, False),
)

#: A reply with this score or more counts as right.
_MIN_RIGHT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneAssessment:
    """A fine-tune, measured or not, with the results of the rules.

    Attributes:
        row: of the ladder; None if it was not measured.
        name: the variant, or a description.
        conditions: the results of the rules.
        challenges: the comparisons of untuned variants with it.
    """

    row: LadderRow | None
    name: str
    conditions: tuple[Condition, ...]
    challenges: tuple[Challenge, ...]

    @property
    def failing(self) -> tuple[Condition, ...]:
        """The needed conditions that do not hold."""
        return tuple(c for c in self.conditions if c.needed and c.holds is False)

    def reasons(self, *, failing: bool) -> tuple[Reason, ...]:
        """Return the needed conditions that fail, or those that hold, as reasons."""
        holding = tuple(c for c in self.conditions if c.needed and c.holds)
        return tuple(
            Reason(note=condition.note, variant=self.name, figure=condition.name)
            for condition in (self.failing if failing else holding)
        )


def assess_fine_tune(
    evidence: Evidence, ladder: Ladder, below: LadderRow, row: LadderRow | None
) -> FineTuneAssessment:
    """Evaluate the rules for a fine-tune in place of the best untuned variant.

    *below* is the best untuned row; *row* is the fine-tune, or None if there is none yet.
    """
    suite, comparison, name = evidence.suite, ladder.comparison, row.variant if row else ""
    context = DecisionContext(
        local_only=suite.local_only,
        below=below,
        tuned=row,
        gain=comparison.gains.get((below.variant, name)),
        as_good=comparison.is_as_good(name, below.variant),
        minimum=gate_minimum(suite, "accuracy"),
        examples=evidence.examples,
        git=evidence.git,
        with_schema=_row_with_schema(evidence, ladder),
        economics=suite.economics,
        break_even=ladder.break_even(name, below.variant),
        challenges=tuple(compare_challengers(comparison, suite.challengers, name)),
        retiring=ladder.retiring,
        **_rag_fields(evidence, ladder),
    )
    return FineTuneAssessment(
        row=row,
        name=name or "a fine-tune",
        conditions=tuple(evaluate_rules(context)),
        challenges=context.challenges,
    )


def _row_with_schema(evidence: Evidence, ladder: Ladder) -> LadderRow | None:
    """Return the row with a response schema and the highest format rate."""
    variants = evidence.suite.variants
    rows = [
        row
        for row in ladder.rows
        if variants[row.variant].constrained or variants[row.variant].schema is not None
    ]
    return max(rows, key=lambda row: row.format or 0.0, default=None)


def _rag_fields(evidence: Evidence, ladder: Ladder) -> dict[str, Any]:
    """Return the fields of *DecisionContext* on retrieval, if a row with it was measured."""
    index = next((i for i, row in enumerate(ladder.rows) if row.rung == "rag"), 0)
    if index == 0:
        return {}
    rag, without_rag = ladder.rows[index], ladder.rows[index - 1]
    results = evidence.scores[rag.variant].results
    wrong = [
        case_id
        for case_id, result in evidence.scores[without_rag.variant].results.items()
        if result.correct is not None and result.correct < _MIN_RIGHT and case_id in results
    ]
    fixed = [case_id for case_id in wrong if (results[case_id].correct or 0.0) >= _MIN_RIGHT]
    return {
        "rag": rag,
        "rag_gain": ladder.comparison.gains.get((without_rag.variant, rag.variant)),
        "rag_fixes": len(fixed) / len(wrong) if wrong else None,
    }
