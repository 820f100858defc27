"""The gate on training data: it asks nothing, and no error may be left."""

from __future__ import annotations

from dataclasses import replace

from pytest_ftgate.gate.data.doubles import Leaks, leaks_in
from pytest_ftgate.gate.data.examine import examine, read
from pytest_ftgate.gate.data.finding import Finding, Severity, Yardstick
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.gate.words import counted
from pytest_ftgate.suite.margins import DataGate
from pytest_ftgate.suite.model import Suite, Variant

__all__ = ["judge_data", "leaked", "summed_up", "yardstick_of"]

#: So many lines and cases of a finding travel with a verdict; it counts all.
_CARRIED = 200
#: The context of a slot of llama.cpp, where a variant does not say.
_SLOT = 2048


def judge_data(suite: Suite, gate: DataGate, variant: Variant) -> Verdict:
    """Judge the training data of *variant*: it passes where nothing found is an error."""
    if variant.training_data is None:
        raise ValueError(f"{variant.name} has no training data")
    data = read(variant.training_data)
    found = examine(data, yardstick_of(suite, gate, variant))
    failed = any(one.severity is Severity.ERROR for one in found)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=variant.name,
        outcome=Outcome.FAILED if failed else Outcome.PASSED,
        headline=f"{variant.training_data.name}: {summed_up(found)} in "
        f"{counted(len(data.items), 'row')}",
        findings=tuple(_carried(one) for one in found),
        next=tuple(dict.fromkeys(one.next for one in found if _stops(one) and one.next)),
    )


def _stops(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR


def summed_up(found: tuple[Finding, ...]) -> str:
    """Return how many findings of each severity there are, in words."""
    told = [
        counted(number, str(severity))
        for severity in Severity
        if (number := sum(one.severity is severity for one in found))
    ]
    return ", ".join(told) or "nothing found"


def _carried(finding: Finding) -> Finding:
    lines, cases = finding.lines[:_CARRIED], finding.cases[:_CARRIED]
    return replace(finding, lines=lines, cases=cases)


def yardstick_of(suite: Suite, gate: DataGate, variant: Variant) -> Yardstick:
    """Return what the training data of *variant* is held to."""
    slot = variant.runtime.get("context", _SLOT) if variant.provider == "llamacpp" else None
    return Yardstick(
        cases=(*suite.cases, *suite.holdout),
        format=suite.reply.format,
        folder=suite.path.parent,
        min_rows=gate.min_rows,
        want_rows=gate.want_rows,
        near=gate.near,
        balance=gate.balance,
        context=gate.context or slot,
        ignore=gate.ignore,
    )


def leaked(suite: Suite, variant: Variant) -> Leaks:
    """Return the cases of *suite* that *variant* was trained on; none without a gate on data."""
    gate = suite.gates.get("data")
    if variant.training_data is None or not isinstance(gate, DataGate):
        return Leaks({}, {})
    return leaks_in(read(variant.training_data).items, suite.cases, gate.near)
