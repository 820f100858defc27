"""The rules for and against fine-tuning, each with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_ftgate.gates.units import counted, interval, percent, points, usd
from pytest_ftgate.recommend.advice import (
    UNJUDGED,
    BreakEven,
    Challenge,
    Condition,
    Gain,
    Reason,
    Retirement,
    Standing,
)
from pytest_ftgate.recommend.evidence import Evidence, GitFacts
from pytest_ftgate.recommend.ladder import Ladder, challenges, floor_of
from pytest_ftgate.suite.model import Economics, Thresholds

__all__ = [
    "RULES",
    "FineTune",
    "Found",
    "Question",
    "Rule",
    "conditions",
    "fine_tune",
    "pays",
    "worth",
    "worth_the_price",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Should this be fine-tuned? What the rules look at to answer.

    Attributes:
        lines: the thresholds.
        below: the best rung without tuning, which the fine-tune would replace.
        tuned: the fine-tune; None where none was measured.
        gain: of the fine-tune over *below*.
        as_good: that the fine-tune is worse than *below* by ``worth`` is ruled out.
        wanted: the accuracy that the suite's floor asks for, or None.
        examples: labelled rows that there are, or None where the suite names none.
        git: how often the task changed.
        rag: a rung with retrieval, and *without* the one that it was added to; *fixed* is the
            share of the failures of *without* that retrieval mends.
        held: a rung whose replies are held to a schema.
        economics: the declared volume, or None.
        break_even: of the fine-tune against *below*, or None where prices are not known.
        challenges: whether untuned variants have become as good.
        retiring: models that will be gone.
    """

    lines: Thresholds
    below: Standing
    tuned: Standing | None = None
    gain: Gain | None = None
    as_good: bool = False
    wanted: float | None = None
    examples: int | None = None
    git: GitFacts
    rag: Standing | None = None
    without: Standing | None = None
    rag_gain: Gain | None = None
    fixed: float | None = None
    held: Standing | None = None
    economics: Economics | None = None
    break_even: BreakEven | None = None
    challenges: tuple[Challenge, ...] = ()
    retiring: tuple[Retirement, ...] = ()


def worth(q: Question) -> float:
    """Return the gain that is worth a fine-tune: as declared, or what its cost a month comes to."""
    money, own = q.economics, q.break_even
    if money is None or money.wrong_usd is None or own is None or own.saves_per_month is None:
        return q.lines.worth
    each = money.wrong_usd * money.calls_per_month
    return max(0.0, -own.saves_per_month / each) if each else q.lines.worth


def pays(q: Question) -> bool:
    """Tell whether the fine-tune is cheaper than *below*, and soon has paid for its training."""
    own = q.break_even
    saves = own is not None and own.saves_per_month is not None and own.saves_per_month > 0.0
    days = own.days if own else None
    return saves and days is not None and days <= q.lines.payback_days


def worth_the_price(q: Question) -> bool:
    """Tell whether what a wrong reply costs, where that is declared, makes up for its cost."""
    money = q.economics
    return bool(
        money and money.wrong_usd is not None and q.gain and q.gain.certain
        and q.gain.change >= worth(q)
    )  # fmt: skip


#: So long must a task have held still.
_DAYS = 90


