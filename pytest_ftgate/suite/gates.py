"""Declared gates become gates; a gate that cannot be evaluated is an error."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pytest_ftgate import skills
from pytest_ftgate.errors import SuiteFaults, did_you_mean
from pytest_ftgate.readers.yaml import Document, Where
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.declaration import (
    DeclaredAccuracy,
    DeclaredCost,
    DeclaredData,
    DeclaredForgetting,
    DeclaredLatency,
    DeclaredRate,
    DeclaredSuite,
)
from pytest_ftgate.suite.model import (
    FINDINGS,
    Case,
    CostGate,
    DataGate,
    ForgettingGate,
    Gate,
    LatencyGate,
    RateGate,
    ReplyRules,
    Variant,
)
from pytest_ftgate.suite.plugins import SuiteSource
from pytest_ftgate.suite.templates import names

__all__ = ["DEFAULT_DROP", "ReadSkill", "check_prompts", "resolve_forgetting", "resolve_gates"]

#: Reads a suite of the team's own, and returns its cases as they are asked there.
ReadSkill = Callable[[Path], tuple[Case, ...]]
_GATE = ("gates", "forgetting")
#: What a prompt may take from a case that knows nothing of the product.
_OFFERED = frozenset({"input", "id", "tags", "passages"})


class _Place(NamedTuple):
    """The gate in its file."""

    source: SuiteSource
    document: Document

    def line(self, *keys: str | int) -> int:
        where: Where = (*_GATE, *keys)
        return self.document.line(where) or self.document.line(_GATE)

    def say(self, message: str, *keys: str | int) -> None:
        self.source.say(self.line(*keys), f"forgetting: {message}")


def resolve_forgetting(
    source: SuiteSource, document: Document, declared: DeclaredForgetting, read: ReadSkill
) -> ForgettingGate | None:
    """Return the gate, or None where it cannot be judged; what is wrong with it goes to *source*.

    Args:
        source: the suite file.
        document: its content, with lines.
        declared: the gate as it is written.
        read: reads a suite of the team's own.
    """
    place, before = _Place(source, document), len(source.faults)
    cases = _cases(place, declared, read)
    if len(source.faults) > before:
        return None
    cases = _kept(place, cases, declared.must_keep)
    _check_names(place, declared, tuple(dict.fromkeys(str(case.skill) for case in cases)))
    return ForgettingGate(
        line=document.line(_GATE),
        cases=cases,
        max_drop=declared.max_drop,
        each=declared.each,
        margins=declared.margins,
        weights=declared.weights,
        may_lose=tuple(dict.fromkeys(declared.may_lose)),
        prompt=declared.under == "prompt",
    )


# Which cases ------------------------------------------------------------------------------------


def _cases(place: _Place, declared: DeclaredForgetting, read: ReadSkill) -> tuple[Case, ...]:
    wanted = (declared.skills,) if isinstance(declared.skills, str) else declared.skills
    if not wanted:
        place.say("skills: the list is empty; write skills: general", "skills")
        return ()
    paths = [name for name in wanted if _is_path(name)]
    bundled = tuple(name for name in wanted if not _is_path(name))
    own = [case for path in paths for case in _own(place, path, read)]
    return (*_named(place, bundled), *_apart(place, own))


def _named(place: _Place, names: tuple[str, ...]) -> tuple[Case, ...]:
    """Return the cases of sets and skills, of the package or of plugins."""
    more = place.source.plugins.skills
    known = (*skills.SETS, *skills.known(more))
    strange = [one for one in names if one not in known]
    for name in strange:
        near = did_you_mean(name, known)
        near = near or f"; known: {', '.join(known)}, or the path of a suite"
        place.say(f'no skill "{name}"{near}', "skills")
    if strange or not names:
        return ()
    try:
        return skill_cases(names, tuple(more.items()))
    except SuiteFaults as error:
        place.source.faults.extend(error.faults)
        return ()


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _own(place: _Place, pattern: str, read: ReadSkill) -> Iterator[Case]:
    """Yield the cases of the suites that *pattern* names, told apart by their files' names."""
    line, source = place.line("skills"), place.source
    for path in source.files(pattern, line, "forgetting: skills"):
        if path == source.path:
            place.say("skills: a suite cannot be a skill of its own; name another", "skills")
            continue
        stem, before = path.name.removesuffix(".ftgate.yaml"), len(source.faults)
        cases = [case for case in read(path) if case.marked or case.format]
        for case in cases:
            group = f"{stem}/{case.group}" if case.group else None
            skill = case.skill or stem
            yield replace(
                case, id=f"{stem}/{case.id}", skill=skill, group=group, folder=path.parent
            )
        if not cases and len(source.faults) == before:
            place.say(f"skills: no case of {source.name(path)} expects anything", "skills")


