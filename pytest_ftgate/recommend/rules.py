"""The rules for and against fine-tuning; docs/ladder.md has the source of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_ftgate.gates.number_text import percent, points, points_interval, quantity, usd
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
    Retirement,
)
from pytest_ftgate.recommend.ladder import (
    Ladder,
    compare_challengers,
    gate_minimum,
    required_gain,
)
from pytest_ftgate.suite.declaration import Thresholds
from pytest_ftgate.suite.model import Economics


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionContext:
    """The inputs of the rules.

    Attributes:
        thresholds: of the rules.
        below: the best untuned row, which the fine-tune would replace.
        tuned: the row of the fine-tune; None if none was measured.
        gain: of the fine-tune over *below*.
        as_good: whether a drop of ``worth`` from *below* to the fine-tune is ruled out.
        minimum: of the accuracy gate, or None.
        examples: the number of labelled rows; None if the suite names no training data.
        git: how often the task changed.
        rag: the row with retrieval.
        without_rag: the row above *rag*.
        rag_gain: of *rag* over *without_rag*.
        rag_fixes: the share of the wrong cases of *without_rag* that *rag* fixes.
        with_schema: the row with a response schema.
        economics: the declared volume, or None.
        break_even: of the fine-tune with *below*; None without prices.
        challenges: the comparisons of untuned variants with the fine-tune.
        retiring: models in use that retire.
    """

    thresholds: Thresholds
    below: LadderRow
    tuned: LadderRow | None = None
    gain: Gain | None = None
    as_good: bool = False
    minimum: float | None = None
    examples: int | None = None
    git: GitFacts
    rag: LadderRow | None = None
    without_rag: LadderRow | None = None
    rag_gain: Gain | None = None
    rag_fixes: float | None = None
    with_schema: LadderRow | None = None
    economics: Economics | None = None
    break_even: BreakEven | None = None
    challenges: tuple[Challenge, ...] = ()
    retiring: tuple[Retirement, ...] = ()


def _required_gain(context: DecisionContext) -> float:
    saves = context.break_even.saves_per_month if context.break_even else None
    extra_cost = None if saves is None else -saves
    return required_gain(context.thresholds, context.economics, extra_cost)


def _pays_back(context: DecisionContext) -> bool:
    """Return True if the fine-tune is cheaper than *below* and soon pays for its training."""
    break_even = context.break_even
    if break_even is None or break_even.saves_per_month is None or break_even.days is None:
        return False
    is_soon = break_even.days <= context.thresholds.payback_days
    return break_even.saves_per_month > 0.0 and is_soon


def _is_worth_the_price(context: DecisionContext) -> bool:
    """Return True if a wrong reply has a cost, and the gain makes up for the price by it."""
    economics, gain = context.economics, context.gain
    if economics is None or economics.wrong_usd is None or gain is None:
        return False
    return gain.certain and gain.change >= _required_gain(context)


#: The period in which a task must be stable.
_STABLE_DAYS = 90


class _RuleResult(NamedTuple):
    """Whether a rule speaks for fine-tuning (None: unknown), and a sentence that says why."""

    holds: bool | None
    message: str


class FineTuneRule(NamedTuple):
    """One rule: a row of the table in docs/ladder.md, which has its question and its source.

    Attributes:
        name: as in reports.
        evaluate: returns the result; None if the rule does not apply to the suite.
        needed: whether a fine-tune is not justified unless the rule holds.
    """

    name: str
    evaluate: Callable[[DecisionContext], _RuleResult | None]
    needed: bool


def evaluate_rules(context: DecisionContext) -> Iterator[Condition]:
    """Yield the result of each rule that applies, in the order of the table."""
    for rule in RULES:
        result = rule.evaluate(context)
        if result is not None:
            holds, message = result
            yield Condition(name=rule.name, message=message, holds=holds, needed=rule.needed)


def _for(message: str) -> _RuleResult:
    return _RuleResult(holds=True, message=message)


def _against(message: str) -> _RuleResult:
    return _RuleResult(holds=False, message=message)


def _unknown(message: str) -> _RuleResult:
    return _RuleResult(holds=None, message=message)


# The rules ----------------------------------------------------------------------------------


def _evaluate_gap(context: DecisionContext) -> _RuleResult | None:
    gain = context.gain
    if context.tuned is None or gain is None:
        return _evaluate_gap_to_minimum(context)
    rates = f"{_rate_text(context.tuned)} against {_rate_text(context.below)}"
    message = f"{rates}: {_gain_text(gain)}"
    required = _required_gain(context)
    if gain.certain and gain.change >= required:
        return _for(f"{message}; a gain of {points(required)} or more is worth it alone")
    if (context.as_good or gain.certain) and _pays_back(context):
        return _for(f"{message}: as good, and cheaper")
    return _against(f"{message}, {_insufficient_gain(context, gain, required)}")


def _insufficient_gain(context: DecisionContext, gain: Gain, required: float) -> str:
    if gain.certain:
        return f"a gain is worth it from {points(required)}"
    if _pays_back(context):
        return "cheaper, but not shown to be as good"
    return "which may be chance" if gain.change > 0.0 else "no gain"


def _rate_text(row: LadderRow) -> str:
    return f"{row.variant} {percent(row.accuracy or 0.0)}"


def _gain_text(gain: Gain) -> str:
    return f"{points(gain.change)} {points_interval(gain.low, gain.high)} points"


def _evaluate_gap_to_minimum(context: DecisionContext) -> _RuleResult | None:
    below, minimum = context.below, context.minimum
    if minimum is None or below.accuracy is None:
        return None
    gap = minimum - below.accuracy
    rate = f"{below.variant} is right in {percent(below.accuracy)}"
    certain = (below.accuracy_high or 1.0) < minimum
    return _RuleResult(
        holds=certain and gap >= context.thresholds.worth,
        message=f"{rate}, the suite requires {percent(minimum)}: {points(-gap)} points",
    )


def _evaluate_examples(context: DecisionContext) -> _RuleResult:
    rows, tuned = context.examples, context.tuned
    if tuned and tuned.training_rows is not None:
        rows = tuned.training_rows
    few, enough = context.thresholds.fewest_examples, context.thresholds.wanted_examples
    if rows is None:
        return _unknown(f"no training_data is named; {enough} labelled rows are wanted")
    if rows < few:
        return _against(f"{rows:,} labelled rows: under {few} teach a style at most")
    message = f"{rows:,} labelled rows"
    return _for(message if rows >= enough else f"{message}; {enough} or more are better")


def _evaluate_stable(context: DecisionContext) -> _RuleResult:
    git, max_changes = context.git, context.thresholds.most_changes
    if git.unknown_reason:
        return _unknown(f"how often the task changes is not known: {git.unknown_reason}")
    is_young = ", all that it has" if git.days < _STABLE_DAYS else ""
    message = f"{quantity(git.commits, 'change')} in {quantity(git.days, 'day')}{is_young}"
    if git.commits:
        message += f" ({', '.join(f'{what} {count}' for what, count in git.changes.items())})"
    if git.commits <= max_changes:
        return _for(message)
    return _against(f"{message}: over {max_changes}, each may mean to train again")


def _evaluate_knowledge(context: DecisionContext) -> _RuleResult | None:
    rag, without_rag, gain = context.rag, context.without_rag, context.rag_gain
    if rag is None or without_rag is None or gain is None or context.rag_fixes is None:
        return None
    share = percent(context.rag_fixes)
    message = f"retrieval ({rag.variant}) fixes {share} of the failures of {without_rag.variant}"
    if context.rag_fixes >= context.thresholds.knowledge and gain.certain:
        return _against(f"{message}: knowledge is missing, and retrieval supplies it")
    return _for(f"{message}: behaviour is missing")


def _evaluate_prompt(context: DecisionContext) -> _RuleResult | None:
    tokens = context.below.prompt_tokens
    if tokens is None:
        return None
    message = f"the prompt of {context.below.variant} has about {tokens:,} tokens"
    if tokens > context.thresholds.costly_prompt:
        return _for(f"{message}: a fine-tune does not read them, and does not pay for them")
    if tokens > context.thresholds.long_prompt:
        return _for(f"{message}: rules this long contradict each other; shorten it first")
    return _against(f"{message}: there is little to save")


def _evaluate_format(context: DecisionContext) -> _RuleResult | None:
    row = context.with_schema or context.below
    if row.format is None:
        return None
    broken = 1.0 - row.format
    schema = "under a schema" if context.with_schema else "without a schema"
    replies = f"{percent(broken)} of the replies of {row.variant}"
    message = f"{replies} have a format error {schema}"
    is_high = broken >= context.thresholds.format_errors
    if context.with_schema:
        return _RuleResult(holds=is_high, message=message)
    return _unknown(message) if is_high else _against(message)


def _evaluate_volume(context: DecisionContext) -> _RuleResult | None:
    tuned, below, break_even = context.tuned, context.below, context.break_even
    economics = context.economics
    if tuned is None or economics is None:
        return None
    if break_even is None or tuned.usd_per_month is None or below.usd_per_month is None:
        label = tuned.unknown or below.unknown or "unpriced"
        return _unknown(f"whether the volume pays is not known: a price is {label}")
    message = (
        f"{usd(tuned.usd_per_month)} a month against {usd(below.usd_per_month)} of "
        f"{below.variant} at {economics.calls_per_day:,.0f} a day"
    )
    if _pays_back(context):
        return _for(f"{message}; paid back in {_days_text(break_even.days)}")
    if _is_worth_the_price(context):
        return _for(f"{message}; its gain is worth that")
    gain = context.gain
    is_large = gain is not None and gain.certain and gain.change >= context.thresholds.worth
    if gain is not None and is_large and economics.wrong_usd is None:
        extra_right = gain.change * economics.calls_per_month
        price = usd(-(break_even.saves_per_month or 0.0) / extra_right)
        return _unknown(f"{message}: {price} for each reply more that is right")
    return _against(f"{message}; {_break_even_text(context, break_even)}")


def _break_even_text(context: DecisionContext, break_even: BreakEven) -> str:
    if break_even.saves_per_month is not None and break_even.saves_per_month > 0.0:
        limit = context.thresholds.payback_days
        return f"paid back in {_days_text(break_even.days)}, over {limit:g}"
    if break_even.calls_per_day is None:
        return "cheaper at no volume"
    return f"cheaper from {break_even.calls_per_day:,.0f} a day on"


def _days_text(days: float | None) -> str:
    if days is None:
        return "no time at all"
    return f"{days:,.0f} days" if days >= 2 else f"{days:.1f} days"  # noqa: PLR2004 - 0.2 days


def _evaluate_privacy(context: DecisionContext) -> _RuleResult | None:
    if not context.thresholds.local_only:
        return None
    return _for("the model must run here, which rules out a stronger one that is hosted")


def _evaluate_domain(context: DecisionContext) -> _RuleResult | None:
    tokens = context.below.tokens_per_word
    if tokens is None:
        return None
    is_special = tokens > context.thresholds.tokens_per_word
    kind = "a language of its own" if is_special else "words of the model's vocabulary"
    return _RuleResult(holds=is_special, message=f"{tokens:.1f} tokens a word in the cases: {kind}")


def _evaluate_gates(context: DecisionContext) -> _RuleResult | None:
    if context.tuned is None or not context.tuned.outcomes:
        return None
    outcomes = context.tuned.outcomes
    bad = [gate for gate, end in outcomes.items() if end in ("failed", "invalid", NOT_EVALUATED)]
    listed = ", ".join(f"{gate} {outcomes[gate]}" for gate in bad or outcomes)
    message = f"gates of {context.tuned.variant}: {listed}"
    if bad:
        return _against(message)
    return _unknown(message) if "inconclusive" in outcomes.values() else _for(message)


def _evaluate_challengers(context: DecisionContext) -> _RuleResult | None:
    if not context.challenges:
        return None
    for challenge in context.challenges:
        if challenge.outcome == "as good":
            gain = _gain_text(challenge.gain)
            return _against(f"{challenge.challenger} without tuning is as good: {gain}")
    outcomes = ", ".join(
        f"{challenge.challenger} {challenge.outcome}" for challenge in context.challenges
    )
    return _for(f"no challenger is shown to be as good: {outcomes}")


def _evaluate_retirement(context: DecisionContext) -> _RuleResult | None:
    tuned = context.tuned
    for model in context.retiring:
        if tuned is not None and tuned.variant in model.variants:
            when = f"in {model.days} days, on {model.date}"
            return _against(f"{model.model} is gone {when}: train again")
    return None


#: All rules, in the order of reports.
RULES = (
    FineTuneRule("gap", _evaluate_gap, needed=True),
    FineTuneRule("gates", _evaluate_gates, needed=True),
    FineTuneRule("examples", _evaluate_examples, needed=True),
    FineTuneRule("stable", _evaluate_stable, needed=True),
    FineTuneRule("knowledge", _evaluate_knowledge, needed=True),
    FineTuneRule("volume", _evaluate_volume, needed=True),
    FineTuneRule("challenger", _evaluate_challengers, needed=True),
    FineTuneRule("retirement", _evaluate_retirement, needed=False),
    FineTuneRule("format", _evaluate_format, needed=False),
    FineTuneRule("prompt", _evaluate_prompt, needed=False),
    FineTuneRule("privacy", _evaluate_privacy, needed=False),
    FineTuneRule("domain", _evaluate_domain, needed=False),
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
            Reason(message=condition.message, variant=self.name, figure=condition.name)
            for condition in (self.failing if failing else holding)
        )


def assess_fine_tune(
    evidence: Evidence, ladder: Ladder, below: LadderRow, row: LadderRow | None
) -> FineTuneAssessment:
    """Evaluate the rules for a fine-tune in place of the best untuned variant.

    *below* is the best untuned row; *row* is the fine-tune, or None if there is none yet.
    """
    suite, comparison, name = evidence.suite, ladder.comparison, row.variant if row else ""
    key = (below.variant, name)
    context = DecisionContext(
        thresholds=suite.ladder,
        below=below,
        tuned=row,
        gain=comparison.gains.get(key),
        as_good=key in comparison.p_worse and comparison.is_as_good(name, below.variant),
        minimum=gate_minimum(suite, "accuracy"),
        examples=evidence.examples,
        git=evidence.git,
        with_schema=_row_with_schema(evidence, ladder),
        economics=suite.economics,
        break_even=ladder.break_even(name, below.variant) if row else None,
        challenges=compare_challengers(comparison, suite.challengers, name or None),
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
        "without_rag": without_rag,
        "rag_gain": ladder.comparison.gains.get((without_rag.variant, rag.variant)),
        "rag_fixes": len(fixed) / len(wrong) if wrong else None,
    }
