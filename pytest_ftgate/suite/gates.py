"""Resolve the gates that a suite declares. A gate that can never be evaluated is an error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Literal

from pytest_ftgate import skills
from pytest_ftgate.errors import SuiteError, did_you_mean
from pytest_ftgate.readers.table import Row
from pytest_ftgate.suite.cases import skill_cases, to_cases
from pytest_ftgate.suite.declaration import (
    DeclaredData,
    DeclaredDivergence,
    DeclaredForgetting,
    DeclaredFormatGate,
    DeclaredGates,
    DeclaredLog,
    DeclaredRate,
    DeclaredRepeats,
)
from pytest_ftgate.suite.draft import SuiteDraft, SuiteSource
from pytest_ftgate.suite.gate_kinds import (
    FINDING_KINDS,
    PLAIN_GATES,
    CostGate,
    DataGate,
    DivergenceGate,
    ForgettingGate,
    RateGate,
    compares_skills,
    reads_distributions,
)
from pytest_ftgate.suite.ladder import unpriced_error
from pytest_ftgate.suite.model import Case, Gate, ReplyRules, Variant
from pytest_ftgate.suite.providers import PROVIDERS, provider_spec
from pytest_ftgate.suite.rule import Rule, choice_labels, grades_pairs
from pytest_ftgate.suite.templates import CASE_VARIABLES, PASSAGES, template_variables

#: Where the probability of a label of a reply can be had, and that of a given reply.
_OF_LABELS, _OF_GIVEN = ("full", "given", "own"), ("full", "given")


def margin_errors(cases: Iterable[Case], variants: Mapping[str, Variant]) -> Iterator[str]:
    """Yield why the score ``margin`` cannot be computed."""
    rated = [case for case in cases if case.score.reads_logprobs]
    if not rated:
        return
    if not all(choice_labels(case.format) for case in rated):
        yield "score: margin needs labels; write reply: {format: {choice: [...]}}"
    for variant in variants.values():
        if provider_spec(variant.provider).logprobs not in _OF_LABELS:
            yield (
                f"score: margin reads log-probabilities, and provider {variant.provider} of "
                f"variant {variant.name} gives none; write score: choice, or use "
                f"{_names_with(_OF_LABELS)}"
            )


def divergence_errors(gate: Gate, variants: Iterable[Variant]) -> Iterator[str]:
    """Yield why the distributions of the gated variants cannot be compared with their bases'."""
    for variant in variants:
        if not (variant.gated and reads_distributions(gate) and gate.applies_to(variant)):
            continue
        if provider_spec(variant.provider).logprobs not in _OF_GIVEN:
            yield (
                f"provider {variant.provider} of variant {variant.name} gives no log-probabilities "
                f"of a given reply; use {_names_with(_OF_GIVEN)} (a server such as vLLM), or "
                "remove the gate"
            )
        elif variant.base_replies is not None:
            yield (
                f"the base of {variant.name} is recorded, so its distributions are not known; "
                "remove base_replies, or the gate"
            )


def _names_with(kinds: Collection[str]) -> str:
    names = [f"provider: {name}" for name, spec in PROVIDERS.items() if spec.logprobs in kinds]
    return " or ".join(names)


#: Reads another suite file whose cases form a skill, and returns these cases.
SkillReader = Callable[[Path], tuple[Case, ...]]
_KEY_PATH = ("gates", "forgetting")
#: The set of skills whose prompts show how far a tuned model is from its base.
_DIVERGENCE_SKILLS = "general-small"
#: The variables that every skill case offers to a prompt template.
_SKILL_VARIABLES = frozenset({*CASE_VARIABLES, PASSAGES})


def _add_error(source: SuiteSource, message: str, *keys: str | int) -> None:
    """Add an error at *keys* of the forgetting gate."""
    source.add_error_at((*_KEY_PATH, *keys), f"forgetting: {message}")


