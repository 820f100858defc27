"""The suite file as an author may write it: every key, its type and its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, StrictBool, Tag

from pytest_ftgate.suite.formats import Format
from pytest_ftgate.suite.scorers import Expected, Score

__all__ = [
    "BRANCHES",
    "Count",
    "Declared",
    "DeclaredAccuracy",
    "DeclaredCase",
    "DeclaredCost",
    "DeclaredData",
    "DeclaredEconomics",
    "DeclaredExamples",
    "DeclaredFloor",
    "DeclaredForgetting",
    "DeclaredGates",
    "DeclaredJudge",
    "DeclaredLadder",
    "DeclaredLatency",
    "DeclaredRate",
    "DeclaredReply",
    "DeclaredRetrieve",
    "DeclaredRubric",
    "DeclaredSpend",
    "DeclaredSuite",
    "DeclaredVariant",
    "Margin",
    "Message",
    "Number",
    "Positive",
    "Rung",
    "Share",
]

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Margin = Annotated[float, Field(strict=True, gt=0, lt=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, ge=0)]
Positive = Annotated[float, Field(strict=True, gt=0)]


class Declared(BaseModel):
    """Keys as an author may write them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Rung = Literal[
    "no-model",
    "smaller-model",
    "prompt",
    "few-shot",
    "stronger-model",
    "structured-output",
    "rag",
    "tools",
    "fine-tuned",
]


class DeclaredSpend(Declared):
    """What a variant takes besides the price of its calls."""

    training_usd: Number | None = None
    hosting_usd_per_month: Number | None = None
    adapters_on_server: Count | None = None
    retrainings_per_year: Number | None = None
    evaluation_usd: Number | None = None
    evaluations_per_month: Number | None = None
    batched: Share | None = None
    cached: Share | None = None


class DeclaredEconomics(DeclaredSpend):
    """How often the product calls its model, and what its variants take besides."""

    calls_per_day: Positive
    wrong_usd: Number | None = None
    variants: dict[str, DeclaredSpend] = Field(default_factory=dict)


class DeclaredLadder(Declared):
    """Where the rules of the advice draw their lines."""

    worth: Share | None = None
    fewest_examples: Count | None = None
    wanted_examples: Count | None = None
    most_changes: Count | None = None
    long_prompt: Count | None = None
    costly_prompt: Count | None = None
    form_faults: Share | None = None
    knowledge: Share | None = None
    payback_days: Positive | None = None
    retirement_days: Count | None = None
    tokens_per_word: Positive | None = None
    local_only: StrictBool | None = None


class DeclaredData(Declared):
    """The gate on training data."""

    min_rows: Count = 200
    want_rows: Count = 500
    near: Share = 0.8
    balance: Positive = 20.0
    context: Count | None = None
    ignore: tuple[str, ...] = ()


#: What a value that may be a mapping or text is taken for; no part of its place in the file.
BRANCHES = ("<mapping>", "<text>")


def _branch(value: Any) -> str:
    return BRANCHES[isinstance(value, str)]


class Message(Declared):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class DeclaredCase(Declared):
    """One input with what is expected of the reply."""

    id: str = ""
    input: str = ""
    messages: tuple[Message, ...] = ()
    vars: dict[str, Any] = Field(default_factory=dict)
    expected: Expected = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    score: Score = None
    format: Format = ()
    max_tokens: Count | None = None
    skill: str | None = None
    difficulty: Annotated[int, Field(strict=True, ge=1, le=5)] | None = None
    language: str | None = None
    weight: Number = 1.0
    must_pass: StrictBool = False
    must_keep: StrictBool = False
    holdout: StrictBool = False


class DeclaredReply(Declared):
    """What a reply must look like, and how it is marked."""

    format: Format = ()
    score: Score = None
    max_tokens: Count | None = None


class DeclaredExamples(Declared):
    """Worked examples shown to the model before the case."""

    source: str = Field(alias="from")
    shots: Count = 5
    choose: Literal["first", "random", "similar", "per_label"] = "first"
    seed: int = 0


class DeclaredRetrieve(Declared):
    """Passages from files, shown to the model with the case."""

    source: str | tuple[str, ...] = Field(alias="from")
    top: Count = 4
    chunk: Annotated[int, Field(strict=True, ge=20)] = 120


#: Files, or a function. What is wrong with one is told of it alone, and not of the other too.
_Retrieve = Annotated[
    Annotated[DeclaredRetrieve, Tag(BRANCHES[0])] | Annotated[str, Tag(BRANCHES[1])],
    Discriminator(_branch),
]


