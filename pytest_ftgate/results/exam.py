"""The exam: what decides the gates of a suite. A record keeps the one that was accepted.

Verdicts compare with accepted results on the cases that both have. So without the accepted exam, a
case that fails could leave the suite, or lose its weight, and nothing would say so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import getsourcefile, unwrap
from pathlib import Path
from typing import NamedTuple

from pytest_ftgate.gates.design import MAX_MISSING_SHARE
from pytest_ftgate.gates.statements import ExamChange, ExamLoss, LossOfExam, LostCases
from pytest_ftgate.suite.function_references import source_files
from pytest_ftgate.suite.gate_kinds import THESE_TASKS, compares_skills, is_rate
from pytest_ftgate.suite.model import Case, Gate, Suite, digest
from pytest_ftgate.suite.rule import PYTHON_KINDS, Rule
from pytest_ftgate.weights import file_sha256

#: The table of the suite's own cases; skills and marked functions have one by their gate.
_SUITE = "suite"
#: The key of the replies to each case among the limits of a gate.
_REPEATS = "repeats"
#: The key of the marks around thoughts among the limits of a gate.
_THOUGHTS = "reply.thoughts"
#: The most cases that a change names.
_MAX_NAMED = 5


class ExamCase(NamedTuple):
    """What one case decides.

    Attributes:
        digest: a digest of the case and of how it is scored.
        parts: its tags and its language, where gates look at such slices.
    """

    digest: str
    weight: float = 1.0
    group: str | None = None
    must_pass: bool = False
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateExam:
    """What one gate decides by.

    Attributes:
        limits: what the gate declares, see *Gate.limits*.
        variants: the gated variants.
        baseline: the variant that others are compared with.
        uncompared: the variants that are not compared with it.
        cases: the name of its table of cases.
        reads_record: True if the gate compares with accepted results.
    """

    limits: Mapping[str, float | str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    baseline: str = ""
    uncompared: tuple[str, ...] = ()
    cases: str = _SUITE
    reads_record: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What decides the gates of a suite, or the marked functions of a module.

    Attributes:
        gates: by their name.
        cases: tables of cases, by id.
    """

    gates: Mapping[str, GateExam] = field(default_factory=dict)
    cases: Mapping[str, Mapping[str, ExamCase]] = field(default_factory=dict)

    def without(
        self, *, gates: frozenset[str] = frozenset(), cases: frozenset[str] = frozenset()
    ) -> Exam:
        """Return the exam without some gates, or without some cases."""
        tables = {
            name: {key: case for key, case in table.items() if key not in cases}
            for name, table in self.cases.items()
        }
        left = {name: gate for name, gate in self.gates.items() if name not in gates}
        return Exam(gates=left, cases=tables)

    def of_gates(self, names: Iterable[str]) -> Exam:
        """Return the exam of some gates, with their tables."""
        gates = {name: self.gates[name] for name in names if name in self.gates}
        tables = {gate.cases: self.cases.get(gate.cases, {}) for gate in gates.values()}
        return Exam(gates=gates, cases=tables)


def merge_exams(parts: Iterable[Exam]) -> Exam:
    """Return one exam of several, as those of the gates of a suite."""
    gates, tables = dict[str, GateExam](), dict[str, Mapping[str, ExamCase]]()
    for part in parts:
        gates |= part.gates
        tables |= part.cases
    return Exam(gates=gates, cases=tables)


def exam_of(suite: Suite) -> Exam:
    """Return what decides the gates of *suite* today."""
    gates, tables = dict[str, GateExam](), dict[str, Mapping[str, ExamCase]]()
    variants = {variant.declared_name: variant for variant in suite.variants.values()}
    uncompared = tuple(name for name, variant in variants.items() if not variant.compared)
    for gate in suite.gates.values():
        table = gate.name if gate.function or gate.own_cases else _SUITE
        found = {**gate.limits, **_judge_limits(suite, gate), **_repeats_of(suite, gate)}
        found |= _thoughts_of(suite, gate)
        gates[gate.name] = GateExam(
            limits={k: float(v) if isinstance(v, int) else v for k, v in found.items()},
            variants=tuple(name for name, v in variants.items() if gate in suite.gates_for(v)),
            baseline=suite.baseline,
            uncompared=uncompared,
            cases=table,
            reads_record=gate.reads_record,
        )
        if table not in tables:
            tables[table] = dict(_exam_cases(suite, gate))
    return Exam(gates=gates, cases=tables)


