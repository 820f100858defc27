"""The suite file as an author may write it: every key with its type and bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    StrictBool,
    Tag,
    WithJsonSchema,
    model_validator,
)

from pytest_ftgate.readers.source import (
    Count,
    Declared,
    NonNegative,
    Positive,
    Share,
    Text,
    rule_error,
)
from pytest_ftgate.suite.formats import DeclaredFormat
from pytest_ftgate.suite.score_rules import DeclaredScore
from pytest_ftgate.suite.scorers import DeclaredExpected

#: pydantic's tags for a value that is a mapping, text or a number; they occur in error locations.
UNION_TAGS = ("<mapping>", "<text>", "<number>")
#: Their sums and squares are finite.
Weight = Annotated[float, Field(strict=True, ge=0, le=1e12, allow_inf_nan=False)]
Margin = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]


def _max_drop_tag(value: Any) -> str:
    return UNION_TAGS[1 if value == "none" else 2]


def _check_max_drop(value: Any) -> Any:
    """Return *value*, unless it is a truth value such as ``off``, or a text but ``none``."""
    is_word = isinstance(value, str) and not value[:1].isdigit()
    if isinstance(value, bool) or (is_word and value != "none"):
        raise rule_error("max_drop: write a share such as 0.05, or none")
    return value


#: The largest drop of a rate: ``none`` switches the comparison off.
MaxDrop = Annotated[
    Annotated[Literal["none"], Tag("<text>")] | Annotated[Margin | None, Tag("<number>")],
    Discriminator(_max_drop_tag),
    BeforeValidator(_check_max_drop),
]


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


class _Numbers(Declared):
    """Numbers that are used as they are declared. An empty value stands for the default."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_values(cls, keys: Any) -> Any:
        if not isinstance(keys, dict):
            return keys
        numbers = [k for k, f in cls.model_fields.items() if isinstance(f.default, int | float)]
        return {k: value for k, value in keys.items() if value is not None or k not in numbers}


class Spend(_Numbers):
    """Costs of a variant besides the price of its requests."""

    training_usd: NonNegative = 0.0
    #: A server or provisioned throughput, or None.
    hosting_usd_per_month: NonNegative | None = None
    #: The adapters that share this server and its price.
    adapters_on_server: Count = 1
    retrainings_per_year: NonNegative = 0.0
    #: None for the cost of this run's replies.
    evaluation_usd: NonNegative | None = None
    evaluations_per_month: NonNegative = 0.0
    #: The share of requests that can wait for a batch, at half the price.
    batched: Share = 0.0
    #: The share of input tokens that come from the provider's cache.
    cached: Share = 0.0


#: Converts a volume per day to a volume per month.
DAYS_PER_MONTH = 30


class Economics(Spend):
    """The number of requests per day, and the costs of variants besides them."""

    calls_per_day: Positive
    #: USD that a wrong reply costs, or None if not declared.
    wrong_usd: NonNegative | None = None
    #: In a resolved suite, with those that are declared for all.
    variants: dict[str, Spend] = Field(default_factory=dict)

    @property
    def calls_per_month(self) -> float:
        """The number of requests in thirty days."""
        return self.calls_per_day * DAYS_PER_MONTH


class DeclaredLadder(Declared):
    """What the ladder of approaches has to keep to."""

    local_only: StrictBool = False


class DeclaredData(Declared):
    """The data gate: checks of the training data."""

    min_rows: Count = 200
    context: Count | None = None
    ignore: tuple[str, ...] = ()


def _mapping_tag(value: Any) -> str:
    return UNION_TAGS[not isinstance(value, Mapping | Declared)]


class Message(Declared):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