class DeclaredVariant(Declared):
    """One way of answering the cases."""

    like: str | None = None
    provider: str | None = None
    model: str | None = None
    prompt: str | None = None
    user: str | None = None
    gated: StrictBool = True
    rung: Rung | None = None
    # where to ask
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    api_version: str | None = None
    served_model: str | None = None
    # what is added
    adapter: str | None = None
    scale: Number = 1.0
    base: str | None = None
    base_replies: str | None = None
    training_data: str | None = None
    examples: DeclaredExamples | None = None
    response_schema: StrictBool | str | None = None
    retrieve: _Retrieve | None = None
    tools: tuple[str, ...] = ()
    max_turns: Count | None = None
    # how to sample
    max_tokens: Count | None = None
    temperature: Number | None = None
    top_p: Share | None = None
    seed: Annotated[int, Field(strict=True)] | None = None
    stop: tuple[str, ...] = ()
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    thinking: dict[str, JsonValue] | None = None
    batch: StrictBool = False
    # answers that are not asked of a model
    function: str | None = None
    replies: str | None = None
    # llama.cpp in process
    slots: Count | None = None
    threads: Count | None = None
    context: Count | None = None
    # a provider from elsewhere
    options: dict[str, JsonValue] = Field(default_factory=dict)
    # money
    usd_per_1m_input: Number | None = None
    usd_per_1m_output: Number | None = None
    usd_per_1m_cached: Number | None = None
    usd_per_1k: Number | None = None
    price_model: str | None = None


class DeclaredRate(Declared):
    """The accuracy or the format gate: a floor, a margin for a drop, or both."""

    min: Share | None = None
    max_drop: Margin | None = None
    evidence: Literal["statistics", "point"] = "statistics"
    slices: tuple[Literal["tag", "label", "language"], ...] = ()
    stop_early: StrictBool = False
    settle: Count | None = None


class DeclaredAccuracy(DeclaredRate):
    """The accuracy gate: of all cases, or the mean over the labels."""

    metric: Literal["accuracy", "macro_f1"] = "accuracy"


class DeclaredForgetting(Declared):
    """The forgetting gate: how much of its general skills a fine-tune may lose."""

    skills: str | tuple[str, ...] = "general"
    max_drop: Margin = 0.03
    each: Margin | None = None
    margins: dict[str, Margin] = Field(default_factory=dict)
    weights: dict[str, Number] = Field(default_factory=dict)
    may_lose: tuple[str, ...] = ()
    must_keep: tuple[str, ...] = ()
    under: Literal["own", "prompt"] = "own"


class DeclaredCost(Declared):
    """The cost gate: what calls may cost, or how much more than the baseline's."""

    max_usd_per_1k: Positive | None = None
    max_rise: Positive | None = None


class DeclaredLatency(Declared):
    """The latency gate: how long replies may take, or how much longer than the baseline's."""

    max_p50_ms: Positive | None = None
    max_p95_ms: Positive | None = None
    max_rise: Positive | None = None


class DeclaredGates(Declared):
    """The rules of the suite, one for each kind."""

    accuracy: DeclaredAccuracy | None = None
    format: DeclaredRate | None = None
    forgetting: DeclaredForgetting | None = None
    cost: DeclaredCost | None = None
    latency: DeclaredLatency | None = None
    data: DeclaredData | None = None


class DeclaredSuite(Declared):
    """One ``*.ftgate.yaml`` file."""

    prompt: str | None = None
    user: str = "{{ input }}"
    cases: str | list[DeclaredCase]
    reply: DeclaredReply = DeclaredReply()
    variants: dict[str, DeclaredVariant]
    baseline: str | None = None
    gates: DeclaredGates
    repeats: Literal["auto"] | Count = 1
    serves: str | None = None
    challengers: tuple[str, ...] = ()
    economics: DeclaredEconomics | None = None
    ladder: DeclaredLadder = DeclaredLadder()


_Text = Annotated[str, Field(min_length=1)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredRubric(_Declared):
    """A rubric that stands in a file."""

    source: _Text = Field(alias="from")


class DeclaredFloor(_Declared):
    """How good a judge must have been shown to be before its grades decide anything."""

    kappa: _Share | None = None
    agreement: _Share | None = None
    sensitivity: _Share | None = None
    specificity: _Share | None = None
    consistency: _Share | None = None


class DeclaredJudge(_Declared):
    """A model that grades replies by a rubric."""

    rubric: _Text | DeclaredRubric
    model: dict[str, JsonValue]
    grades: Annotated[dict[_Text, _Share], Field(min_length=2)] | None = None
    compare: Literal["baseline"] | None = None
    samples: Annotated[int, Field(strict=True, ge=1, le=25)] = 1
    human: _Text | None = None
    floor: DeclaredFloor | None = None
