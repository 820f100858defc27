"""A suite, resolved: cases, variants, gates, judges and economics as frozen values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_ftgate.suite.prices import Tariff

if TYPE_CHECKING:
    from pytest_ftgate.suite.rule import Rule

__all__ = [
    "DAYS_A_MONTH",
    "FIGURES",
    "FINDINGS",
    "FIRST",
    "GRADES",
    "ORDERS",
    "Case",
    "CostGate",
    "DataGate",
    "Economics",
    "Expected",
    "ForgettingGate",
    "Gate",
    "Judge",
    "Label",
    "LatencyGate",
    "RateGate",
    "ReplyRules",
    "Retrieve",
    "Shot",
    "Spend",
    "SpendGate",
    "Suite",
    "Thresholds",
    "Turn",
    "Variant",
    "canonical",
    "digest",
]

#: What a judge says of a reply where the author declares nothing else, and what that is worth.
GRADES: Mapping[str, float] = {"good": 1.0, "bad": 0.0}
#: What it says of two replies, and what that is worth to the first of them.
ORDERS: Mapping[str, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}
FIRST = "first"
#: What is found out about a judge, and may have a floor.
FIGURES = ("kappa", "agreement", "sensitivity", "specificity", "consistency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a person says of a reply, or of two.

    Attributes:
        case: what was asked.
        reply: what is graded; of two the first.
        other: the second of two.
        grade: one of the judge's grades.
        where: ``path:line`` of the label.
    """

    case: Case
    reply: str
    other: str | None = None
    grade: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A model that grades replies by a rubric.

    Attributes:
        rule: the score that it is.
        rubric: a template, which sees what a prompt sees of a case.
        grades: what it may say, and what that is worth, 0 to 1.
        variant: who is asked.
        compares: it is shown the baseline's reply as well, in both orders.
        samples: how often it is asked the same.
        labels: what people said, by which it is examined.
        floor: what it must reach by that, each figure a share.
    """

    rule: Rule
    rubric: str
    grades: Mapping[str, float]
    variant: Variant
    compares: bool = False
    samples: int = 1
    labels: tuple[Label, ...] = ()
    floor: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a reader calls it: its model, or the function that answers."""
        return self.variant.model or self.variant.function or self.variant.provider

    @property
    def is_binary(self) -> bool:
        """Whether a reply is either wholly good or wholly bad to it."""
        return not self.compares and sorted(self.grades.values()) == [0.0, 1.0]

    def nearest(self, worth: float) -> str:
        """Return the grade whose worth is nearest to *worth*; of two the one declared first."""
        return min(self.grades, key=lambda grade: abs(self.grades[grade] - worth))


#: By which a volume a day becomes one a month.
DAYS_A_MONTH = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a variant takes besides the price of its calls; keys as in the suite file.

    Attributes:
        training_usd: paid once, and again at each retraining.
        hosting_usd_per_month: of a server or of provisioned throughput, or None.
        adapters_on_server: how many adapters share that server, and its price.
        retrainings_per_year: how often it must be trained again, as at each new base.
        evaluation_usd: what evaluating it once costs; None for what this run's replies cost.
        evaluations_per_month: how often that is done.
        batched: the share of its calls that can wait for a batch, at half the price.
        cached: the share of what it reads that comes from a cache.
    """

    training_usd: float = 0.0
    hosting_usd_per_month: float | None = None
    adapters_on_server: int = 1
    retrainings_per_year: float = 0.0
    evaluation_usd: float | None = None
    evaluations_per_month: float = 0.0
    batched: float = 0.0
    cached: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Economics:
    """What the product asks of its model, and what that is worth.

    Attributes:
        calls_per_day: the volume.
        wrong_usd: what a wrong reply costs, or None where nobody has said.
        spend: by variant what it takes besides its calls.
    """

    calls_per_day: float
    wrong_usd: float | None = None
    spend: Mapping[str, Spend] = field(default_factory=dict)

    @property
    def calls_per_month(self) -> float:
        """The volume of thirty days."""
        return self.calls_per_day * DAYS_A_MONTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where the rules of the advice draw their lines; keys as in the suite file, docs/ladder.md."""

    worth: float = 0.05
    fewest_examples: int = 200
    wanted_examples: int = 500
    most_changes: int = 6
    long_prompt: int = 1_000
    costly_prompt: int = 3_000
    form_faults: float = 0.05
    knowledge: float = 0.5
    payback_days: float = 180.0
    retirement_days: int = 90
    tokens_per_word: float = 2.0
    local_only: bool = False