def _id_text(value: Any) -> Any:
    """Return a whole number as text; it is the usual id in a JSON file."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Id = Annotated[str, BeforeValidator(_id_text), WithJsonSchema({"type": ["string", "integer"]})]


class DeclaredCase(Declared):
    """One input with the expected reply."""

    id: _Id = ""
    input: str = ""
    messages: tuple[Message, ...] = ()
    vars: dict[str, Any] = Field(default_factory=dict)
    expected: DeclaredExpected = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    score: DeclaredScore = None
    format: DeclaredFormat = ()
    max_tokens: Count | None = None
    skill: str | None = None
    difficulty: Annotated[int, Field(strict=True, ge=1, le=5)] | None = None
    language: str | None = None
    weight: Weight = 1.0
    must_pass: StrictBool = False
    must_keep: StrictBool = False
    holdout: StrictBool = False
    choices: Annotated[int, Field(strict=True, ge=2)] | None = None


def split_marks(text: str) -> tuple[str, str]:
    """Return the opening and the closing mark in *text*, such as ``<think>…</think>``."""
    opening, _, closing = text.replace("...", "…").partition("…")
    return opening.strip(), closing.strip()


def _check_marks(text: str) -> str:
    if not all(split_marks(text)):
        example = 'such as "<think>…</think>", or false to score whole replies'
        raise rule_error(f"thoughts: write the two marks around a thought, {example}")
    return text


class DeclaredColumns(Declared):
    """The columns of files of cases and replies that another tool wrote."""

    id: Text | None = None
    input: Text | None = None
    expected: Text | None = None
    reply: Text | None = None
    score: Text | None = None
    tags: Text | tuple[Text, ...] = ()


class DeclaredReply(Declared):
    """The format of replies, and how they are scored."""

    format: DeclaredFormat = ()
    score: DeclaredScore = None
    max_tokens: Count | None = None
    #: Marks around a thought; None for the known ones; False if a reply is an answer throughout.
    thoughts: StrictBool | Annotated[Text, AfterValidator(_check_marks)] | None = None


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


#: Files, or a function. The discriminator limits errors to the alternative that was written.
_Retrieve = Annotated[
    Annotated[DeclaredRetrieve, Tag(UNION_TAGS[0])] | Annotated[str, Tag(UNION_TAGS[1])],
    Discriminator(_mapping_tag),
]


class DeclaredBase(Declared):
    """The untuned model under a variant. What is left out is as for the variant."""

    model: str | None = None
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    api_version: str | None = None
    served_model: str | None = None
    extra: dict[str, JsonValue] | None = None


#: The keys of a model, or the name of a variant or of a model.
_Base = Annotated[
    Annotated[DeclaredBase, Tag(UNION_TAGS[0])] | Annotated[str, Tag(UNION_TAGS[1])],
    Discriminator(_mapping_tag),
]


#: The number of a device that a part of a model can be kept on, and the text of one.
_NUMBER, _NAME = re.compile(r"\d+"), re.compile(r"cpu|mps|(cuda|xpu|npu)(:\d+)?")


def _check_places(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return *value*, unless one of its values is no device, or it has none."""
    texts = [(_NAME if isinstance(p, str) else _NUMBER).fullmatch(str(p)) for p in value.values()]
    if not texts or not all(texts):
        raise rule_error("device_map: write a GPU, such as 0, or cpu for each part of the model")
    return value


#: Where the parts of a model go, as accelerate takes it: a rule, or the device of each part.
_DeviceMap = Annotated[
    Annotated[dict[str, int | str], BeforeValidator(_check_places), Tag(UNION_TAGS[0])]
    | Annotated[Literal["auto", "balanced", "balanced_low_0", "sequential"], Tag(UNION_TAGS[1])],
    Discriminator(_mapping_tag),
]
#: Names of Transformers. A name with a slash would be code of a repository.
_Attention = Literal[
    "eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3", "flash_attention_4"
]


def _check_variables(value: Any) -> Any:
    if isinstance(value, list) and value:
        raise rule_error(
            f"env has variables with their values, as in env: {{{value[0]}: VALUE}}; for secrets "
            f"of the environment write keys: [{', '.join(map(str, value))}]"
        )
    for name, text in value.items() if isinstance(value, Mapping) else ():
        if "\0" in str(text):
            raise rule_error(f"env: {name} has a null character, which no variable can have")
    return value


_Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class DeclaredCommand(Declared):
    """A program that answers one case, such as a coding agent."""

    #: The program and its arguments, each a template.
    run: Annotated[tuple[Text, ...], Field(min_length=1)]
    #: What is copied into the folder in which it runs.
    files: tuple[Text, ...] = ()
    #: Variables that it gets, with their values, which can change its replies.
    env: Annotated[dict[_Variable, str], BeforeValidator(_check_variables)] = Field(
        default_factory=dict
    )
    #: The secrets of the environment that it gets. No fingerprint may hold them, even as a digest.
    keys: tuple[_Variable, ...] = ()
    seconds: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 600


