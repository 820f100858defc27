"""The advice on a suite, and the evidence and numbers that it rests on, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from pytest_ftgate.gates.notes import Note

if TYPE_CHECKING:
    from pytest_ftgate.gates.judges import JudgeEvidence
    from pytest_ftgate.gates.verdict import Verdict
    from pytest_ftgate.scoring.scores import VariantScores
    from pytest_ftgate.suite.model import Suite


#: The outcome of a gate that was never evaluated.
NOT_EVALUATED = "not evaluated"


class ReasonKind(StrEnum):
    """What a reason, a condition or a note of an advice says. The words name its values."""

    # The gap between a fine-tune and the best untuned variant.
    GAIN_IS_WORTH_IT = "worth it"
    AS_GOOD_AND_CHEAPER = "good and cheaper"
    GAIN_TOO_SMALL = "gain too small"
    NOT_SHOWN_AS_GOOD = "not shown good"
    MAY_BE_CHANCE = "may be chance"
    NO_GAIN = "no gain"
    MINIMUM = "minimum"
    # Labelled rows, and changes of the task.
    NO_TRAINING_DATA = "no training data"
    TOO_FEW_ROWS = "too few rows"
    FEW_ROWS = "few rows"
    ENOUGH_ROWS = "enough rows"
    CHANGES_UNKNOWN = "changes unknown"
    CHANGES = "changes"
    MANY_CHANGES = "many changes"
    # What is missing: knowledge, a shorter prompt, a format.
    KNOWLEDGE_IS_MISSING = "knowledge is missing"
    BEHAVIOUR_IS_MISSING = "behaviour is missing"
    COSTLY_PROMPT = "costly prompt"
    LONG_PROMPT = "long prompt"
    SHORT_PROMPT = "short prompt"
    FORMAT_UNDER_SCHEMA = "errors under schema"
    FORMAT_WITHOUT_SCHEMA = "errors without schema"
    MUST_RUN_HERE = "must run here"
    # Money.
    PRICE_UNKNOWN = "price unknown"
    PAID_BACK = "paid back"
    PAID_BACK_LATE = "paid back late"
    WORTH_ITS_PRICE = "worth its price"
    PRICE_OF_GAIN = "price of gain"
    NEVER_CHEAPER = "never cheaper"
    CHEAPER_FROM = "cheaper from"
    # Gates, challengers, and the end of a model.
    GATES = "gates"
    CHALLENGER_IS_AS_GOOD = "good challenger"
    NO_CHALLENGER = "no challenger"
    RETIRES = "retires"
    # Reasons of a recommendation.
    ACCURACY = "accuracy"
    GAIN = "gain"
    COSTS_MORE = "costs more"
    REJECTED = "rejected"
    FAILS_GATES = "fails gates"
    ONLY_FINE_TUNES = "only fine-tunes"
    # Why a rung comes next.
    NO_EXAMPLES = "no examples"
    NO_STRONGER_MODEL = "no stronger model"
    FORMAT_ERRORS = "format errors"
    NO_RETRIEVAL = "no retrieval"
    NO_TOOLS = "no tools"
    # Notes on the whole.
    JUDGED = "judged"
    UNMEASURED = "unmeasured"
    UNANSWERED = "unanswered"
    UNSCORED = "unscored"
    HELD_OUT_NOT_SENT = "held-out unsent"
    LOCKED_IN = "locked in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """The gain in accuracy of one rung over another, on the same cases.

    Attributes:
        over: the variant compared with.
        change: the difference as a share; *low* and *high* are its paired 95 % interval.
        n: the number of cases that both answered.
        p: the p-value against no gain, corrected for all pairs (Holm).
        certain: whether *p* is at most 0.05; never with too few groups of cases.
    """

    over: str
    change: float
    low: float
    high: float
    n: int
    p: float
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderRow:
    """One variant on the ladder: a row of its table.

    Attributes:
        variant: the name of the variant.
        rung: the kind of effort, one of ``suite.ladder.RUNGS``.
        n: the number of cases that it answered.
        accuracy, format: rates, each with *_low* and *_high*, the 95 % interval; None if the
            suite does not score it.
        gain: over the row above; None for the first.
        p50_ms, p95_ms: percentiles of the latency; None if not timed.
        tokens: the mean number of tokens of a request: input, cached or not, and output.
        prompt_tokens: the approximate tokens of the system prompt and the examples.
        usd_per_1k: USD for a thousand requests as measured.
        usd_served: the same with the caching and the batches that ``economics`` declares; None if
            it declares none.
        unknown: ``local`` or ``unpriced`` if there is no price, else "".
        usd_per_month: USD a month at the declared volume, with all other costs.
        frontier: no other row is both more accurate and cheaper.
        outcomes: by gate; empty for a variant without gates.
        training_rows: the number of labelled rows of its training file.
        provider, model: the provider, and the model that replied.
    """

    variant: str
    rung: str
    n: int
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    format: float | None = None
    format_low: float | None = None
    format_high: float | None = None
    gain: Gain | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    tokens: float | None = None
    prompt_tokens: int | None = None
    usd_per_1k: float | None = None
    usd_served: float | None = None
    unknown: str = ""
    usd_per_month: float | None = None
    frontier: bool = False
    outcomes: Mapping[str, str] = field(default_factory=dict)
    training_rows: int | None = None
    provider: str = ""
    model: str = ""

    @property
    def fails_gate(self) -> bool:
        """Whether one of its gates is failed or invalid."""
        return bool({"failed", "invalid"} & set(self.outcomes.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The result of one rule for or against fine-tuning.

    Attributes:
        name: of the rule, see ``recommend/rules.py`` and docs/ladder.md.
        note: the result, with the number it rests on.
        holds: whether it speaks for fine-tuning; None if unknown.
        needed: whether fine-tuning is not justified without it.
    """

    name: str
    note: Note
    holds: bool | None
    needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A reason for a recommendation, and the cell of the table that it rests on.

    Attributes:
        note: the reason.
        variant: the row of the table.
        figure: the field of ``LadderRow``, or the name of a rule.
    """

    note: Note
    variant: str
    figure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """The volume from which a fine-tune is cheaper than another rung.

    Attributes:
        variant: the fine-tune.
        compared_with: the other variant.
        calls_per_day: the break-even in requests a day; 0 if the fine-tune is cheaper at any
            volume, None if at none. *low* and *high* are the 95 % interval from the measured
            tokens; None for flat prices, or if unbounded.
        days: the days until the savings at the declared volume have paid for the training; None
            without savings. *days_low* and *days_high* are the interval.
        saves_per_month: USD at the declared volume; negative if the fine-tune costs more.
    """

    variant: str
    compared_with: str
    calls_per_day: float | None
    low: float | None = None
    high: float | None = None
    days: float | None = None
    days_low: float | None = None
    days_high: float | None = None
    saves_per_month: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSeries:
    """The monthly costs of one variant by volume: a line of the chart.

    Attributes:
        variant: the name of the variant.
        usd: USD a month for each of ``CostByVolume.volumes``; *low* and *high* are the 95 %
            interval.
        fixed: the part of it that does not depend on the volume.
    """

    variant: str
    fixed: float
    usd: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostByVolume:
    """The costs of all variants by volume.

    Attributes:
        calls_per_day: the declared volume, in requests a day.
        volumes: the volumes of the series in requests a day, ascending.
        series: a line for each variant with a known price.
        break_even: of each fine-tune with each other variant.
        unpriced: by variant without a price ``local`` or ``unpriced``.
    """

    calls_per_day: float
    volumes: tuple[float, ...]
    series: tuple[CostSeries, ...]
    break_even: tuple[BreakEven, ...]
    unpriced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The comparison of an untuned variant with the fine-tune.

    Attributes:
        challenger, tuned: the two variants.
        gain: of the challenger over the tuned variant.
        margin: the drop that still counts as as good, as a share.
        p: the p-value against a drop of *margin*, corrected for all pairs (Holm).
        outcome: ``as good``, ``worse`` or ``inconclusive``.
    """

    challenger: str
    tuned: str
    gain: Gain
    margin: float
    p: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The accuracy of the chosen variant on held-out cases.

    Attributes:
        n: the number of held-out cases answered.
        accuracy: on these cases; *low* and *high* are its 95 % interval.
        before: the accuracy on the other cases.
        p: the p-value against no drop (Fisher's exact test, one-sided).
        outcome: ``confirmed``, ``contradicted`` or ``inconclusive``.
    """

    variant: str
    n: int
    accuracy: float
    low: float
    high: float
    before: float
    p: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """A model in use that retires: at *date* (ISO), *days* after the day of the run."""

    model: str
    date: str
    days: int
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """The last accepted variant that still passes, in place of a failing one.

    Attributes:
        failing: the variant that should serve and fails.
        gates: the gates that it fails.
        variant: the variant to serve instead; "" if no accepted variant passes.
        commit, at, by: the commit that accepted it, its date and author; "" if unknown.
        in_suite: whether the suite still has the variant; else its commit does.
    """

    failing: str
    gates: tuple[str, ...]
    variant: str
    commit: str = ""
    at: str = ""
    by: str = ""
    in_suite: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageGaps:
    """The gaps of the evaluation itself.

    Attributes:
        unclaimed: prompt files in the suite's folder that no suite names.
        thin: labels with too few cases, and their number of cases.
        blunt: gates with too little power, and the smallest drop that they rule out, or None.
    """

    unclaimed: tuple[str, ...] = ()
    thin: Mapping[str, int] = field(default_factory=dict)
    blunt: Mapping[str, float | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return True if there is any gap."""
        return bool(self.unclaimed or self.thin or self.blunt)


class Recommendation(StrEnum):
    """The recommendation; an advice has exactly one."""

    STOP = "stop here"
    NEXT = "try a cheaper approach first"
    FINE_TUNE = "fine-tune"
    NOT_JUSTIFIED = "fine-tuning not justified"
    NOT_JUDGED = "fine-tuning not judged"
    KEEP = "keep the fine-tune"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The advice on one suite.

    Attributes:
        suite: the suite file, relative to the root directory.
        recommendation: what to do.
        subject: the variant or the rung that it is about.
        variant: the variant that should serve now.
        why: why the rung *subject* comes next, or why it cannot be judged; else None.
        reasons: each with a number of the table.
        below: the best untuned variant, which fine-tunes are compared with; "" for none.
        rungs: the table, least effort first.
        frontier_by: the other axis of the frontier, ``usd`` or ``time``; "" for none.
        conditions: the results of the rules for and against fine-tuning, if evaluated.
        unmeasured: variants without a row, and why.
        notes: what a reader should know beside the reasons.
    """

    suite: str
    recommendation: Recommendation
    subject: str
    variant: str
    reasons: tuple[Reason, ...]
    below: str
    rungs: tuple[LadderRow, ...]
    why: Note | None = None
    frontier_by: str = ""
    conditions: tuple[Condition, ...] = ()
    money: CostByVolume | None = None
    challenges: tuple[Challenge, ...] = ()
    confirmation: Confirmation | None = None
    retiring: tuple[Retirement, ...] = ()
    rollback: Rollback | None = None
    coverage_gaps: CoverageGaps = field(default_factory=CoverageGaps)
    unmeasured: Mapping[str, Note] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


class AcceptedVerdict(NamedTuple):
    """The verdict of one gate in an accepted run.

    Attributes:
        outcome: as in its verdict.
        value: what decided, in *unit*; None without a check.
    """

    gate: str
    variant: str
    outcome: str
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRun:
    """One commit of an accepted record.

    Attributes:
        commit: the shortened hash.
        at, by: the date (ISO) and the author of the commit.
        serves: the variant that should serve; "" if the record does not say.
        gates: the gates of the accepted run that could fail.
    """

    commit: str
    at: str
    by: str
    serves: str
    gates: tuple[AcceptedVerdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """The git history of a suite's files.

    Attributes:
        unknown_reason: why there is no history, or "".
        days: the length of the history, up to the period that is looked at.
        changes: the number of commits that changed ``prompt``, ``cases`` or ``suite``.
        commits: the number of different commits among them.
    """

    unknown_reason: str = ""
    days: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    commits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The inputs of the recommendation on one suite.

    Attributes:
        suite: the suite.
        scores: of each measured variant.
        verdicts: of all gates, and of variants without gates.
        today: the day of the run.
        facts: by variant, the facts on its model, as in ``Verdict.facts``.
        usd_spent: by variant, the cost of its replies in this run.
        training_rows: by variant, the number of labelled rows of its training file.
        examples: the number of labelled rows in the suite's training data; None without any.
        unmeasured: variants that could not be measured, and why.
        git: the git history of the suite's files.
        history: the accepted records, newest first.
        coverage_gaps: the gaps of the evaluation.
        judges: by the scores of a variant, the evidence about the judges that graded them.
        held_out: the scores of the chosen variant on held-out cases; None before the choice.
    """

    suite: Suite
    scores: Mapping[str, VariantScores]
    verdicts: tuple[Verdict, ...]
    today: date
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    usd_spent: Mapping[str, float] = field(default_factory=dict)
    training_rows: Mapping[str, int] = field(default_factory=dict)
    examples: int | None = None
    unmeasured: Mapping[str, Note] = field(default_factory=dict)
    git: GitFacts = field(default_factory=GitFacts)
    history: tuple[AcceptedRun, ...] = ()
    coverage_gaps: CoverageGaps = field(default_factory=CoverageGaps)
    judges: Mapping[VariantScores, JudgeEvidence] = field(default_factory=dict)
    held_out: VariantScores | None = None