#: What may be found in training data, in the order in which it is told.
FINDINGS = (
    *("broken", "size", "secret", "leak", "near leak", "conflict", "format", "missing label"),
    *("roles", "truncated", "doubtful label", "duplicate", "near duplicate", "balance"),
    *("unverified", "facts", "personal"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateGate:
    """The accuracy or the format gate.

    Attributes:
        kind: ``accuracy`` or ``format``.
        min: the least share that will do, or None.
        max_drop: the largest drop that will do, as a share, or None where none is compared.
        metric: ``accuracy``, or ``macro_f1``, the mean F1 over the labels.
        evidence: ``statistics``, or ``point`` for plain thresholds on what was seen.
        slices: the kinds of parts that are looked at one by one: ``tag``, ``label``, ``language``.
        stop_early: ask the cases in five blocks, and stop once the verdict is clear.
        settle: the most repeats that may be asked while the verdict is open, or None.
        called: the marked function whose own scores it judges, or "" for those of the suite.
    """

    kind: str
    line: int
    min: float | None = None
    max_drop: float | None = None
    metric: str = "accuracy"
    evidence: str = "statistics"
    slices: tuple[str, ...] = ()
    stop_early: bool = False
    settle: int | None = None
    called: str = ""

    @property
    def compares(self) -> bool:
        """Whether it looks at the baseline too."""
        return self.max_drop is not None

    @property
    def name(self) -> str:
        """What it is called in a report and in the name of its test."""
        return self.called or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingGate:
    """How much of its general skills a fine-tuned variant may lose. Margins are shares.

    Attributes:
        cases: of all skills, each with the name of its own.
        max_drop: of the mean over the skills.
        each: that every skill must itself be shown to keep to, or None.
        margins: the same for single skills, in place of *each*.
        weights: how much a skill counts in the mean, where that is not 1.
        may_lose: skills that are asked and shown, and judged by nothing.
        prompt: skills are asked under the variant's system prompt as well, and judged there too.
        left_out: skills that cannot be scored on this machine, and why.
    """

    kind: str = "forgetting"
    line: int
    cases: tuple[Case, ...]
    max_drop: float
    each: float | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    may_lose: tuple[str, ...] = ()
    prompt: bool = False
    left_out: str = ""
    #: It always looks at the base too.
    compares: ClassVar[bool] = True

    @property
    def unders(self) -> tuple[str, ...]:
        """What skills are asked under: nothing but their own messages, and the prompt."""
        return ("", "prompt") if self.prompt else ("",)

    def judges(self, skill: str) -> bool:
        """Tell whether a loss of *skill* matters to the verdict."""
        return skill not in self.may_lose

    def required(self, skill: str) -> float | None:
        """Return the margin that *skill* must itself be shown to keep to, or None."""
        return self.margins.get(skill, self.each) if self.judges(skill) else None

    def weight(self, skill: str) -> float:
        """Return how much *skill* counts in the mean."""
        return self.weights.get(skill, 1.0) if self.judges(skill) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostGate:
    """What the calls of a variant may cost.

    Attributes:
        max_usd_per_1k: the most USD that a thousand of its calls may cost, or None.
        max_rise: how much more than the baseline's, as a share of these, or None.
    """

    kind: str = "cost"
    line: int
    max_usd_per_1k: float | None = None
    max_rise: float | None = None

    @property
    def compares(self) -> bool:
        """Whether it looks at the baseline too."""
        return self.max_rise is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyGate:
    """How long the replies of a variant may take.

    Attributes:
        max_p50_ms, max_p95_ms: the milliseconds that half of them, and 95 in 100, may take at
            most, or None.
        max_rise: how much longer than the baseline's, as a share of these, or None.
    """

    kind: str = "latency"
    line: int
    max_p50_ms: float | None = None
    max_p95_ms: float | None = None
    max_rise: float | None = None

    @property
    def compares(self) -> bool:
        """Whether it looks at the baseline too."""
        return self.max_rise is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataGate:
    """What the training data of a variant must be like; it asks nothing.

    Attributes:
        min_rows: fewer rows to learn from fail.
        want_rows: fewer are warned of.
        near: texts that share so many of all their different words are near duplicates, 0 to 1.
        balance: how many times as many rows the most frequent label may have as the least.
        context: the tokens that a row may have, or None for the model's own.
        ignore: kinds of findings that do not count.
    """

    kind: str = "data"
    line: int = 0
    min_rows: int = 200
    want_rows: int = 500
    near: float = 0.8
    balance: float = 20.0
    context: int | None = None
    ignore: tuple[str, ...] = ()
    #: It looks at no reply, and at no other variant.
    compares: ClassVar[bool] = False


SpendGate = CostGate | LatencyGate
Gate = RateGate | ForgettingGate | SpendGate | DataGate

#: A mapping is the call of a tool, or the fields of a JSON object.
Expected = str | int | float | Mapping[str, Any] | list[Any] | None
#: (role, content)
Turn = tuple[str, str]


#: Writes a value as JSON in the one way that names go by.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


def digest(value: Any) -> str:
    """Return the sha256 of *value* in canonical JSON, as 64 hexadecimal digits."""
    return sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input with what is expected of the reply.

    Attributes:
        id: stable, unique in its suite.
        where: ``path:line`` of the case.
        vars: further values that templates may name.
        score: how its content is marked, where it differs from the suite's own.
        format: the form it must have, where it differs from the suite's own.
        weight: how much it counts beside the others.
        must_pass: a wrong reply to this case alone fails the accuracy gate.
        must_keep: of skills; where the base is right, a wrong reply alone fails the gate.
        folder: where functions that its rules name are looked for, if not beside the suite.
        holdout: it is asked of the chosen rung alone, to confirm the choice.
    """

    id: str
    where: str
    input: str = ""
    messages: tuple[Turn, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    expected: Expected = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    score: Rule
    format: tuple[Rule, ...] = ()
    max_tokens: int | None = None
    skill: str | None = None
    difficulty: int | None = None
    language: str | None = None
    weight: float = 1.0
    must_pass: bool = False
    must_keep: bool = False
    folder: Path | None = None
    holdout: bool = False

    @property
    def marked(self) -> bool:
        """Whether a reply to it can be right or wrong."""
        return self.expected is not None or self.score.unaided

    @property
    def yardstick(self) -> str:
        """A digest of what is asked and how it is marked; a new one makes old scores stale."""
        rules = [(r.kind, r.value, dict(r.options)) for r in (self.score, *self.format)]
        return digest([self.input, self.messages, dict(self.vars), self.expected, rules])[:16]

    @property
    def shown(self) -> str:
        """The input in the words of a person: the last thing the user says."""
        return self.input or (self.messages[-1][1] if self.messages else "")


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example: what it asks, in the words of a person, and the turns that show it."""

    shown: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieve:
    """How passages are found for a case: in files, or by a function of the team's own.

    Attributes:
        paths: the files to look in.
        top: how many passages a case is given.
        chunk: the most words of a passage.
        function: ``module:function``, called with the case, instead of the files.
    """

    paths: tuple[Path, ...] = ()
    top: int = 4
    chunk: int = 120
    function: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way of answering the cases; keys as in the suite file.

    Attributes:
        system: the system prompt's template, or None where there is none.
        user: the user message's template.
        shots: examples shown before the case.
        pool: examples of which the *similar* most like the case are shown instead.
        constrained: the provider is asked to hold the reply to the suite's format.
        schema: the JSON Schema that it is held to instead, or None.
        retrieve: how passages are found that the model is shown, or None.
        tools: the functions that the model may call, each ``module:function``.
        max_turns: how often it is asked at most before it must have answered.
        served_model: what the server calls the model in its replies, where not by *model*.
        api_version: the version of the API to ask for, where not the SDK's own.
        base_replies: what the base said to skills cases, where it cannot be asked any more.
        options: settings that only a provider from elsewhere knows.
        batch: its cases are asked together, at half the price, and answered within a day.
        tariff: what its calls cost.
        rung: where it stands on the ladder, as declared; "" where what it uses tells.
        prompt_path: the file of its system prompt.
        line: the line of the suite file that begins it.
    """

    name: str
    line: int
    provider: str
    model: str = ""
    system: str | None = None
    user: str = "{{ input }}"
    shots: tuple[Turn, ...] = ()
    pool: tuple[Shot, ...] = ()
    similar: int = 0
    constrained: bool = False
    schema: Mapping[str, Any] | None = None
    retrieve: Retrieve | None = None
    tools: tuple[str, ...] = ()
    max_turns: int = 8
    batch: bool = False
    served_model: str | None = None
    gated: bool = True
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    api_version: str | None = None
    adapter: Path | None = None
    scale: float = 1.0
    base: str | None = None
    base_replies: Path | None = None
    training_data: Path | None = None
    max_tokens: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    function: str | None = None
    replies: Path | None = None
    runtime: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tariff: Tariff = field(default_factory=Tariff)
    rung: str = ""
    prompt_path: Path | None = None

    @property
    def tuned(self) -> bool:
        """Whether there is an untuned model under it, so that it can have forgotten something."""
        return any(one is not None for one in (self.adapter, self.base, self.base_replies))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """What the suite asks of every reply, unless a case says otherwise."""

    format: tuple[Rule, ...] = ()
    score: Rule
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One suite file, ready to be planned.

    Attributes:
        path: the suite file.
        name: its path relative to the root directory, with forward slashes.
        repeats: how often each case is asked, or None for as often as its gates need.
        holdout: cases that are asked of the chosen rung alone.
        serves: the variant that is meant to serve, or "" where nobody has said.
        challengers: variants that may have become as good as a fine-tuned one.
        economics: the volume and what variants take besides their calls, where declared.
        ladder: where the rules of the advice draw their lines.
        judges: the models that grade its replies.
    """

    path: Path
    name: str
    cases: tuple[Case, ...]
    reply: ReplyRules
    variants: Mapping[str, Variant]
    baseline: str
    gates: Mapping[str, Gate]
    repeats: int | None = 1
    holdout: tuple[Case, ...] = ()
    serves: str = ""
    challengers: tuple[str, ...] = ()
    economics: Economics | None = None
    ladder: Thresholds = field(default_factory=Thresholds)
    judges: tuple[Judge, ...] = ()

    @property
    def held_out(self) -> Suite:
        """The cases that are held out, as a suite of their own."""
        return replace(self, name=f"{self.name} (held out)", cases=self.holdout, holdout=())

    @property
    def accepted_path(self) -> Path:
        """Where the accepted record lies: beside the suite."""
        return self._beside(".accepted.json")

    @property
    def replies_path(self) -> Path:
        """Where committed replies lie: beside the suite."""
        return self._beside(".replies.jsonl")

    @property
    def case_files(self) -> tuple[Path, ...]:
        """The files that its cases are in; the suite file where they stand there."""
        root = Path(str(self.path).removesuffix(self.name))
        names = (case.where.rpartition(":")[0] for case in (*self.cases, *self.holdout))
        return tuple(root / name for name in dict.fromkeys(names))

    @property
    def files_of_replies(self) -> tuple[Path, ...]:
        """The files that recorded variants name."""
        return tuple(one.replies for one in self.variants.values() if one.replies)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name.removesuffix(".ftgate.yaml") + suffix)

    def gates_of(self, variant: Variant) -> tuple[Gate, ...]:
        """Return the gates that judge *variant*, as far as it has what they look at."""
        if not variant.gated:
            return ()
        return tuple(gate for gate in self.gates.values() if _has_what(gate, variant))


def _has_what(gate: Gate, variant: Variant) -> bool:
    """Tell whether there is something to judge: forgetting needs a base, data needs a file."""
    if isinstance(gate, DataGate):
        return variant.training_data is not None
    return variant.tuned or not isinstance(gate, ForgettingGate)