def _apart(place: _Place, own: Iterable[Case]) -> tuple[Case, ...]:
    """Return the team's cases; a skill or an id that there is already would be mixed up with it."""
    found: dict[str, Case] = {}
    others = set(skills.known(place.source.plugins.skills))
    for case in own:
        if case.skill in others:
            told = f'skill "{case.skill}" of {case.where} is the name of a bundled one'
            place.say(f"{told}; rename it", "skills")
            return ()
        if case.id in found:
            place.say(f"skills: {case.id} is named by two suites; rename one file", "skills")
            return ()
        found[case.id] = case
    return tuple(found.values())


def _kept(place: _Place, cases: tuple[Case, ...], ids: Sequence[str]) -> tuple[Case, ...]:
    """Mark the cases that may not be lost."""
    known = {case.id for case in cases}
    for index, name in enumerate(ids):
        if name not in known:
            near = did_you_mean(name, known) or "; ids are such as arithmetic-001"
            place.say(f'must_keep: no skills case has the id "{name}"{near}', "must_keep", index)
    return tuple(replace(case, must_keep=True) if case.id in ids else case for case in cases)


# What may be lost -------------------------------------------------------------------------------


def _check_names(place: _Place, declared: DeclaredForgetting, asked: Collection[str]) -> None:
    """Note every skill that a key names and the gate does not ask, and keys that contradict."""
    named: dict[str, Iterable[str]] = {
        "may_lose": declared.may_lose,
        "margins": declared.margins,
        "weights": declared.weights,
    }
    for key, own in named.items():
        for index, skill in enumerate(own):
            at = index if key == "may_lose" else skill
            if skill not in asked:
                near = did_you_mean(skill, asked) or f"; asked: {', '.join(asked)}"
                place.say(f'{key}: no skill "{skill}" is asked{near}', key, at)
            elif key != "may_lose" and skill in declared.may_lose:
                place.say(f"{key}: {skill} may be lost, so nothing holds it; remove one", key, at)
    _check_judged(place, declared, asked)


def _check_judged(place: _Place, declared: DeclaredForgetting, asked: Collection[str]) -> None:
    left = [skill for skill in asked if skill not in declared.may_lose]
    if asked and not left:
        place.say("may_lose: every skill may be lost, so nothing would be judged", "may_lose")
    elif asked and not any(declared.weights.get(skill, 1.0) for skill in left):
        place.say("weights: every weight is 0, so there is no mean; leave one above", "weights")


def check_prompts(
    source: SuiteSource, document: Document, gate: Gate | None, variants: Iterable[Variant]
) -> None:
    """Note the variants under whose prompt skills cannot be asked, where *gate* wants them to."""
    if not (isinstance(gate, ForgettingGate) and gate.prompt):
        return
    place = _Place(source, document)
    for variant in variants:
        if not (variant.tuned and variant.gated):
            continue
        strange = names(variant.system) - _OFFERED if variant.system else frozenset()
        if not variant.system:
            told = f"variant {variant.name} has no prompt; give it one, or write under: own"
            place.say(f"under: {told}", "under")
        elif variant.base_replies:
            told = f"the base of {variant.name} is recorded, as it answered without a prompt"
            place.say(f"under: {told}; write under: own", "under")
        elif strange:
            told = f"the prompt of {variant.name} wants {', '.join(sorted(strange))}"
            place.say(f"under: {told}, which skills cases have not; write under: own", "under")


#: The drop that a gate allows where it names neither a floor nor a drop.
DEFAULT_DROP = {"accuracy": 0.03, "format": 0.02}
#: What a limit on what replies take looks like.
_LIMITS = {"cost": "max_usd_per_1k: 0.50", "latency": "max_p95_ms: 1500"}


def resolve_gates(
    source: SuiteSource,
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


def _spend_gates(
    source: SuiteSource, document: Document, declared: DeclaredSuite
) -> dict[str, Gate]:
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


def _data_gate(source: SuiteSource, document: Document, declared: DeclaredData) -> DataGate:
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
