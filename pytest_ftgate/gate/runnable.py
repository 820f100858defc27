"""Which skills can be scored on this machine: code is run only where it can be shut in.

Imports nothing heavy: this runs at collection.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_ftgate.score.sandbox import can_shut_in
from pytest_ftgate.suite.margins import ForgettingGate
from pytest_ftgate.suite.model import Case, Suite

__all__ = ["runnable"]


def runnable(suite: Suite) -> Suite:
    """Return *suite* without the skills cases whose code cannot be shut in here, and say which.

    A set that comes with the package must not keep a whole machine from being used.
    """
    gate = suite.gates.get("forgetting")
    if not isinstance(gate, ForgettingGate) or can_shut_in():
        return suite
    left = tuple(case for case in gate.cases if not _runs_code(case))
    gone = sorted({str(case.skill) for case in gate.cases if _runs_code(case)})
    if not gone or not left:
        return suite
    told = (
        f"left out: {', '.join(gone)}, since the code of a model cannot be shut in on this machine"
    )
    return replace(
        suite, gates={**suite.gates, gate.kind: replace(gate, cases=left, left_out=told)}
    )


def _runs_code(case: Case) -> bool:
    """Tell whether scoring *case* runs code that the author did not set free."""
    return any(r.kind == "code" and "sandbox" not in r.options for r in case.score.parts)
