"""From the declared gates to those that judge, with what could not be judged ruled out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.declared import (
    DeclaredAccuracy,
    DeclaredCost,
    DeclaredForgetting,
    DeclaredLatency,
    DeclaredRate,
    DeclaredSuite,
)
from pytest_ftgate.suite.forgetting import ReadSkill, resolve_forgetting
from pytest_ftgate.suite.ladder_keys import DeclaredData
from pytest_ftgate.suite.margins import FINDINGS, CostGate, DataGate, Gate, LatencyGate, RateGate
from pytest_ftgate.suite.model import Case, ReplyRules
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Document

__all__ = ["DEFAULT_DROP", "resolve_gates"]

#: The drop that a gate allows where it names neither a floor nor a drop.
DEFAULT_DROP = {"accuracy": 0.03, "format": 0.02}
#: What a limit on what replies take looks like.
_LIMITS = {"cost": "max_usd_per_1k: 0.50", "latency": "max_p95_ms: 1500"}


def resolve_gates(
    source: Source,
    document: Document,
    declared: DeclaredSuite,
    cases: tuple[Case, ...],
    reply: ReplyRules,
    read: ReadSkill,
) -> Mapping[str, Gate]:
    """Return the gates by their kind; what is wrong with them goes into *source*.

    Args:
        source: the suite file.
        document: its content, with lines.
        declared: its content, validated.
        cases: its cases.
        reply: its rules for replies.
        read: reads another suite whose cases are a skill.
    """
    written, gates = document.value["gates"], dict[str, Gate]()
    for kind in ("accuracy", "format"):
        rate: DeclaredRate | None = getattr(declared.gates, kind)
        if rate is None and kind in written:
            rate = DeclaredRate()
        if rate is None:
            continue
        gates[kind] = gate = _rate_gate(kind, rate, document)
        for key, problem in _problems(gate, declared, cases, reply):
            source.say(document.line(("gates", kind, key)) or gate.line, f"{kind}: {problem}")
    if "forgetting" in written:
        wanted = declared.gates.forgetting or DeclaredForgetting()
        forgetting = resolve_forgetting(source, document, wanted, read)
        if forgetting:
            gates["forgetting"] = forgetting
    gates |= _spend_gates(source, document, declared)
    if "data" in written:
        gates["data"] = _data_gate(source, document, declared.gates.data or DeclaredData())
    if not gates and not source.faults:
        source.say(document.line(("gates",)), "gates: none declared; write accuracy: {min: 0.8}")
    return gates


def _spend_gates(source: Source, document: Document, declared: DeclaredSuite) -> dict[str, Gate]:
    """Return the gates on what replies take; one without a limit is noted."""
    written, gates = document.value["gates"], dict[str, Gate]()
    made: dict[str, type[CostGate | LatencyGate]] = {"cost": CostGate, "latency": LatencyGate}
    for kind, gate in made.items():
        own: DeclaredCost | DeclaredLatency | None = getattr(declared.gates, kind)
        limits = own.model_dump() if own else {}
        line = document.line(("gates", kind))
        if any(limit is not None for limit in limits.values()):
            gates[kind] = gate(line=line, **limits)
        elif kind in written and not written[kind]:
            source.say(line, f"{kind}: no limit is declared; write {_LIMITS[kind]}")
    return gates


def _data_gate(source: Source, document: Document, declared: DeclaredData) -> DataGate:
    for index, kind in enumerate(declared.ignore):
        if kind not in FINDINGS:
            near = did_you_mean(kind, FINDINGS) or f"; known: {', '.join(FINDINGS)}"
            line = document.line(("gates", "data", "ignore", index))
            source.say(line, f'data: no finding is called "{kind}"{near}')
    return DataGate(line=document.line(("gates", "data")), **declared.model_dump())


def _rate_gate(kind: str, declared: DeclaredRate, document: Document) -> RateGate:
    neither = declared.min is None and declared.max_drop is None
    return RateGate(
        kind=kind,
        line=document.line(("gates", kind)),
        min=declared.min,
        max_drop=DEFAULT_DROP[kind] if neither else declared.max_drop,
        metric=declared.metric if isinstance(declared, DeclaredAccuracy) else "accuracy",
        evidence=declared.evidence,
        slices=tuple(dict.fromkeys(declared.slices)),
        stop_early=declared.stop_early,
        settle=declared.settle,
    )


def _problems(
    gate: RateGate, declared: DeclaredSuite, cases: tuple[Case, ...], reply: ReplyRules
) -> Iterator[tuple[str, str]]:
    """Yield the key of the gate and what is wrong with it."""
    if gate.kind == "accuracy" and cases and not any(case.marked for case in cases):
        yield "", 'no case has "expected"'
    if gate.kind == "format" and cases and not any(case.format for case in cases):
        yield "", "the suite declares no reply.format to hold to"
    compares = reply.score.kind == "judge" and reply.score.options.get("compare")
    if gate.kind == "accuracy" and compares and gate.min is not None:
        yield "min", "min: a judge that compares knows no rate of its own; write max_drop"
    yield from _sequential_problems(gate, declared)
    if gate.metric == "macro_f1":
        yield from _macro_problems(gate, declared, cases, reply)
    if gate.slices and gate.max_drop is None:
        yield "slices", "slices compare with the baseline; add max_drop:"
    for kind in gate.slices:
        if cases and not any(_has(case, kind) for case in cases):
            yield "slices", f"slices: no case has a {kind}; give cases one or remove it"


def _macro_problems(
    gate: RateGate, declared: DeclaredSuite, cases: tuple[Case, ...], reply: ReplyRules
) -> Iterator[tuple[str, str]]:
    if not any(rule.kind == "choice" for rule in reply.format):
        yield "metric", "macro_f1 needs labels; write reply: {format: {choice: [...]}}"
    if gate.evidence == "point":
        yield "evidence", "evidence: point does not go with metric: macro_f1; remove one"
    if any(case.weight != 1.0 for case in cases):
        yield "metric", "macro_f1 counts each case the same; remove weight from the cases"
    if declared.repeats != 1:
        yield "metric", "macro_f1 reads one reply to each case; remove repeats"


def _sequential_problems(gate: RateGate, declared: DeclaredSuite) -> Iterator[tuple[str, str]]:
    looks = [key for key in ("stop_early", "settle") if getattr(gate, key)]
    if len(looks) > 1:
        yield "settle", "stop_early and settle each look several times; keep one of them"
    for key in looks:
        if gate.evidence == "point":
            yield key, f"{key} needs evidence: statistics; a plain threshold has no error to spend"
        if gate.metric == "macro_f1":
            yield key, f"{key} does not go with metric: macro_f1, which is judged once"
    if gate.settle and isinstance(declared.repeats, int) and gate.settle <= declared.repeats:
        yield "settle", f"settle: {gate.settle} must be more than repeats: {declared.repeats}"


def _has(case: Case, kind: str) -> bool:
    if kind == "label":
        return case.expected is not None
    return bool(case.tags if kind == "tag" else case.language)
