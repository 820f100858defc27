"""What each kind of gate declares, as frozen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeGuard

from pytest_ftgate import skills
from pytest_ftgate.suite.declaration import DeclaredData
from pytest_ftgate.suite.model import Case, Gate, Suite, Variant

#: The kinds of findings in training data, in the order of reports.
FINDING_KINDS = (
    *("broken", "size", "secret", "leak", "near leak", "conflict", "format", "missing label"),
    *("roles", "truncated", "doubtful label", "duplicate", "near duplicate", "balance"),
    *("unverified", "facts", "personal", "thought"),
)


#: The claim about the cases of a suite themselves.
THESE_TASKS = "these_tasks"
CLAIMS = (THESE_TASKS, "tasks_like_these")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateGate(Gate):
    """The accuracy or the format gate.

    Attributes:
        kind: ``accuracy`` or ``format``.
        metric: ``accuracy``, or ``balanced_accuracy``: each expected label weighs the same.
        evidence: ``statistics``, or ``point`` for plain thresholds on observed values.
        slices: kinds of slices to report: ``tag``, ``label``, ``language``.
        claim: ``these_tasks`` if the cases are all that the verdict is about, and their repeated
            replies are the sample; "" or ``tasks_like_these`` if the cases are the sample.
        limits_by_default: False if ``max_drop: none`` switches the comparison off.
        max_thought_drop: the largest allowed drop of the share of replies with a thought, or None.
        max_thought_rise: the largest allowed rise of the length of a thought, as a share of it, or
            None.
    """

    limits_by_default: bool = True
    claim: str = ""
    metric: str = "accuracy"
    evidence: str = "statistics"
    max_thought_drop: float | None = None
    max_thought_rise: float | None = None
    limit_keys: ClassVar[tuple[str, ...]] = (
        *("min", "max_drop", "claim", "evidence", "metric", "slices", "max_thought_drop"),
        "max_thought_rise",
    )

    @property
    def name(self) -> str:
        """The marked test function, or the kind."""
        return self.function or self.kind

    @property
    def claims_these(self) -> bool:
        """True if the verdict is about these cases alone, and not about others like them."""
        return self.claim == THESE_TASKS

    @property
    def reads_grades(self) -> bool:
        """True for the accuracy gate."""
        return self.kind == "accuracy"

    @property
    def is_graded(self) -> bool:
        """True if the suite's scorers, its judges among them, grade the contents of replies."""
        return self.reads_grades and not self.function

    @property
    def may_read_inputs(self) -> bool:
        """True if inputs without an expected answer can take part in its comparison."""
        return self.is_graded and self.metric == "accuracy" and self.limits_drop

    @property
    def reads_inputs(self) -> bool:
        """True if inputs without an expected answer take part in its comparison."""
        return self.may_read_inputs and self.max_drop is not None

    @property
    def limits_drop(self) -> bool:
        """True if the gate declares a drop, or limits what its cases can show."""
        return self.max_drop is not None or not self.uncompared_key

    @property
    def uncompared_key(self) -> str:
        """The key for which the gate limits no drop unless it declares one, or ""."""
        if not self.limits_by_default:
            return "max_drop: none"
        return "evidence: point" if self.evidence == "point" else ""

    @property
    def has_comparison(self) -> bool:
        """True if the gate limits a drop, or compares the thoughts with those of the baseline."""
        return {self.max_drop, self.max_thought_drop, self.max_thought_rise} != {None}

    @property
    def reads_record(self) -> bool:
        """True if the gate limits a drop, also against accepted results."""
        return self.max_drop is not None

    def compares(self, variant: Variant) -> bool:
        """Return True if the gate compares, and *variant* is meant to be compared."""
        return self.has_comparison and variant.compared

    def evaluated_cases(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """Return the cases with something expected, or with a format."""
        return tuple(
            case
            for case in cases
            if case.weight > 0 and (case.is_scorable if self.reads_grades else case.format)
        )

    def case_weights(self, cases: Sequence[Case]) -> tuple[float, ...]:
        """Return the weight of each case; balanced, each expected label weighs the same."""
        is_balanced = self.metric == "balanced_accuracy"
        return balanced_weights(cases) if is_balanced else tuple(case.weight for case in cases)

    @property
    def sample(self) -> str:
        """The name of the samples that the gate rates; see *samples_from_scores*."""
        return "balanced" if self.metric == "balanced_accuracy" else self.kind

    def drop_checks(self, compared: int) -> int:
        """Return the checks against earlier results, and one of all slices."""
        thoughts = int(self.max_thought_drop is not None and compared > 0)
        if self.max_drop is None:
            return thoughts
        # A plain threshold has no alarm level.
        tested = 0 if self.evidence == "point" else self.checks_in_build(compared)
        return tested + bool(self.slices) + thoughts

    def checks_in_build(self, compared: int) -> int:
        """Return the checks against earlier results; parts block only if a drop is shown."""
        return compared if self.limits_drop else 0


def balanced_weights(cases: Sequence[Case]) -> tuple[float, ...]:
    """Return weights, of mean 1, with which each expected label weighs the same.

    Within a label the weights of its cases stay in proportion.
    """
    labels = [str(case.answers[:1]) for case in cases]
    sums = dict.fromkeys(labels, 0.0)
    for label, case in zip(labels, cases, strict=True):
        sums[label] += case.weight
    share = len(cases) / max(len(sums), 1)
    return tuple(share * one.weight / sums[name] for name, one in zip(labels, cases, strict=True))


#: From this many cases on, a family of skills is tested separately.
MIN_FAMILY_CASES = 120
#: A part of the skill cases: ``family`` or ``skill``, and its name.
SkillPart = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingGate(Gate):
    """The gate that limits how much general skill a fine-tuned variant may lose.

    Attributes:
        cases: the cases of all skills; of families with levels those of one level, which stand for
            those that the base chooses.
        leveled: the families with levels.
        max_drop: the largest allowed drop of the mean over the skills, a share; None until it is
            computed from what the cases can show.
        each: the largest allowed drop of every single skill, a share, or None.
        margins: the same for single skills, instead of *each*.
        family_margins: the same for families.
        weights: the weight of skills in the mean; 1 where not given.
        families: the family of skills, where it is not that of the bundled skill of this name.
        may_lose: skills that are reported and not evaluated.
        under_prompt: evaluate the skills under the variant's system prompt as well.
        max_tokens: the longest reply to every skill case, a thought included; None for the limit of
            each case, with room to think for a model that thinks.
        stop_early: request a third of the cases first, and no others if the variant has failed.
        excluded_skills: the skills whose code cannot be sandboxed on this machine.
    """

    kind: str = "forgetting"
    cases: tuple[Case, ...] = ()
    no_variant: ClassVar[str] = "no gated variant is tuned; give one an adapter or a base"
    leveled: tuple[str, ...] = ()
    each: float | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    family_margins: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    families: Mapping[str, str] = field(default_factory=dict)
    may_lose: tuple[str, ...] = ()
    under_prompt: bool = False
    max_tokens: int | None = None
    excluded_skills: tuple[str, ...] = ()
    limit_keys: ClassVar[tuple[str, ...]] = ("max_drop", "each", "may_lose")

    @property
    def own_cases(self) -> tuple[Case, ...]:
        """The cases of skills, in place of the suite's."""
        return self.cases

    def applies_to(self, variant: Variant) -> bool:
        """Return True if *variant* has a base to compare with."""
        return variant.tuned

    @property
    def prompt_modes(self) -> tuple[str, ...]:
        """How skill cases are prompted."""
        return ("", "prompt") if self.under_prompt else ("",)

    def compares(self, variant: Variant) -> bool:  # noqa: ARG002
        """Return True: a variant is compared with its base."""
        return True

    def evaluated_cases(self, cases: Sequence[Case]) -> tuple[Case, ...]:  # noqa: ARG002
        """Return the skill cases that can change the verdict."""
        return tuple(case for case in self.cases if self.weight(str(case.skill)) > 0)

    def case_weights(self, cases: Sequence[Case]) -> tuple[float, ...]:
        """Return the weight of each skill case: its share of the weight of its skill."""
        sizes = Counter(str(case.skill) for case in cases)
        return tuple(self.weight(str(case.skill)) / sizes[str(case.skill)] for case in cases)

    def drop_checks(self, compared: int) -> int:  # noqa: ARG002 - it compares with the base only
        """Return the checks in each prompt mode: of the mean, and one of all tested parts."""
        sizes = Counter(str(case.skill) for case in self.cases)
        return (1 + bool(self.tested_parts(sizes))) * len(self.prompt_modes)

    def checks_in_build(self, compared: int) -> int:
        """Return the drop checks."""
        return self.drop_checks(compared)

    def family_of(self, skill: str) -> str:
        """Return the family of *skill*."""
        return self.families.get(skill) or skills.family_of(skill)

    @property
    def limits(self) -> Mapping[str, float | str]:
        """What the gate allows, by key; the limit of a part by its name."""
        parts = {**self.margins, **self.family_margins}
        of_parts = {f"margin of {name}": limit for name, limit in parts.items()}
        under = {"under": "prompt"} if self.under_prompt else {}
        # With slots the class is made anew, which super() alone does not find.
        return {**super(ForgettingGate, self).limits, **of_parts, **under}

    def exam_weight(self, case: Case) -> float:
        """Return the weight of the skill of *case*."""
        return self.weight(str(case.skill))

    def evaluated_families(self, skill_names: Iterable[str]) -> dict[str, list[str]]:
        """Return the skills of *skill_names* that can change the verdict, by family."""
        by_family: dict[str, list[str]] = {}
        for skill in filter(self.evaluates, skill_names):
            by_family.setdefault(self.family_of(skill), []).append(skill)
        return by_family

    def tested_parts(self, sizes: Mapping[str, int]) -> set[SkillPart]:
        """Return the parts that are tested by themselves, given the number of cases by skill.

        These are the skills and families with a limit of their own, and the families of
        *MIN_FAMILY_CASES* cases or more. A single family is tested as the mean, and a family of one
        skill with a limit as this skill.
        """
        families = self.evaluated_families(sizes)
        return {
            (kind, name)
            for kind, name in self.named_parts(sizes)
            if kind == "skill"
            or name in self.family_margins
            or sum(sizes[skill] for skill in families[name]) >= MIN_FAMILY_CASES
        }

    def named_parts(self, skill_names: Collection[str]) -> set[SkillPart]:
        """Return the parts that are named if they fall, of any number of cases.

        These are the skills with a limit of their own, and the families. A single family without a
        limit is the mean, and a family of one skill with a limit is this skill.
        """
        own = {skill for skill in skill_names if self.required_margin(skill) is not None}
        families = self.evaluated_families(skill_names)
        named = {
            family
            for family, members in families.items()
            if len(families) > 1 and not (len(members) == 1 and own.issuperset(members))
        }
        named |= families.keys() & self.family_margins.keys()
        return {("skill", skill) for skill in own} | {("family", family) for family in named}

    def evaluates(self, skill: str) -> bool:
        """Return True if a drop of *skill* can change the verdict."""
        return skill not in self.may_lose

    def required_margin(self, skill: str) -> float | None:
        """Return the largest allowed drop of *skill* alone, or None."""
        return self.margins.get(skill, self.each) if self.evaluates(skill) else None

    def required_part_margin(self, part: SkillPart) -> float | None:
        """Return the largest allowed drop of a skill or family alone, or None."""
        kind, name = part
        return self.required_margin(name) if kind == "skill" else self.family_margins.get(name)

    def weight(self, skill: str) -> float:
        """Return the weight of *skill* in the mean."""
        weight = self.weights.get(skill, skills.default_weight(skill))
        return weight if self.evaluates(skill) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostGate(Gate):
    """The gate that limits the cost of requests.

    Attributes:
        max_usd_per_1k: the most USD per thousand requests, or None.
        max_usd_per_success: the most USD for a success, failures paid as well, or None.
        max_cost_per_case: the most USD that one case can cost, or None if ``max_tokens`` says it.
        evidence: ``statistics``, or ``point`` for plain thresholds on observed values.
    """

    kind: str = "cost"
    max_usd_per_1k: float | None = None
    max_usd_per_success: float | None = None
    max_cost_per_case: float | None = None
    evidence: str = "statistics"
    # The most of a case is a fact, as a price is: what was seen above it is an error.
    limit_keys: ClassVar[tuple[str, ...]] = (
        *("max_usd_per_1k", "max_usd_per_success", "max_rise", "evidence"),
    )

    @property
    def reads_prices(self) -> bool:
        """True if the price of requests is limited, and not only that of a success."""
        return self.max_usd_per_1k is not None or self.max_usd_per_success is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyGate(Gate):
    """The gate that limits the latency of replies.

    Attributes:
        max_p50_ms, max_p95_ms: the largest allowed median and 95th percentile, in milliseconds,
            or None.
    """

    kind: str = "latency"
    max_p50_ms: float | None = None
    max_p95_ms: float | None = None
    limit_keys: ClassVar[tuple[str, ...]] = ("max_p50_ms", "max_p95_ms", "max_rise")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageGate(Gate):
    """The gate that limits what a run of an agent takes, on average over the tasks.

    Attributes:
        max_tokens_per_task, max_seconds_per_task, max_tool_calls_per_task: the largest allowed
            means, or None.
        max_rise: limits the rise of each of them that has a limit; of all three if none has one.
        evidence: ``statistics``, or ``point`` for plain thresholds on observed values.
    """

    kind: str = "usage"
    max_tokens_per_task: float | None = None
    max_seconds_per_task: float | None = None
    max_tool_calls_per_task: float | None = None
    evidence: str = "statistics"
    limit_keys: ClassVar[tuple[str, ...]] = (
        *("max_tokens_per_task", "max_seconds_per_task", "max_tool_calls_per_task"),
        *("max_rise", "evidence"),
    )


#: The kinds that are declared by their limits alone; a module of ``gates`` of this name has KIND.
PLAIN_GATES: Mapping[str, Callable[..., Gate]] = {
    "cost": CostGate,
    "latency": LatencyGate,
    "usage": UsageGate,
}

#: The limits of a gate on training data that declares none.
_DATA = DeclaredData()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataGate(Gate):
    """The gate on the training data of a variant; it sends no request.

    Attributes:
        min_rows: fewer rows fail.
        context: the most tokens of a row, or None for the model's context length.
        ignore: kinds of findings to ignore.
    """

    kind: str = "data"
    line: int = 0
    min_rows: int = _DATA.min_rows
    context: int | None = None
    ignore: tuple[str, ...] = ()
    no_variant: ClassVar[str] = "no gated variant has training_data; name the file it was tuned on"
    limit_keys: ClassVar[tuple[str, ...]] = ("min_rows", "ignore")

    def applies_to(self, variant: Variant) -> bool:
        """Return True if *variant* has a training file."""
        return variant.training_data is not None


def is_rate(gate: Gate) -> TypeGuard[RateGate]:
    """Return True if *gate* limits the share of right replies, or of valid ones."""
    return isinstance(gate, RateGate)


def claims_these_tasks(suite: Suite) -> bool:
    """Return True if the accuracy gate is about the tasks of *suite* alone: so are all amounts."""
    gate = suite.gates.get("accuracy")
    return gate is not None and is_rate(gate) and gate.claims_these


def compares_skills(gate: Gate) -> TypeGuard[ForgettingGate]:
    """Return True if *gate* compares the skills of a tuned variant with those of its base."""
    return isinstance(gate, ForgettingGate)


def reads_contents(gate: Gate) -> bool:
    """Return True if *gate* rests on what replies say, and not on what they cost or took."""
    return not isinstance(gate, CostGate | LatencyGate | UsageGate | DataGate)


def scores_content(gate: Gate) -> bool:
    """Return True if *gate* evaluates content scores, of the suite's cases or of skills."""
    return compares_skills(gate) or (is_rate(gate) and gate.reads_grades)


def skills_gate(suite: Suite) -> ForgettingGate | None:
    """Return the gate whose cases test skills, or None."""
    return next((gate for gate in suite.gates.values() if isinstance(gate, ForgettingGate)), None)


def data_gate(suite: Suite) -> DataGate | None:
    """Return the gate on training data, or None."""
    return next((gate for gate in suite.gates.values() if isinstance(gate, DataGate)), None)
