"""Resolve the gates that a suite declares. A gate that can never be evaluated is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.declaration import (
    DeclaredData,
    DeclaredFormatGate,
    DeclaredGates,
    DeclaredRate,
)
from pytest_ftgate.suite.draft import SuiteDraft, SuiteSource
from pytest_ftgate.suite.gate_kinds import (
    FINDING_KINDS,
    PLAIN_GATES,
    CostGate,
    DataGate,
    RateGate,
    compares_skills,
)
from pytest_ftgate.suite.ladder import unpriced_error
from pytest_ftgate.suite.model import Case, Gate, Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.rule import choice_labels, grades_pairs

if TYPE_CHECKING:
    from pytest_ftgate.suite.forgetting_gate import SkillReader


def check_gates(
    source: SuiteSource, gates: Mapping[str, Gate], variants: Mapping[str, Variant], baseline: str
) -> None:
    """Add an error for each gate that the variants of the suite cannot be held to."""
    for gate in gates.values():
        if compares_skills(gate):
            from pytest_ftgate.suite.forgetting_gate import check_variants

            check_variants(source, gate, variants.values())
        error = unpriced_error(gate, variants, baseline) if isinstance(gate, CostGate) else ""
        if error:
            source.add_error(gate.line, f"{gate.kind}: {error}")
    gated = [variant for variant in variants.values() if variant.gated]
    # What a variant lacks through an error of its own is no mistake of a gate.
    if not variants or source.has_error_in("variants"):
        return
    if not gated:
        message = "variants: all are gated: false, so nothing would be evaluated"
        source.add_error_at(("variants",), message)
        return
    for gate in gates.values():
        # Such a gate would silently evaluate no variant.
        if not any(gate.applies_to(variant) for variant in gated):
            source.add_error(gate.line, f"{gate.kind}: {gate.no_variant}")


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
    written, gates = source.written("gates"), dict[str, Gate]()
    for kind in ("accuracy", "format"):
        if kind in written:
            gate = _rate_gate(kind, getattr(declared, kind) or DeclaredRate(), source)
            for key, message in (*_rate_gate_errors(gate, suite), *_inputs_errors(gate, suite)):
                source.add_error_at(("gates", kind, key), f"{kind}: {message}")
            gates[kind] = gate
    is_read = "accuracy" in written or not written or source.has_error_in("gates")
    if suite.declared.inputs is not None and not is_read:
        message = "inputs: no gate reads them; write accuracy: {max_drop: 0.03} under gates"
        source.add_error_at(("inputs",), message)
    if "forgetting" in written:
        from pytest_ftgate.suite.forgetting_gate import resolve_forgetting

        forgetting = resolve_forgetting(source, declared.forgetting, read_skill)
        gates |= {"forgetting": forgetting} if forgetting else {}
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
    written, gates = source.written("gates"), dict[str, Gate]()
    for kind, gate_type in PLAIN_GATES.items():
        declared_gate = getattr(declared, kind)
        limits = declared_gate.model_dump() if declared_gate else {}
        line = source.line("gates", kind)
        if _has_limit(limits):
            gates[kind] = gate_type(line=line, **limits)
        elif kind in written and not _has_limit(written[kind] or {}):
            example = _LIMIT_EXAMPLES.get(kind, "its limits")
            source.add_error(line, f"{kind}: no limit is declared; write {example}")
    return gates


def _has_limit(keys: object) -> bool:
    """Return True if one of *keys* is a limit, or if they are none and have an error of their own.

    A limit that is written may have one too.
    """
    if not isinstance(keys, Mapping):
        return True
    return any(value is not None for key, value in keys.items() if key not in _HOW_HELD)


def _data_gate(source: SuiteSource, declared: DeclaredData) -> DataGate:
    for index, kind in enumerate(declared.ignore):
        if kind not in FINDING_KINDS:
            hint = did_you_mean(kind, FINDING_KINDS) or f"; known: {', '.join(FINDING_KINDS)}"
            key_path = ("gates", "data", "ignore", index)
            source.add_error_at(key_path, f'data: no finding is called "{kind}"{hint}')
    return DataGate(line=source.line("gates", "data"), **declared.model_dump())


def _rate_gate(kind: str, declared: DeclaredRate, source: SuiteSource) -> RateGate:
    keys = declared.model_dump(exclude={"thoughts"})
    keys["slices"] = tuple(dict.fromkeys(declared.slices))
    keys |= drop_limit(declared.max_drop)
    keys["claim"] = keys.get("claim") or ""
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
    if gate.metric == "balanced_accuracy" and not choice_labels(suite.reply.format):
        yield "metric", "balanced_accuracy needs labels; write reply: {format: {choice: [...]}}"
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
    if gate.metric == "balanced_accuracy":
        yield "metric", "balanced_accuracy needs expected answers, which inputs lack; remove inputs"
    if any(part.kind == "judge" for part in suite.reply.score.parts):
        yield "", "score: judge does not tell which texts are equal; remove inputs"
    if not gate.limits_drop:
        yield "", f"inputs compare with the baseline, and {gate.uncompared_key} does not"


def _claim_errors(gate: RateGate, suite: SuiteDraft) -> Iterator[str]:
    """Yield what a verdict about these cases alone does not go with."""
    if not gate.claims_these:
        return
    if gate.evidence == "point":
        yield f"does not go with {gate.uncompared_key}; remove one"
    if gate.metric == "balanced_accuracy":
        yield "counts each case the same; remove metric: balanced_accuracy"
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


def _sequential_errors(gate: RateGate, repeats: int | str) -> Iterator[tuple[str, str]]:
    keys = [key for key in ("stop_early", "settle") if getattr(gate, key)]
    if len(keys) > 1:
        yield "settle", "stop_early and settle each look several times; keep one of them"
    for key in keys:
        if gate.evidence == "point":
            yield key, f"{key} needs evidence: statistics; a plain threshold has no error to spend"
    if gate.settle and isinstance(repeats, int) and gate.settle <= repeats:
        yield "settle", f"settle: {gate.settle} must be more than repeats: {repeats}"


def _has_slice(case: Case, kind: str) -> bool:
    """Return True if *case* has a value for slices of *kind*."""
    if kind == "label":
        return case.expected is not None
    return bool(case.tags if kind == "tag" else case.language)