def _repeats_of(suite: Suite, gate: Gate) -> dict[str, float | str]:
    """Return how many replies to each case decide, unless it is one or is not known to be."""
    is_read = is_rate(gate) and not gate.own_cases and suite.written_repeats != 1
    return {_REPEATS: suite.written_repeats} if is_read else {}


def _thoughts_of(suite: Suite, gate: Gate) -> dict[str, float | str]:
    """Return the marks around thoughts, which are cut off before scoring, if the suite sets them.

    ``false`` if there are none.
    """
    marks = suite.reply.thoughts if is_rate(gate) or compares_skills(gate) else None
    if marks is None:
        return {}
    return {_THOUGHTS: ", ".join("…".join(pair) for pair in marks) or "false"}


def _judge_limits(suite: Suite, gate: Gate) -> dict[str, float | str]:
    """Return what the judges of *suite* must reach before *gate* reads their grades."""
    judges = suite.judges if is_rate(gate) and gate.is_graded else ()
    limits: dict[str, float | str] = {
        f"judge {key}": value for judge in judges for key, value in judge.minimum.items()
    }
    labels = sum(len(judge.labels) for judge in judges)
    return limits | {"judge labels": labels} if labels else limits


def _exam_cases(suite: Suite, gate: Gate) -> Iterator[tuple[str, ExamCase]]:
    kinds = {kind for one in suite.gates.values() for kind in one.slices}
    for case in gate.own_cases or suite.cases:
        parts = (*(case.tags if "tag" in kinds else ()),)
        parts += (case.language,) if "language" in kinds and case.language else ()
        scored, must_pass = case_digest(case, suite.path.parent), case.must_pass or case.must_keep
        yield case.id, ExamCase(scored, gate.exam_weight(case), case.group, must_pass, parts)


def case_digest(case: Case, folder: Path) -> str:
    """Return a digest of a case and of how it is scored, including the code of its functions.

    Functions of the suite are searched in *folder* first.
    """
    rules = [part.checked for rule in (case.score, *case.format) for part in rule.parts]
    loaded = [str(rule.value) for rule in rules if rule.kind in PYTHON_KINDS]
    code = [file_sha256(file) for name in loaded for file in source_files(name, folder)]
    code += [file_sha256(file) for rule in rules for file in _plugin_function_file(rule)]
    return digest([case.digest, code])[:16] if code else case.digest


def _plugin_function_file(rule: Rule) -> tuple[Path, ...]:
    """Return the source file of a plugin's function, without the modules that it imports."""
    if rule.function is None:
        return ()
    function = rule.function.func if isinstance(rule.function, partial) else rule.function
    try:
        file = getsourcefile(unwrap(function))
    except TypeError:
        return ()
    return (Path(file),) if file else ()


# Changes ------------------------------------------------------------------------------------------


def compare_exams(
    before: Exam, now: Exam, gate: str, variant: str, right: Mapping[str, float | None]
) -> ExamChange:
    """Return how the exam of *gate* about *variant* has changed.

    *right* are the accepted scores of the variant by case, 0 to 1.
    """
    accepted, losses = before.gates.get(gate), [*_suite_losses(before, now)]
    is_new = all(variant not in one.variants for one in before.gates.values())
    if accepted is None:
        return ExamChange(losses=tuple(losses), is_new=is_new)
    then = before.cases.get(accepted.cases, {})
    cases = now.cases.get(now.gates[gate].cases, {})
    came = [key for key, case in cases.items() if key not in then and case.weight > 0]
    losses += _gate_losses(accepted, now.gates[gate], variant)
    losses += [
        ExamLoss(LossOfExam.MUST_PASS, key)
        for key, case in then.items()
        if case.must_pass and key in cases and not cases[key].must_pass
    ]
    lost = tuple(
        LostCases(kind, len(keys), _count_right(keys, right), tuple(keys[:_MAX_NAMED]))
        for kind, keys in _lost_cases(then, cases).items()
    )
    return ExamChange(
        accepted=len(then),
        lost=lost,
        came=len(came),
        came_ids=tuple(came[:_MAX_NAMED]),
        losses=tuple(losses),
        is_new=is_new,
    )


def _lost_cases(
    before: Mapping[str, ExamCase], now: Mapping[str, ExamCase]
) -> dict[str, list[str]]:
    """Return the cases that no longer decide what they did, by what became of them."""
    lost: dict[str, list[str]] = {"gone": [], "without weight": [], "changed": []}
    for key, case in before.items():
        if case.weight <= 0:
            continue
        today = now.get(key)
        if today is None:
            lost["gone"].append(key)
        elif today.weight <= 0:
            lost["without weight"].append(key)
        elif today._replace(must_pass=False) != case._replace(must_pass=False):
            lost["changed"].append(key)
    return {kind: keys for kind, keys in lost.items() if keys}