class _ForgettingResolver:
    """Resolves the forgetting gate, and adds errors at its keys."""

    def __init__(
        self, source: SuiteSource, declared: DeclaredForgetting, read_skill: SkillReader
    ) -> None:
        self.source, self.declared, self.read_skill = source, declared, read_skill
        self.listed = declared.skills if isinstance(declared.skills, tuple) else (declared.skills,)
        self.names = tuple(name for name in self.listed if isinstance(name, str))
        self.leveled = skills.leveled_families(self.names)
        self.line = source.line(*_KEY_PATH, "skills")

    def add_error(self, message: str, *keys: str | int) -> None:
        _add_error(self.source, message, *keys)

    def gate(self) -> ForgettingGate | None:
        """Return the gate, or None if its skills cannot be read."""
        from pytest_ftgate.suite.skill_levels import reference_cases

        declared, errors_before = self.declared, len(self.source.errors)
        if declared.stop_early and any(isinstance(log, DeclaredLog) for log in self.listed):
            self.add_error(
                "stop_early: a log holds all of its answers, so none is saved; remove stop_early",
                "stop_early",
            )
        bundled, own = self.skill_cases()
        if len(self.source.errors) > errors_before:
            return None
        of_levels = reference_cases(self.leveled)
        cases = (*self.with_must_keep((*bundled, *own)), *of_levels)
        tested, named = _skills_of(cases), _skills_of((*bundled, *of_levels))
        families = self.families(named, _skills_of(own))
        by_family = _skills_by_family(families, tested)
        self.check_keys(tested, by_family)
        return ForgettingGate(
            line=self.source.line(*_KEY_PATH),
            cases=cases,
            leveled=self.leveled,
            families=families,
            margins={key: limit for key, limit in declared.margins.items() if key in tested},
            family_margins={k: limit for k, limit in declared.margins.items() if k in by_family},
            weights=self.weights(by_family),
            **declared.model_dump(include={"max_drop", "each", "max_tokens", "stop_early"}),
            may_lose=tuple(dict.fromkeys(declared.may_lose)),
            under_prompt=declared.under == "prompt",
        )

    # Cases of skills

    def skill_cases(self) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
        """Return the cases of named skills, and those of suites and logs that are used as skills.

        The latter are left out if an id, or the name of a skill, is in use already.
        """
        if not self.listed:
            self.add_error("skills: the list is empty; write skills: general", "skills")
            return (), ()
        bundled = self.bundled_cases(tuple(name for name in self.names if not _is_path(name)))
        own = [case for name in self.names if _is_path(name) for case in self.suite_cases(name)]
        logs = (log for log in self.listed if isinstance(log, DeclaredLog))
        own += [case for log in logs for case in self.log_cases(log)]
        cases_by_id, of_package = dict[str, Case](), _skills_of(bundled)
        for case in own:
            if case.skill in of_package or skills.leveled_family(str(case.skill)) in self.leveled:
                message = f'skill "{case.skill}" of {case.location} has the name of another one'
                self.add_error(f"{message} in use; rename it", "skills")
                return bundled, ()
            if cases_by_id.setdefault(case.id, case) is not case:
                message = f"skills: {case.id} is named by two suites; rename one file"
                self.add_error(message, "skills")
                return bundled, ()
        return bundled, tuple(own)

    def bundled_cases(self, names: tuple[str, ...]) -> tuple[Case, ...]:
        """Return the cases of the named sets and skills, from the package or from plugins."""
        plugin_skills = self.source.plugins.skills
        known = (*skills.set_names(), *skills.skill_names(plugin_skills))
        unknown = [name for name in names if name not in known]
        others = f"; known: {', '.join(known)}, or the path of a suite"
        for name in unknown:
            hint = did_you_mean(name, known) or others
            self.add_error(f'no skill "{name}"{hint}', "skills")
        fixed = tuple(name for name in names if not skills.leveled_families([name]))
        if unknown or not fixed:
            return ()
        try:
            return skill_cases(fixed, tuple(plugin_skills.items()))
        except SuiteError as error:
            self.source.errors.extend(error.errors)
            return ()

    def suite_cases(self, pattern: str) -> Iterator[Case]:
        """Yield the cases of the suites that match *pattern*, with the file name in each id."""
        for path in self.source.find_files(pattern, self.line, "forgetting: skills"):
            if path == self.source.path:
                message = "skills: a suite cannot be a skill of its own; name another"
                self.add_error(message, "skills")
                continue
            stem, errors_before = path.name.removesuffix(".ftgate.yaml"), len(self.source.errors)
            cases = [case for case in self.read_skill(path) if case.is_scorable or case.format]
            for case in cases:
                group, skill = case.group and f"{stem}/{case.group}", case.skill or stem
                id_ = f"{stem}/{case.id}"
                yield replace(case, id=id_, skill=skill, group=group, folder=path.parent)
            if not cases and len(self.source.errors) == errors_before:
                message = f"no case of {self.source.display_path(path)} expects anything"
                self.add_error(f"skills: {message}", "skills")

    def log_cases(self, log: DeclaredLog) -> Iterator[Case]:
        """Yield the cases of a log of another harness, each with the scores that stand in it."""
        from pytest_ftgate.suite.external_cases import log_cases

        path = self.source.find_file(log.path, self.line, "forgetting: skills", folders=True)
        if path is not None:
            found = log_cases(self.source, path, self.line, log.tool)
            rows = (Row(path, row.line, value) for row, value in found)
            reply = ReplyRules(score=Rule("recorded", options={"partial": True}), max_tokens=32)
            for case in to_cases(self.source, rows, reply):
                yield replace(case, group=None)

    def with_must_keep(self, cases: tuple[Case, ...]) -> tuple[Case, ...]:
        """Return *cases* with ``must_keep`` set on those that the gate names."""
        ids, known_ids = self.declared.must_keep, {case.id for case in cases}
        for index, case_id in enumerate(ids):
            if case_id not in known_ids:
                hint = did_you_mean(case_id, known_ids) or "; ids are such as arithmetic-001"
                message = f'must_keep: no skills case has the id "{case_id}"{hint}'
                self.add_error(message, "must_keep", index)
        return tuple(replace(case, must_keep=True) if case.id in ids else case for case in cases)

    # Keys that name skills

    def check_keys(self, tested: Collection[str], by_family: Mapping[str, Sequence[str]]) -> None:
        """Add an error for each key that names an untested skill, and for keys that contradict."""
        lost, weights = self.declared.may_lose, self.weights(by_family)
        for key in ("may_lose", "margins", "weights"):
            of_lost = key == "may_lose"
            known = tested if of_lost else (*tested, *by_family)
            for index, skill in enumerate(getattr(self.declared, key)):
                item_key = index if of_lost else skill
                if skill not in known:
                    hint = did_you_mean(skill, tested) or f"; tested: {', '.join(known)}"
                    self.add_error(f'{key}: no skill "{skill}" is tested{hint}', key, item_key)
                elif not of_lost and skill in lost:
                    message = f"{key}: {skill} may be lost, so this has no effect; remove one"
                    self.add_error(message, key, item_key)
        evaluated = [skill for skill in tested if skill not in lost]
        if tested and not evaluated:
            message = "may_lose: every skill may be lost, so nothing would be evaluated"
            self.add_error(message, "may_lose")
        elif tested and not any(weights.get(skill, 1.0) for skill in evaluated):
            message = "weights: every weight is 0, so there is no mean; leave one above"
            self.add_error(message, "weights")

    def weights(self, by_family: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """Return the weight of each skill that has one of its own, or whose family has."""
        weights = self.declared.weights
        of_families = {
            skill: weight * skills.default_weight(skill)
            for name, weight in weights.items()
            for skill in by_family.get(name, ())
        }
        return of_families | {name: w for name, w in weights.items() if name not in by_family}

    def families(self, bundled: Collection[str], own: Collection[str]) -> dict[str, str]:
        """Return the family of each skill that a family lists, and of each of the team's *own*."""
        tested, listed = {*bundled, *own}, dict[str, str]()
        for family, names in self.declared.families.items():
            for index, skill in enumerate(names):
                message = ""
                if skill not in tested:
                    hint = did_you_mean(skill, tested) or f"; tested: {', '.join((*bundled, *own))}"
                    message = f'no skill "{skill}" is tested{hint}'
                elif listed.setdefault(skill, family) != family:
                    message = f"{skill} is in {listed[skill]} and in {family}; keep one"
                if message:
                    self.add_error(f"families: {message}", "families", family, index)
        families = {skill: skill for skill in own} | listed
        of = {skill: families.get(skill) or skills.family_of(skill) for skill in tested}
        for skill in sorted(tested - listed.keys()):
            if of[skill] == skill and any(of[other] == skill for other in tested - {skill}):
                remedy = f"rename it, or write families: {{{skill}: [{skill}]}} to join it"
                self.add_error(f'skill "{skill}" has the name of a family; {remedy}', "skills")
        return families


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _skills_of(cases: Iterable[Case]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(case.skill) for case in cases))


