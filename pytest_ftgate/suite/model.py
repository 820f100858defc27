"""The resolved suite: cases, variants, gates, judges and economics as frozen values."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_ftgate.errors import Diagnostic
from pytest_ftgate.suite.prices import Tariff
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.rule import Rule, choice_labels

if TYPE_CHECKING:
    # A case alone, as in a test function, must not import pydantic.
    from pytest_ftgate.suite.declaration import Economics
    from pytest_ftgate.suite.pair_labels import PairLabel

#: The default grades of a judge, with their scores.
DEFAULT_GRADES: Mapping[str, float] = {"good": 1.0, "bad": 0.0}
#: The grades of a pairwise judge, with the score of the first reply.
PAIRWISE_GRADES: Mapping[str, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}
#: The metrics of a judge that may have a minimum.
JUDGE_METRICS = ("kappa", "agreement", "sensitivity", "specificity", "consistency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A human grade of a reply, or of a pair of replies.

    Attributes:
        case: the case.
        reply: the graded reply; the first of a pair.
        second_reply: the second of a pair, or None.
        grade: one of the judge's grades.
        location: ``path:line`` of the label.
    """

    case: Case
    reply: str
    second_reply: str | None = None
    grade: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A model that grades replies by a rubric.

    Attributes:
        rule: the score that uses this judge.
        rubric: a template with the same values as a prompt.
        grades: the possible grades with their scores, 0 to 1.
        variant: the variant that answers as the judge.
        is_pairwise: True if the judge also sees the baseline's reply, in both orders.
        samples: number of grades per reply.
        labels: human grades that validate the judge.
        minimum: the least value of each metric in the validation, a share.
    """

    rule: Rule
    rubric: str
    grades: Mapping[str, float]
    variant: Variant
    is_pairwise: bool = False
    samples: int = 1
    labels: tuple[Label, ...] = ()
    minimum: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name in reports: the model, or the function that answers."""
        return self.variant.model or self.variant.function or self.variant.provider

    @property
    def is_binary(self) -> bool:
        """True if the only scores are 0 and 1."""
        return not self.is_pairwise and sorted(self.grades.values()) == [0.0, 1.0]

    def nearest_grade(self, value: float) -> str:
        """Return the grade whose score is nearest to *value*; of two, the first declared."""
        return min(self.grades, key=lambda grade: abs(self.grades[grade] - value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What the gates of a suite declare. A kind overrides the defaults of what it declares.

    Attributes:
        kind: the key of the gate in the suite file.
        line: the line of the suite file that declares the gate.
        min: the least share that passes, or None.
        max_drop: the largest allowed drop, a share, or None for no such limit.
        max_rise: the largest allowed rise over the baseline, as a share of it, or None.
        metric: what the gate measures, if it offers several metrics.
        evidence: ``point`` for plain thresholds on observed values.
        stop_early: request the cases in blocks, and stop when the verdict is clear.
        settle: the most repeats to request while the verdict is inconclusive, or None.
        has_default_limit: True if *max_drop* is what the cases can show, and not declared.
        function: the marked test function that scores the replies, or "" for the suite's scorer.
        slices: the kinds of parts that the gate looks at as well.
    """

    kind: str
    line: int
    min: float | None = None
    max_drop: float | None = None
    max_rise: float | None = None
    metric: str = ""
    evidence: str = ""
    stop_early: bool = False
    settle: int | None = None
    has_default_limit: bool = False
    function: str = ""
    slices: tuple[str, ...] = ()
    #: The keys of what the gate allows.
    limit_keys: ClassVar[tuple[str, ...]] = ()
    #: What to write if no variant has what the gate needs.
    no_variant: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """The name in reports and in the id of the test."""
        return self.kind

    @property
    def own_cases(self) -> tuple[Case, ...]:
        """The cases that the gate brings in place of the suite's."""
        return ()

    @property
    def limits(self) -> Mapping[str, float | str]:
        """What the gate allows, by key; several as one text. What it does not limit is left out."""
        values = {key: getattr(self, key) for key in self.limit_keys}
        return {
            key: ", ".join(sorted(value)) if isinstance(value, tuple) else value
            for key, value in values.items()
            if value not in (None, (), "")
        }

    @property
    def sample(self) -> str:
        """The name of the samples that the gate rates."""
        return self.kind

    @property
    def reads_record(self) -> bool:
        """True if the gate compares with accepted results."""
        return False

    def compares(self, variant: Variant) -> bool:  # noqa: ARG002 - kinds read the variant
        """Return True if *variant*, where it is not the baseline, is compared with the baseline."""
        return self.max_rise is not None

    def applies_to(self, variant: Variant) -> bool:  # noqa: ARG002 - kinds read the variant
        """Return True if *variant* has what the gate needs."""
        return True

    def exam_weight(self, case: Case) -> float:
        """Return how much *case* counts among all cases; 0 if it cannot change the verdict."""
        return case.weight

    def evaluated_cases(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """Return the cases that can change the verdict, given the cases of the suite."""
        return tuple(cases)

    def case_weights(self, cases: Sequence[Case]) -> tuple[float, ...]:
        """Return the weight of each of the *cases* that the gate evaluates."""
        return tuple(case.weight for case in cases)

    def drop_checks(self, compared: int) -> int:  # noqa: ARG002 - kinds read the number
        """Return the number of checks that share the alarm level of the suite.

        *compared* is the number of earlier results that a variant may be compared with.
        """
        return 0

    def checks_in_build(self, compared: int) -> int:  # noqa: ARG002 - kinds read the number
        """Return the drop checks that an unchanged variant must pass; see above for *compared*."""
        return 0


#: A mapping is a tool call, or the fields of a JSON object.
Expected = str | int | float | Mapping[str, Any] | list[Any] | None
#: (role, content)
Turn = tuple[str, str]
#: The pairs of an opening and a closing mark around a thought.
ThoughtMarks = tuple[tuple[str, str], ...]


#: Encodes a value as the canonical JSON that digests and fingerprints rest on.
canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


def digest(value: Any) -> str:
    """Return the sha256 of *value* in canonical JSON, as 64 hexadecimal digits."""
    return sha256(canonical_json(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input with what a good reply is.

    Attributes:
        id: stable, and unique in its suite.
        location: ``path:line`` of the case.
        vars: further values for templates.
        score: the rule that scores the content of a reply.
        format: the rules that check the format of a reply.
        weight: weight of the case among all cases.
        must_pass: a wrong reply to this case alone fails the accuracy gate.
        must_keep: a wrong reply alone fails the forgetting gate if the base is right.
        folder: the folder of functions that its rules name, or None for the suite's.
        holdout: request it for the chosen rung only, to confirm the choice.
        choices: the number of answers to choose from; None if a guess is hardly ever right.
    """

    id: str
    location: str
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
    choices: int | None = None

    @property
    def file(self) -> str:
        """The path of the file that holds the case."""
        return self.location.rpartition(":")[0]

    @property
    def answers(self) -> list[Any]:
        """The accepted answers, or a single None."""
        return self.expected if isinstance(self.expected, list) else [self.expected]

    def expected_label(self, labels: Collection[str]) -> str | None:
        """Return the first accepted answer that is one of *labels*, or None."""
        answers = (str(answer) for answer in self.answers if answer is not None)
        return next((answer for answer in answers if answer in labels), None)

    @property
    def template_values(self) -> dict[str, Any]:
        """The values of the variables that a template may name."""
        return {"input": self.input, "id": self.id, "tags": self.tags, **self.vars}

    @property
    def is_scorable(self) -> bool:
        """True if a reply can be right or wrong."""
        return self.expected is not None or self.score.scores_without_expected

    @property
    def digest(self) -> str:
        """A digest of the input and of its scoring; a new digest makes old scores stale."""
        found = [rule.portable for rule in (self.score, *self.format)]
        rules = [(rule.kind, rule.value, dict(rule.options)) for rule in found]
        return digest([self.input, self.messages, dict(self.vars), self.expected, rules])[:16]

    def error(self, message: str) -> Diagnostic:
        """Return *message* as an error at the line of the case."""
        return Diagnostic(self.file, int(self.location.rpartition(":")[2]), message)

    @property
    def input_text(self) -> str:
        """The input as one text: the last user message where the case is a conversation."""
        return self.input or (self.messages[-1][1] if self.messages else "")


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example: its input as one text, and its turns."""

    input_text: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """The retrieval of passages for a case: from files, or by a function.

    Attributes:
        paths: the files to search.
        top: number of passages per case.
        chunk: the most words of a passage.
        function: ``module:function``, called with the case instead of a search, or None.
    """

    paths: tuple[Path, ...] = ()
    top: int = 4
    chunk: int = 120
    function: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One of the checkpoints of a training, all of which a variant names by a glob.

    Attributes:
        of: the variant, as the suite declares it.
        label: the checkpoint, such as ``checkpoint-300``.
        step: the step of the training: the number in *label*.
        decides: True if the build goes by it: the last one, or those that a run selects.
    """

    of: str
    label: str
    step: int
    decides: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Variant:
    """One way of answering the cases; keys as in the suite file.

    Attributes:
        line: the first line of the variant in the suite file.
        system: the template of the system prompt, or None.
        user: the template of the user message.
        shots: the turns of the examples before the case.
        shot_pool: examples; the *similar_shots* most similar to the case replace *shots*.
        similar_shots: number of examples to take from *shot_pool*.
        constrained: the provider constrains the reply to the suite's format.
        schema: the JSON Schema that constrains the reply instead, or None.
        retrieve: the retrieval of passages for the prompt, or None.
        tools: the functions that the model may call, each ``module:function``.
        max_turns: the most requests before the model must have answered.
        batch: send the cases as a batch, at half the price and answered within a day.
        served_model: the name of the model in the server's replies, if it is not *model*.
        compared: False if accuracy and format are not compared with those of the baseline.
        api_version: the version of the provider's API, or None for the SDK's default.
        revision: the branch, tag or commit of a checkpoint in the cache of Hugging Face, or None.
        base: the name of the untuned model, or None.
        base_fields: the fields of the base that are not as in this variant, such as its address.
        base_replies: recorded replies of the base to the cases of skills, or None.
        is_proven: True if this process itself holds the tuned model and its base, so that no reply
            needs to show which of them answered.
        extra: what is added to the body of each request, for servers with settings of their own.
        uses: the skill that its runs are to use, or None.
        options: settings of a provider from a plugin; of recorded replies what names them.
        tariff: the price of requests.
        rung: the declared rung of the ladder, or "" to derive it.
        prompt_path: the file of the system prompt, or None.
        checkpoint: the checkpoint that it is, of a declared variant that is several; else None.
    """

    name: str
    line: int
    provider: str
    model: str = ""
    system: str | None = None
    user: str = "{{ input }}"
    shots: tuple[Turn, ...] = ()
    shot_pool: tuple[Shot, ...] = ()
    similar_shots: int = 0
    constrained: bool = False
    schema: Mapping[str, Any] | None = None
    retrieve: Retrieval | None = None
    tools: tuple[str, ...] = ()
    max_turns: int = 8
    batch: bool = False
    served_model: str | None = None
    gated: bool = True
    compared: bool = True
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    api_version: str | None = None
    adapter: Path | None = None
    scale: float = 1.0
    revision: str | None = None
    base: str | None = None
    base_fields: Mapping[str, Any] = field(default_factory=dict)
    base_replies: Path | None = None
    is_proven: bool = False
    training_data: Path | None = None
    max_tokens: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    function: str | None = None
    replies: Path | None = None
    uses: str | None = None
    runtime: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tariff: Tariff = field(default_factory=Tariff)
    rung: str = ""
    prompt_path: Path | None = None
    checkpoint: Checkpoint | None = None

    @property
    def declared_name(self) -> str:
        """The name that the suite file has: that of all checkpoints of a training."""
        return self.checkpoint.of if self.checkpoint else self.name

    @property
    def decides(self) -> bool:
        """True unless it is a checkpoint that is only told of."""
        return self.checkpoint is None or self.checkpoint.decides

    def __repr__(self) -> str:
        # A parameter of tests, which reports such as Allure's show.
        return self.name

    @property
    def tuned(self) -> bool:
        """True if the variant is fine-tuned from a known base."""
        return any(value is not None for value in (self.adapter, self.base, self.base_replies))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRules:
    """The format, the score and the length of replies, unless a case declares its own.

    Attributes:
        thoughts: the marks around a thought; None for the known ones, () if there are none.
    """

    format: tuple[Rule, ...] = ()
    score: Rule
    max_tokens: int = 1024
    thoughts: ThoughtMarks | None = None


#: What people are asked unless the suite says it.
INSTRUCTION = "Is the reply right? Judge by the input alone, not by the wording."


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of a suite, and the labels of replies to them.

    Attributes:
        line: the line of the suite that names them.
        cases: the inputs, each as a case that expects nothing and has no score.
        score: the score of the suite, by which the texts of replies are normalised.
        labels: what people, or a judge, say of replies, in the order of their file.
        labels_path: the file of labels, which need not exist.
        instruction: what people are asked.
        most_labels: the most labels of one draw, declared beforehand; None for all that differ.
    """

    line: int
    cases: tuple[Case, ...]
    score: Rule
    labels: tuple[PairLabel, ...]
    labels_path: Path
    instruction: str = INSTRUCTION
    most_labels: int | None = None

    @property
    def version(self) -> str:
        """The versions of the instruction and of the score; labels of others are stale."""
        return "-".join(digest([part])[:6] for part in (self.instruction, self.score.key))


def input_digest(case: Case) -> str:
    """Return the digest of what *case* asks: equal inputs have the same."""
    return digest([case.input, case.messages, dict(case.vars)])[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One suite file, resolved.

    Attributes:
        path: the suite file.
        name: its path relative to the root directory, with forward slashes.
        repeats: number of replies per case, or None for the number that the gates need.
        written_repeats: *repeats* as it is written: a number, ``auto``, or ``all`` runs of files.
        inputs: inputs without an expected answer, or None if not declared.
        holdout: cases that are requested for the chosen rung only.
        serves: the variant that serves users, or "" if not declared.
        challengers: variants that may now be as good as a fine-tuned one.
        economics: the volume and the costs of variants, or None if not declared.
        local_only: whether the model must run on machines of one's own.
        judges: the models that grade replies.
        files: the files that the suite names, and the links that lead to them.
        globs: the patterns of files that it names, each with the folder that it starts from.
        warnings: what is probably a mistake in its files.
        places: where its keys stand: the file, relative to the root directory, and the line, by
            key, such as ``baseline`` or ``gates.accuracy.max_drop``.
        only_for: the test that alone may use the replies of functions, since it may have patched
            them; "" if every gate may.
        reads_cache: True if that test may use what the cache has.
    """

    path: Path
    name: str
    cases: tuple[Case, ...]
    reply: ReplyRules
    variants: Mapping[str, Variant]
    baseline: str
    gates: Mapping[str, Gate]
    local_only: bool = False
    repeats: int | None = 1
    written_repeats: int | str = 1
    inputs: Inputs | None = None
    holdout: tuple[Case, ...] = ()
    serves: str = ""
    challengers: tuple[str, ...] = ()
    economics: Economics | None = None
    judges: tuple[Judge, ...] = ()
    files: tuple[Path, ...] = ()
    globs: tuple[tuple[Path, str], ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    only_for: str = ""
    reads_cache: bool = True

    @property
    def key(self) -> str:
        """What a run calls the suite's requests and scores: its name, and the only test."""
        return f"{self.name} {self.only_for}".rstrip()

    @property
    def calls_code(self) -> bool:
        """Whether a variant or a judge is a function of the project."""
        sides = chain(self.variants.values(), (judge.variant for judge in self.judges))
        return any(provider_spec(side.provider).calls_code for side in sides)

    def for_test(self, test: str, *, reads_cache: bool) -> Suite:
        """Return the suite with replies of functions that only *test*, a node id, may use.

        Other replies are shared with every gate, so a suite without functions stays as it is.
        """
        return replace(self, only_for=test, reads_cache=reads_cache) if self.calls_code else self

    @property
    def asks_for_advice(self) -> bool:
        """Whether the suite asks what to serve, or what fine-tuning would cost and bring."""
        declares = "ladder" in self.places or self.economics is not None
        return declares or bool(self.serves or self.challengers or self.holdout)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the reply format allows, or () if replies are not labels."""
        return choice_labels(self.reply.format)

    @property
    def holdout_suite(self) -> Suite:
        """This suite with the held-out cases as its cases."""
        return replace(self, name=f"{self.name} (held out)", cases=self.holdout, holdout=())

    @property
    def inputs_suite(self) -> Suite:
        """This suite with its inputs as its cases, under a name of its own."""
        cases = self.inputs.cases if self.inputs else ()
        name = f"{self.name} (inputs)"
        return replace(self, name=name, cases=cases, holdout=(), inputs=None)

    @property
    def accepted_path(self) -> Path:
        """The file of the accepted record, beside the suite."""
        return self._sibling_path(".accepted.json")

    @property
    def replies_path(self) -> Path:
        """The file of committed replies, beside the suite."""
        return self._sibling_path(".replies.jsonl")

    @property
    def case_files(self) -> tuple[Path, ...]:
        """The files that hold the cases: case files, or the suite file itself."""
        root = Path(str(self.path).removesuffix(self.name))
        names = (case.file for case in (*self.cases, *self.holdout))
        return tuple(root / name for name in dict.fromkeys(names))

    @property
    def recorded_reply_files(self) -> tuple[Path, ...]:
        """The reply files of recorded variants."""
        return tuple(variant.replies for variant in self.variants.values() if variant.replies)

    def _sibling_path(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name.removesuffix(".ftgate.yaml") + suffix)

    def gates_for(self, variant: Variant) -> tuple[Gate, ...]:
        """Return the gates that apply to *variant*."""
        if not variant.gated:
            return ()
        return tuple(gate for gate in self.gates.values() if gate.applies_to(variant))
