"""What variants without gates reach: shown beside the others, and judged by nobody."""

from __future__ import annotations

from pytest_ftgate.gate.faults import forms
from pytest_ftgate.gate.floor import floor
from pytest_ftgate.gate.macro import macro_floor
from pytest_ftgate.gate.rates import labels_of
from pytest_ftgate.gate.risks import Levels
from pytest_ftgate.gate.side import side
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.gate.words import percent
from pytest_ftgate.score.metrics import guesses
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Suite, Variant

__all__ = ["measure", "unmeasured"]


def measure(suite: Suite, gate: RateGate, column: Column) -> Verdict:
    """Return what an ungated variant reaches: shown beside the others, judged by nobody."""
    if gate.metric == "macro_f1":
        check = macro_floor(guesses(column, labels_of(suite)), least=0.0, levels=Levels())
    else:
        check = floor(side(column, gate.kind), least=0.0)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=column.variant,
        outcome=Outcome.PASSED,
        headline=f"{percent(check.after)}",
        gated=False,
        checks=(check,),
        **forms(gate, None, column),
    )


def unmeasured(suite: Suite, variant: Variant, reason: str) -> Verdict:
    """Return why an ungated variant could not be measured: said, and nothing rests on it."""
    return Verdict(
        suite=suite.name,
        line=variant.line,
        gate="measured",
        variant=variant.name,
        outcome=Outcome.INVALID,
        headline=f"could not be asked: {reason}",
        gated=False,
    )