class DeclaredLoad(Declared):
    """How Transformers loads a checkpoint: nothing here can make it run code."""

    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    device: str | None = None
    device_map: _DeviceMap | None = None
    quantization: Literal["nf4", "int8"] | None = None
    attention: _Attention | None = None

    @model_validator(mode="after")
    def _check_device(self) -> Self:
        if self.device_map and self.device:
            raise rule_error("device_map says where each part of the model goes; remove device")
        return self


class DeclaredVariant(Declared):
    """One way of answering the cases."""

    like: str | None = None
    provider: str | None = None
    model: str | None = None
    prompt: str | None = None
    user: str | None = None
    gated: StrictBool = True
    compared: StrictBool = True
    rung: Rung | None = None
    # the server
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    api_version: str | None = None
    served_model: str | None = None
    # additions to the model
    adapter: str | None = None
    scale: NonNegative = 1.0
    base: _Base | None = None
    base_replies: str | None = None
    training_data: str | None = None
    examples: DeclaredExamples | None = None
    response_schema: StrictBool | str | None = None
    retrieve: _Retrieve | None = None
    tools: tuple[str, ...] = ()
    max_turns: Count | None = None
    # sampling
    max_tokens: Count | None = None
    temperature: NonNegative | None = None
    top_p: Share | None = None
    seed: Annotated[int, Field(strict=True)] | None = None
    stop: tuple[str, ...] = ()
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    thinking: dict[str, JsonValue] | None = None
    batch: StrictBool = False
    # replies without a model
    function: str | None = None
    files: tuple[str, ...] = ()
    replies: str | None = None
    format: Text | None = None
    uses: Text | None = None
    command: DeclaredCommand | None = None
    # llama.cpp in process
    slots: Count | None = None
    threads: Count | None = None
    context: Count | None = None
    # transformers in process
    load: DeclaredLoad | None = None
    # settings of one server, and of a provider from a plugin
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    options: dict[str, JsonValue] = Field(default_factory=dict)
    # money
    usd_per_1m_input: NonNegative | None = None
    usd_per_1m_output: NonNegative | None = None
    usd_per_1m_cached: NonNegative | None = None
    usd_per_1k: NonNegative | None = None
    price_model: str | None = None


class DeclaredRate(Declared):
    """The accuracy or the format gate: a minimum, a largest drop or change, or both."""

    min: Share | None = None
    max_drop: MaxDrop = None
    evidence: Literal["statistics", "point"] = "statistics"
    slices: tuple[Literal["tag", "label", "language"], ...] = ()
    stop_early: StrictBool = False
    settle: Count | None = None


class DeclaredAccuracy(DeclaredRate):
    """The accuracy gate: over all cases, or the mean over the labels."""

    claim: Literal["these_tasks", "tasks_like_these"] | None = None

    metric: Literal["accuracy", "balanced_accuracy"] = "accuracy"


class DeclaredThoughts(Declared):
    """Limits of the thoughts, against the baseline: of their share, and of their length."""

    max_drop: Margin | None = None
    max_rise: Positive | None = None


class DeclaredFormatGate(DeclaredRate):
    """The format gate."""

    thoughts: DeclaredThoughts | None = None


class DeclaredLog(Declared):
    """A log of another harness whose tasks are skills."""

    lm_eval: Text | None = Field(default=None, alias="lm-eval")
    inspect: Text | None = None

    @property
    def tool(self) -> str:
        """The key of the log."""
        return "inspect" if self.lm_eval is None else "lm-eval"

    @property
    def path(self) -> str:
        """The path of the log as it is written."""
        return self.lm_eval or self.inspect or ""


def _check_logs(value: Any) -> Any:
    """Return *value* if each mapping in it names one log; a union would blame the other form."""
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, Mapping) and item.keys() not in ({"lm-eval"}, {"inspect"}):
            raise rule_error("skills: name a log as {lm-eval: FOLDER} or {inspect: FILE}")
    return value