def _skills_by_family(
    families: Mapping[str, str], tested: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Return the tested skills of each family whose name is not that of a skill."""
    by_family = defaultdict[str, list[str]](list)
    for skill in tested:
        by_family[families.get(skill) or skills.family_of(skill)].append(skill)
    return {name: tuple(of) for name, of in by_family.items() if name not in {*tested}}


def check_gates(
    source: SuiteSource, gates: Mapping[str, Gate], variants: Mapping[str, Variant], baseline: str
) -> None:
    """Add an error for each gate that the variants of the suite cannot be held to."""
    for gate in gates.values():
        if compares_skills(gate) and gate.under_prompt:
            _check_skill_prompts(source, variants.values())
        if gate.own_cases and gate.stop_early:
            _check_early_looks(source, variants.values())
        error = unpriced_error(gate, variants, baseline) if isinstance(gate, CostGate) else ""
        for message in (*filter(None, [error]), *divergence_errors(gate, variants.values())):
            source.add_error(gate.line, f"{gate.kind}: {message}")
    gated = [variant for variant in variants.values() if variant.gated]
    if source.errors:
        return
    if not gated:
        message = "variants: all are gated: false, so nothing would be evaluated"
        source.add_error_at(("variants",), message)
        return
    for gate in gates.values():
        # Such a gate would silently evaluate no variant.
        if not any(gate.applies_to(variant) for variant in gated):
            source.add_error(gate.line, f"{gate.kind}: {gate.no_variant}")


def _check_skill_prompts(source: SuiteSource, variants: Iterable[Variant]) -> None:
    """Add an error for each variant whose prompt cannot be used with skills."""
    for variant in variants:
        if not (variant.tuned and variant.gated):
            continue
        prompt = variant.system
        missing = template_variables(prompt) - _SKILL_VARIABLES if prompt else frozenset()
        if not prompt:
            message = f"variant {variant.name} has no prompt; give it one, or write under: own"
            _add_error(source, f"under: {message}", "under")
        elif variant.base_replies:
            message = f"the base of {variant.name} is recorded, as it answered without a prompt"
            _add_error(source, f"under: {message}; write under: own", "under")
        elif missing:
            message = f"under: the prompt of {variant.name} wants {', '.join(sorted(missing))}"
            message = f"{message}, which skills cases do not have; write under: own"
            _add_error(source, message, "under")


def _check_early_looks(source: SuiteSource, variants: Iterable[Variant]) -> None:
    """Add an error for each variant of which all questions are asked before the first look."""
    for variant in variants:
        if variant.gated and variant.base_replies is not None:
            message = (
                f"stop_early: the base of {variant.name} is recorded, so all questions are asked "
                "to tell it from its base; remove stop_early"
            )
            _add_error(source, message, "stop_early")


#: The keys of gates that say how their limits are held.
_HOW_HELD = ("evidence", "max_cost_per_case")
#: An example of a limit, for each kind of usage gate.
_LIMIT_EXAMPLES = {
    "cost": "max_usd_per_1k: 0.50",
    "latency": "max_p95_ms: 1500",
    "usage": "max_tokens_per_task: 50000",
}


def resolve_gates(suite: SuiteDraft, read_skill: SkillReader) -> Mapping[str, Gate]:
    """Return the gates of a suite by their kind; *read_skill* reads another suite as a skill."""
    source, declared = suite.source, suite.declared.gates
    written, gates = source.document.value["gates"], dict[str, Gate]()
    for kind in ("accuracy", "format"):
        if kind in written:
            gate = _rate_gate(kind, getattr(declared, kind) or DeclaredRate(), source)
            for key, message in (*_rate_gate_errors(gate, suite), *_inputs_errors(gate, suite)):
                source.add_error_at(("gates", kind, key), f"{kind}: {message}")
            gates[kind] = gate
    if suite.declared.inputs is not None and "accuracy" not in written:
        message = "inputs: no gate reads them; write accuracy: {max_drop: 0.03} under gates"
        source.add_error_at(("inputs",), message)
    if "forgetting" in written:
        declared_forgetting = declared.forgetting or DeclaredForgetting()
        forgetting = _ForgettingResolver(source, declared_forgetting, read_skill).gate()
        if forgetting:
            gates["forgetting"] = forgetting
    if "divergence" in written:
        gates["divergence"] = _divergence_gate(source, declared.divergence or DeclaredDivergence())
    gates |= _plain_gates(source, declared)
    _check_success(suite)
    if "data" in written:
        gates["data"] = _data_gate(source, declared.data or DeclaredData())
    if not gates and not source.errors:
        source.add_error_at(("gates",), "gates: none declared; write accuracy: {min: 0.8}")
    return gates


def _check_success(suite: SuiteDraft) -> None:
    """Add an error if the cost of a success is limited, and no reply can be one."""
    cost, cases = suite.declared.gates.cost, suite.cases
    limits = cost is not None and cost.max_usd_per_success is not None
    if limits and cases and not any(case.is_scorable for case in cases):
        message = 'cost: max_usd_per_success: no case has "expected", so no reply is a success'
        suite.source.add_error_at(("gates", "cost", "max_usd_per_success"), message)


def _plain_gates(source: SuiteSource, declared: DeclaredGates) -> dict[str, Gate]:
    """Return the gates that are limits alone. A gate without a limit is an error."""
    written, gates = source.document.value["gates"], dict[str, Gate]()
    for kind, gate_type in PLAIN_GATES.items():
        declared_gate = getattr(declared, kind)
        limits = declared_gate.model_dump() if declared_gate else {}
        line = source.line("gates", kind)
        if any(limit is not None for key, limit in limits.items() if key not in _HOW_HELD):
            gates[kind] = gate_type(line=line, **limits)
        elif kind in written and (declared_gate or not written[kind]):
            example = _LIMIT_EXAMPLES.get(kind, "its limits")
            source.add_error(line, f"{kind}: no limit is declared; write {example}")
    return gates


#: A clip may fall short of its least by this share of it through rounding.
_ROUNDING = 1e-9


def _divergence_gate(source: SuiteSource, declared: DeclaredDivergence) -> DivergenceGate:
    times, message = DivergenceGate.least_clip, ""
    if declared.max_kl is None:
        message = "clip has no effect without a limit; write max_kl: 0.05, or remove it"
    elif (declared.clip or inf) < times * declared.max_kl * (1 - _ROUNDING):
        message = (
            f"clip: {declared.clip:g} is below {times:g} times max_kl, so more than a fifth of the "
            f"replies could diverge without bounds and pass; write {times * declared.max_kl:g} or "
            "more"
        )
    if declared.clip is not None and message:
        source.add_error_at(("gates", "divergence", "clip"), f"divergence: {message}")
    return DivergenceGate(
        line=source.line("gates", "divergence"),
        max_kl=declared.max_kl,
        clip=declared.clip,
        cases=skill_cases((_DIVERGENCE_SKILLS,)) if declared.prompts == "skills" else (),
    )


def _data_gate(source: SuiteSource, declared: DeclaredData) -> DataGate:
    for index, kind in enumerate(declared.ignore):
        if kind not in FINDING_KINDS:
            hint = did_you_mean(kind, FINDING_KINDS) or f"; known: {', '.join(FINDING_KINDS)}"
            key_path = ("gates", "data", "ignore", index)
            source.add_error_at(key_path, f'data: no finding is called "{kind}"{hint}')
    return DataGate(line=source.line("gates", "data"), **declared.model_dump())


def _rate_gate(kind: str, declared: DeclaredRate, source: SuiteSource) -> RateGate:
    keys = declared.model_dump(exclude={"thoughts", "max_change"})
    keys["slices"] = tuple(dict.fromkeys(declared.slices))
    keys |= drop_limit(declared.max_drop)
    keys["claim"] = keys.get("claim") or ""
    if declared.max_change is not None:
        keys |= {"max_drop": declared.max_change, "two_sided": True}
        if declared.max_drop is not None:
            message = f"{kind}: max_change limits a drop as well; remove max_drop"
            source.add_error_at(("gates", kind, "max_drop"), message)
    thoughts = declared.thoughts if isinstance(declared, DeclaredFormatGate) else None
    if thoughts:
        keys |= {f"max_thought_{key[4:]}": limit for key, limit in thoughts}
        if not any(limit for _, limit in thoughts):
            message = f"{kind}: thoughts: no limit is declared; write max_drop: 0.1"
            source.add_error_at(("gates", kind, "thoughts"), message)
    return RateGate(kind=kind, line=source.line("gates", kind), **keys)


def drop_limit(declared: float | Literal["none"] | None) -> dict[str, Any]:
    """Return the fields of a `RateGate` for a declared ``max_drop``."""
    is_off = declared == "none"
    return {"max_drop": None if is_off else declared, "limits_by_default": not is_off}


def unlimited_error(gate: RateGate, *, must_pass: bool = False) -> str:
    """Return what to write in a gate that limits nothing, or "".

    *must_pass* is True if the gate has cases that must pass.
    """
    limits = (gate.min, gate.max_drop, gate.max_thought_drop, gate.max_thought_rise)
    if gate.limits_drop or must_pass or any(limit is not None for limit in limits):
        return ""
    key = gate.uncompared_key
    remedy = f"remove {key}" if not gate.limits_by_default else "max_drop: 0.05"
    message = f"{key} leaves nothing that could fail; write min: 0.8, or {remedy}"
    # A mark has arguments in place of keys.
    return message.replace("none", '"none"').replace(": ", "=") if gate.function else message


def _rate_gate_errors(gate: RateGate, suite: SuiteDraft) -> Iterator[tuple[str, str]]:
    """Yield the key and the message of each error of an accuracy or format gate."""
    cases, score = suite.cases, suite.reply.score
    if gate.kind == "accuracy" and cases and not any(case.is_scorable for case in cases):
        # A runner of agents states what it found, and no answer.
        specs = [provider_spec(one.provider) for one in suite.declared.variants.values()]
        recorded = all(spec.recorded for spec in specs)
        remedy = "; to read the scores of the files write reply: {score: recorded}" * recorded
        yield "", f'no case has "expected"{remedy}'
    if gate.kind == "format" and cases and not any(case.format for case in cases):
        yield "", "the suite declares no reply.format"
    must_pass = gate.reads_grades and any(case.must_pass for case in cases)
    if unlimited := unlimited_error(gate, must_pass=must_pass):
        yield "", unlimited
    is_pairwise = gate.kind == "accuracy" and grades_pairs(score)
    if is_pairwise and gate.min is not None:
        yield "min", "min: a judge with compare gives no rate of its own; write max_drop"
    if is_pairwise and not gate.limits_drop:
        yield "", f"a judge with compare only compares; remove {gate.uncompared_key}"
    yield from _sequential_errors(gate, suite.declared.repeats or 1)
    if gate.metric == "macro_f1":
        yield from _macro_f1_errors(gate, suite)
    yield from _two_sided_errors(gate, suite)
    yield from (("claim", f"claim: these_tasks {why}") for why in _claim_errors(gate, suite))
    if gate.slices and not gate.limits_drop:
        yield "slices", f"slices compare with the baseline, and {gate.uncompared_key} does not"
    for kind in gate.slices:
        if cases and not any(_has_slice(case, kind) for case in cases):
            yield "slices", f"slices: no case has a {kind}; give cases one or remove it"


def _inputs_errors(gate: RateGate, suite: SuiteDraft) -> Iterator[tuple[str, str]]:
    """Yield what does not go with inputs, of which labels say which reply is right."""
    if suite.declared.inputs is None or not gate.is_graded:
        return
    if gate.stop_early or gate.settle:
        key = "stop_early" if gate.stop_early else "settle"
        yield key, f"{key} does not go with inputs, whose labels have looks of their own; remove it"
    if gate.evidence == "point":
        yield "evidence", "evidence: point does not go with inputs, whose labels are a sample"
    if gate.metric == "macro_f1":
        yield "metric", "macro_f1 needs expected answers, which inputs lack; remove inputs"
    kinds = {part.kind for part in suite.reply.score.parts}
    for kind in ("margin", "judge"):
        if kind in kinds:
            yield "", f"score: {kind} does not tell which texts are equal; remove inputs"
    if not gate.limits_drop:
        yield "", f"inputs compare with the baseline, and {gate.uncompared_key} does not"


def _two_sided_errors(gate: RateGate, suite: SuiteDraft) -> Iterator[tuple[str, str]]:
    rules = (suite.reply.score, *(case.score for case in suite.cases))
    is_judged = gate.is_graded and any(part.kind == "judge" for one in rules for part in one.parts)
    what = "macro-F1" if gate.metric == "macro_f1" else "the grades of a judge" * is_judged
    if gate.two_sided and what:
        yield "max_change", f"max_change does not limit {what}; write max_drop: {gate.max_drop:g}"


def _claim_errors(gate: RateGate, suite: SuiteDraft) -> Iterator[str]:
    """Yield what a verdict about these cases alone does not go with."""
    if not gate.claims_these:
        return
    if gate.metric == "macro_f1" or gate.evidence == "point":
        yield f"does not go with {gate.uncompared_key}; remove one"
    if gate.stop_early:
        yield "asks every case; write settle: N in place of stop_early"
    if gate.slices:
        yield "is about these cases, and slices are about others like them; remove slices"
    if len({case.weight for case in suite.cases}) > 1:
        yield "counts each case the same; remove weight from the cases"
    if gate.is_graded and suite.declared.inputs is not None:
        yield "is about these cases, and inputs are about others like them; remove one"
    if any(part.kind == "judge" for part in suite.reply.score.parts):
        yield "takes scores as they are, and those of a judge err; score by a rule"


def _macro_f1_errors(gate: RateGate, suite: SuiteDraft) -> Iterator[tuple[str, str]]:
    if not choice_labels(suite.reply.format):
        yield "metric", "macro_f1 needs labels; write reply: {format: {choice: [...]}}"
    if gate.evidence == "point":
        yield "evidence", "evidence: point does not go with metric: macro_f1; remove one"
    if any(case.weight != 1.0 for case in suite.cases):
        yield "metric", "macro_f1 counts each case the same; remove weight from the cases"
    if suite.declared.repeats not in (None, 1):
        yield "metric", "macro_f1 reads one reply to each case; remove repeats"


def _sequential_errors(
    gate: RateGate, repeats: int | str | DeclaredRepeats
) -> Iterator[tuple[str, str]]:
    repeats = repeats.variants if isinstance(repeats, DeclaredRepeats) else repeats
    keys = [key for key in ("stop_early", "settle") if getattr(gate, key)]
    if len(keys) > 1:
        yield "settle", "stop_early and settle each look several times; keep one of them"
    for key in keys:
        if gate.evidence == "point":
            yield key, f"{key} needs evidence: statistics; a plain threshold has no error to spend"
        if gate.metric == "macro_f1":
            yield key, f"{key} does not go with metric: macro_f1, which is evaluated once"
    if gate.settle and isinstance(repeats, int) and gate.settle <= repeats:
        yield "settle", f"settle: {gate.settle} must be more than repeats: {repeats}"


def _has_slice(case: Case, kind: str) -> bool:
    """Return True if *case* has a value for slices of *kind*."""
    if kind == "label":
        return case.expected is not None
    return bool(case.tags if kind == "tag" else case.language)