def with_unscored(
    change: ExamChange, before: Exam, now: Exam, gate: str, scored: Collection[str]
) -> ExamChange:
    """Return *change* with the cases that had no reply when the run was accepted, if there are any.

    Nothing compares them with a result, as if they had left. *scored* are those with a reply.
    """
    accepted = before.gates.get(gate)
    if accepted is None or not accepted.reads_record or not scored:
        return change
    then, cases = before.cases.get(accepted.cases, {}), now.cases.get(now.gates[gate].cases, {})
    counted = {key: case for key, case in then.items() if case.weight > 0 and key not in scored}
    keys = [key for key, case in counted.items() if cases.get(key) == case]
    if not keys:
        return change
    few, named = len(keys) <= MAX_MISSING_SHARE * len(then), tuple(keys[:_MAX_NAMED])
    found = LostCases("without a reply", len(keys), None, named, is_tolerated=few)
    return replace(change, lost=(*change.lost, found))


def _count_right(keys: Iterable[str], right: Mapping[str, float | None]) -> int | None:
    known = [score for key in keys if (score := right.get(key)) is not None]
    return round(sum(known)) if known else None


def _suite_losses(before: Exam, now: Exam) -> Iterator[ExamLoss]:
    """Yield the gates and variants that no longer decide anything."""
    for name, gate in before.gates.items():
        if name not in now.gates:
            yield ExamLoss(LossOfExam.GATE, name)
            continue
        for variant in gate.variants:
            if variant not in now.gates[name].variants:
                yield ExamLoss(LossOfExam.VARIANT, f"{name}[{variant}]")


def _gate_losses(before: GateExam, now: GateExam, variant: str) -> Iterator[ExamLoss]:
    """Yield what a gate about *variant* no longer compares, and its loosened limits."""
    if before.baseline != now.baseline:
        yield ExamLoss(LossOfExam.BASELINE, "baseline", before.baseline, now.baseline)
    if variant in now.uncompared and variant not in before.uncompared:
        yield ExamLoss(LossOfExam.COMPARED, variant)
    for key in dict.fromkeys((*before.limits, *now.limits)):
        limits = before.limits.get(key), now.limits.get(key)
        if key == _REPEATS:
            yield from _fewer_repeats(*limits)
        elif key == _THOUGHTS:
            yield from _other_thoughts(*limits)
        elif _is_loosened(key, *limits):
            then, today = ("none" if limit is None else limit for limit in limits)
            yield ExamLoss(LossOfExam.LIMIT, key, then, today)


def _fewer_repeats(before: float | str | None, now: float | str | None) -> Iterator[ExamLoss]:
    """Yield that fewer replies to each case decide, as far as numbers are written."""
    today = 1.0 if now is None else now
    if isinstance(before, float) and isinstance(today, float) and today < before:
        yield ExamLoss(LossOfExam.REPEATS, _REPEATS, before, today)


def _other_thoughts(before: float | str | None, now: float | str | None) -> Iterator[ExamLoss]:
    """Yield that other marks are cut off with what they enclose."""
    if now != before:
        values = (limit or "default" for limit in (before, now))
        yield ExamLoss(LossOfExam.THOUGHTS, _THOUGHTS, *values)


#: Limits that are stricter the larger they are.
_AT_LEAST = ("min", "min_rows", "judge ")
#: Lists that let more pass the longer they are.
_EXCUSES = ("may_lose", "ignore")
#: The values of keys that let more pass than any other value.
_LOOSE = {"evidence": "point", "claim": THESE_TASKS}


def _is_loosened(key: str, before: float | str | None, now: float | str | None) -> bool:
    """Return True if a limit lets more pass than *before*; None is no limit."""
    then, today = ({*str(limit).split(", ")} if limit else set() for limit in (before, now))
    if key in _EXCUSES:
        return not today <= then
    if key == "slices":
        return not then <= today
    if key in _LOOSE:
        return now == _LOOSE[key] != before
    if before is None or now is None:
        # Earlier records have the share of near duplicates, which is a constant now.
        return before is not None and key != "near"
    if isinstance(before, str) or isinstance(now, str):
        return before != now
    return now < before if key.startswith(_AT_LEAST) else now > before