class DeclaredForgetting(Declared):
    """The forgetting gate: how much general skill a fine-tuned variant may lose."""

    skills: Annotated[
        str | DeclaredLog | tuple[str | DeclaredLog, ...], BeforeValidator(_check_logs)
    ] = "general"
    max_drop: Margin | None = None
    each: Margin | None = None
    margins: dict[str, Margin] = Field(default_factory=dict)
    weights: dict[str, Weight] = Field(default_factory=dict)
    families: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    may_lose: tuple[str, ...] = ()
    must_keep: tuple[str, ...] = ()
    under: Literal["own", "prompt"] = "own"
    max_tokens: Count | None = None
    stop_early: StrictBool = False


#: USD of a limit. Less than a billionth is no price of anything, and overflows what is computed.
_Usd = Annotated[float, Field(strict=True, ge=1e-9, allow_inf_nan=False)]


class DeclaredCost(Declared):
    """The cost gate: the largest cost of requests, or the largest rise over the baseline."""

    max_usd_per_1k: _Usd | None = None
    max_usd_per_success: _Usd | None = None
    max_rise: Positive | None = None
    max_cost_per_case: Positive | None = None
    evidence: Literal["statistics", "point"] = "statistics"


class DeclaredLatency(Declared):
    """The latency gate: the largest latency, or the largest rise over the baseline."""

    max_p50_ms: Positive | None = None
    max_p95_ms: Positive | None = None
    max_rise: Positive | None = None


class DeclaredUsage(Declared):
    """The usage gate: what a run of an agent may take, on average over the tasks."""

    max_tokens_per_task: Positive | None = None
    max_seconds_per_task: Positive | None = None
    max_tool_calls_per_task: Positive | None = None
    max_rise: Positive | None = None
    evidence: Literal["statistics", "point"] = "statistics"


class DeclaredGates(Declared):
    """The gates of the suite, at most one of each kind."""

    accuracy: DeclaredAccuracy | None = None
    format: DeclaredFormatGate | None = None
    forgetting: DeclaredForgetting | None = None
    cost: DeclaredCost | None = None
    latency: DeclaredLatency | None = None
    usage: DeclaredUsage | None = None
    data: DeclaredData | None = None


class DeclaredInputs(Declared):
    """Inputs without an expected answer, and how the replies to them are labelled."""

    source: Text = Field(alias="from")
    #: The most labels of one draw. Fewer than 5 decide nothing.
    labels: Annotated[int, Field(strict=True, ge=5)] | None = None
    instruction: Text | None = None


_Inputs = Annotated[
    Annotated[DeclaredInputs, Tag(UNION_TAGS[0])] | Annotated[Text | None, Tag(UNION_TAGS[1])],
    Discriminator(_mapping_tag),
]


class DeclaredSuite(Declared):
    """One ``*.ftgate.yaml`` file."""

    prompt: str | None = None
    user: str = "{{ input }}"
    cases: str | list[DeclaredCase]
    inputs: _Inputs = None
    columns: DeclaredColumns | None = None
    reply: DeclaredReply = DeclaredReply()
    variants: dict[str, DeclaredVariant]
    baseline: str | None = None
    gates: DeclaredGates
    #: None for one, or for all that recorded runs have.
    repeats: Literal["auto"] | Count | None = None
    serves: str | None = None
    challengers: tuple[str, ...] = ()
    economics: Economics | None = None
    ladder: DeclaredLadder = DeclaredLadder()


class DeclaredRubric(Declared):
    """A rubric in a file."""

    source: Text = Field(alias="from")


class DeclaredMinimum(Declared):
    """The least value of each metric in a judge's validation."""

    kappa: Share | None = None
    agreement: Share | None = None
    sensitivity: Share | None = None
    specificity: Share | None = None
    consistency: Share | None = None


class DeclaredJudge(Declared):
    """A model that grades replies by a rubric."""

    rubric: Text | DeclaredRubric
    model: dict[str, JsonValue]
    grades: Annotated[dict[Text, Share], Field(min_length=2)] | None = None
    compare: Literal["baseline"] | None = None
    samples: Annotated[int, Field(strict=True, ge=1, le=25)] = 1
    human: Text | None = None
    min: DeclaredMinimum | None = None