class Found(NamedTuple):
    """What a rule found: whether it speaks for fine-tuning, and the sentence that says why."""

    holds: bool | None
    told: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Attributes:
        name: what a report calls it.
        asks: what it asks, in words.
        threshold: the keys of ``ladder:`` that move its line, or "".
        source: where it is from.
        check: finds out; None where it says nothing about this suite.
        needed: a fine-tune is not justified where it does not hold.
    """

    name: str
    asks: str
    threshold: str
    source: str
    check: Callable[[Question], Found | None]
    needed: bool = False


def conditions(question: Question) -> Iterator[Condition]:
    """Yield what each rule found, in the order of the table."""
    for rule in RULES:
        found = rule.check(question)
        if found is not None:
            holds, told = found
            yield Condition(name=rule.name, told=told, holds=holds, needed=rule.needed)


def _for(told: str) -> Found:
    return Found(holds=True, told=told)


def _against(told: str) -> Found:
    return Found(holds=False, told=told)


def _unknown(told: str) -> Found:
    return Found(holds=None, told=told)


# What each rule finds -----------------------------------------------------------------------


def _gap(q: Question) -> Found | None:
    if q.tuned is None or q.gain is None:
        return _gap_to_floor(q)
    rates = f"{_right(q.tuned)} against {_right(q.below)}"
    told = f"{rates}: {points(q.gain.change)} {interval(q.gain.low, q.gain.high)} points"
    least = worth(q)
    if q.gain.certain and q.gain.change >= least:
        return _for(f"{told}; from {points(least)} on it is worth it by itself")
    if (q.as_good or q.gain.certain) and pays(q):
        return _for(f"{told}: as good, and cheaper")
    return _against(f"{told}, {_too_little(q, least)}")


def _too_little(q: Question, least: float) -> str:
    if q.gain is not None and q.gain.certain:
        return f"worth it from {points(least)} on"
    if pays(q):
        return "cheaper, but not shown to be as good"
    return "which may be chance" if q.gain and q.gain.change > 0.0 else "which is no gain"


def _right(row: Standing) -> str:
    return f"{row.variant} {percent(row.accuracy or 0.0)}"


def _gap_to_floor(q: Question) -> Found | None:
    if q.wanted is None or q.below.accuracy is None:
        return None
    short = q.wanted - q.below.accuracy
    told = f"{q.below.variant} is right in {percent(q.below.accuracy)}"
    asked = f"the suite asks for {percent(q.wanted)}"
    certain = (q.below.accuracy_high or 1.0) < q.wanted
    return Found(
        holds=certain and short >= q.lines.worth, told=f"{told}, {asked}: {points(-short)} points"
    )


def _examples(q: Question) -> Found:
    rows = q.tuned.training_rows if q.tuned and q.tuned.training_rows is not None else q.examples
    few, enough = q.lines.fewest_examples, q.lines.wanted_examples
    if rows is None:
        return _unknown(f"no training_data is named; {enough} labelled rows are wanted")
    if rows < few:
        return _against(f"{rows:,} labelled rows: under {few} teach a style at most")
    told = f"{rows:,} labelled rows"
    return _for(told if rows >= enough else f"{told}; {enough} or more are better")


def _stable(q: Question) -> Found:
    git, most = q.git, q.lines.most_changes
    if git.unknown:
        return _unknown(f"how often the task changes is not known: {git.unknown}")
    told = ", ".join(f"{what} {times}" for what, times in git.changes.items())
    young = ", all that it has" if git.days < _DAYS else ""
    times = f"{counted(git.commits, 'change')} in {counted(git.days, 'day')}{young}"
    seen = f"{times} ({told})" if git.commits else times
    held = git.commits <= most
    return Found(
        holds=held, told=seen if held else f"{seen}: over {most}, each may mean to train again"
    )


def _knowledge(q: Question) -> Found | None:
    if q.rag is None or q.without is None or q.fixed is None or q.rag_gain is None:
        return None
    told = f"retrieval ({q.rag.variant}) mends {percent(q.fixed)} of what {q.without.variant} fails"
    lacks = q.fixed >= q.lines.knowledge and q.rag_gain.certain
    after = "what lacks is knowledge, which is retrieved and not trained"
    return Found(
        holds=not lacks, told=f"{told}: {after}" if lacks else f"{told}: what lacks is behaviour"
    )


def _prompt(q: Question) -> Found | None:
    tokens = q.below.prompt_tokens
    if tokens is None:
        return None
    told = f"the prompt of {q.below.variant} has about {tokens:,} tokens"
    if tokens > q.lines.costly_prompt:
        return _for(f"{told}: a fine-tune does not read them, and does not pay for them")
    if tokens > q.lines.long_prompt:
        return _for(f"{told}: rules this long contradict each other; shorten it first")
    return _against(f"{told}: there is little to save")


def _form(q: Question) -> Found | None:
    row = q.held or q.below
    if row.form is None:
        return None
    broken, how = 1.0 - row.form, "under a schema" if q.held else "without a schema"
    told = f"{percent(broken)} of the replies of {row.variant} break the form {how}"
    if not q.held:
        return _unknown(told) if broken >= q.lines.form_faults else _against(told)
    return Found(holds=broken >= q.lines.form_faults, told=told)


def _volume(q: Question) -> Found | None:
    own, money = q.break_even, q.economics
    if q.tuned is None or money is None:
        return None
    if own is None or q.tuned.usd_per_month is None or q.below.usd_per_month is None:
        word = q.tuned.unknown or q.below.unknown or "unpriced"
        return _unknown(f"whether the volume pays is not known: a price is {word}")
    mine, its = (usd(one.usd_per_month or 0.0) for one in (q.tuned, q.below))
    told = f"{mine} a month against {its} of {q.below.variant} at {money.calls_per_day:,.0f} a day"
    if pays(q):
        return _for(f"{told}; paid back in {_days(own.days)}")
    if worth_the_price(q):
        return _for(f"{told}; its gain is worth that")
    since = own.calls_per_day
    at = "cheaper at no volume" if since is None else f"cheaper from {since:,.0f} a day on"
    slow = own.saves_per_month is not None and own.saves_per_month > 0.0
    late = f"paid back in {_days(own.days)}, over {q.lines.payback_days:g}"
    undecided = bool(q.gain and q.gain.certain and q.gain.change >= q.lines.worth)
    if undecided and money.wrong_usd is None:
        each = -(own.saves_per_month or 0.0) / (
            (q.gain.change if q.gain else 1.0) * money.calls_per_month
        )
        return _unknown(f"{told}: {usd(each)} for each reply more that is right")
    return _against(f"{told}; {late if slow else at}")


def _days(days: float | None) -> str:
    if days is None:
        return "no time at all"
    return f"{days:,.0f} days" if days >= 2 else f"{days:.1f} days"  # noqa: PLR2004 - 0.2 days


def _private(q: Question) -> Found | None:
    if not q.lines.local_only:
        return None
    return _for("the model must run here, which rules out a stronger one that is hosted")


def _domain(q: Question) -> Found | None:
    each = q.below.tokens_per_word
    if each is None:
        return None
    strange = each > q.lines.tokens_per_word
    kind = "a language of its own" if strange else "words that the model knows"
    return Found(holds=strange, told=f"{each:.1f} tokens a word in the cases: {kind}")


def _gates(q: Question) -> Found | None:
    if q.tuned is None or not q.tuned.outcomes:
        return None
    ends = q.tuned.outcomes
    bad = [gate for gate, end in ends.items() if end in ("failed", "invalid", UNJUDGED)]
    told = ", ".join(f"{gate} {ends[gate]}" for gate in bad or ends)
    open_ = not bad and "inconclusive" in ends.values()
    return Found(holds=None if open_ else not bad, told=f"gates of {q.tuned.variant}: {told}")


def _challenged(q: Question) -> Found | None:
    if not q.challenges:
        return None
    for one in q.challenges:
        seen = f"{points(one.gain.change)} {interval(one.gain.low, one.gain.high)} points"
        if one.outcome == "as good":
            return _against(f"{one.challenger} without tuning is as good: {seen}")
    told = ", ".join(f"{one.challenger} {one.outcome}" for one in q.challenges)
    return _for(f"no challenger is shown to be as good: {told}")


def _retires(q: Question) -> Found | None:
    names = {q.tuned.variant} if q.tuned else set()
    mine = [one for one in q.retiring if names & set(one.variants)]
    if not mine:
        return None
    first = mine[0]
    return _against(f"{first.model} is gone in {first.days} days, on {first.date}: train again")


#: The table, in the order in which it is told.
RULES: tuple[Rule, ...] = (
    Rule(
        "gap", "Is the gain over the best rung without tuning certain, and large enough?", "worth",
        "pairs: Tango 1998, many rungs: Holm 1979; as good and cheaper will do: Kapoor et al. 2024",
        _gap, needed=True,
    ),
    Rule(
        "gates", "Does the fine-tune pass its own gates, forgetting among them?", "",
        "forgetting of tuned models: Luo et al. 2023", _gates, needed=True,
    ),
    Rule(
        "examples", "Are there enough labelled rows?", "fewest_examples, wanted_examples",
        "few teach a style at most: Zhou et al. 2023 (LIMA); the numbers are a convention",
        _examples, needed=True,
    ),
    Rule(
        "stable", "Have prompt, cases and suite held still for 90 days?", "most_changes",
        "what changes around a model is its debt: Sculley et al. 2015; the number is a convention",
        _stable, needed=True,
    ),
    Rule(
        "knowledge", "Is it behaviour that is missing, not knowledge that retrieval brings?",
        "knowledge", "Ovadia et al. 2023; Gekhman et al. 2024", _knowledge, needed=True,
    ),
    Rule(
        "volume", "Do the calls pay for training and hosting?", "payback_days",
        "price and accuracy together: Chen et al. 2023 (FrugalGPT)", _volume, needed=True,
    ),
    Rule(
        "challenger", "Is no untuned challenger as good by now?", "worth",
        "non-inferiority: Tango 1998, Holm 1979", _challenged, needed=True,
    ),
    Rule(
        "retirement", "Does the model under it stay?", "retirement_days",
        "the dates of its provider", _retires,
    ),
    Rule(
        "form", "Is the form still broken under a schema?", "form_faults",
        "what a grammar can hold need not be trained: Willard & Louf 2023", _form,
    ),
    Rule(
        "prompt", "Is the prompt so long that leaving it out saves something?",
        "long_prompt, costly_prompt",
        "models reason worse from 3,000 tokens on: Levy et al. 2024", _prompt,
    ),
    Rule("privacy", "Must the model run here?", "local_only", "declared", _private),
    Rule(
        "domain", "Are the cases in words that the model does not know whole?", "tokens_per_word",
        "pieces a word: Rust et al. 2021; the number is a convention", _domain,
    ),
)  # fmt: skip

#: A score from which on a reply counts as right, where it is not simply right or wrong.
_RIGHT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """A fine-tune, measured or only thought of, with what the rules found about it.

    Attributes:
        row: its row, or None where none was measured.
        name: what it is called.
    """

    row: Standing | None
    name: str
    conditions: tuple[Condition, ...]
    challenges: tuple[Challenge, ...]

    @property
    def failing(self) -> tuple[Condition, ...]:
        """The needed conditions that do not hold."""
        return tuple(one for one in self.conditions if one.needed and one.holds is False)

    def reasons(self, *, failing: bool) -> tuple[Reason, ...]:
        """Return what is told of it: the conditions that fail, or those that hold."""
        holding = (one for one in self.conditions if one.needed and one.holds)
        told = self.failing if failing else holding
        return tuple(Reason(told=one.told, variant=self.name, figure=one.name) for one in told)


def fine_tune(
    evidence: Evidence, ladder: Ladder, below: Standing, row: Standing | None
) -> FineTune:
    """Hold a fine-tune against the best rung without tuning.

    Args:
        evidence: what is known.
        ladder: what was measured.
        below: the rung that it would replace.
        row: the fine-tune, or None for one that is not there yet.
    """
    suite, name = evidence.suite, row.variant if row else None
    key = (below.variant, name or "")
    question = Question(
        lines=suite.ladder,
        below=below,
        tuned=row,
        gain=ladder.found.gains.get(key),
        as_good=key in ladder.found.p_worse and ladder.found.as_good(key[1], key[0]),
        wanted=floor_of(suite, "accuracy"),
        examples=evidence.examples,
        git=evidence.git,
        held=_held(evidence, ladder),
        economics=suite.economics,
        break_even=ladder.break_even(name, below.variant) if name else None,
        challenges=challenges(ladder.found, suite.challengers, name),
        retiring=ladder.retiring,
        **_retrieval(evidence, ladder),
    )
    found = tuple(conditions(question))
    return FineTune(
        row=row, name=name or "a fine-tune", conditions=found, challenges=question.challenges
    )


def _held(evidence: Evidence, ladder: Ladder) -> Standing | None:
    """Return the rung whose replies are held to a schema and break their form least."""
    variants = evidence.suite.variants
    held = [
        row
        for row in ladder.rows
        if variants[row.variant].constrained or variants[row.variant].schema is not None
    ]
    return max(held, key=lambda row: row.form or 0.0, default=None)


def _retrieval(evidence: Evidence, ladder: Ladder) -> dict[str, Any]:
    """Return what retrieval mends of the rung below it, where one was measured."""
    place = next((i for i, row in enumerate(ladder.rows) if row.rung == "rag"), 0)
    if place == 0:
        return {}
    rag, without = ladder.rows[place], ladder.rows[place - 1]
    mine, its = (evidence.columns[one.variant].rows for one in (rag, without))
    failed = [
        key
        for key, row in its.items()
        if row.correct is not None and row.correct < _RIGHT and key in mine
    ]
    mended = [key for key in failed if (mine[key].correct or 0.0) >= _RIGHT]
    return {
        "rag": rag,
        "without": without,
        "rag_gain": ladder.found.gains.get((without.variant, rag.variant)),
        "fixed": len(mended) / len(failed) if failed else None,
    }
