"""The way back: where what is meant to serve fails, the last accepted variant that still passes."""

from __future__ import annotations

from dataclasses import replace

from pytest_ftgate.advise.evidence import AcceptedRun, Evidence
from pytest_ftgate.advise.parts import Rollback
from pytest_ftgate.gate.verdict import Outcome, Verdict

__all__ = ["rollback"]

_BAD = (Outcome.FAILED, Outcome.INVALID)


def rollback(evidence: Evidence) -> Rollback | None:
    """Return what to serve instead of a variant that fails, or None where it does not fail.

    Of what was accepted before, newest first, the first variant counts whose gates all pass now;
    one that the suite no longer has cannot be judged, and is named where no other passes.
    """
    serves = evidence.suite.serves
    failed = tuple(v.gate for v in _gates(evidence, serves) if v.outcome in _BAD)
    if not failed:
        return None
    gone: Rollback | None = None
    for run in evidence.history:
        for variant in _accepted(run):
            if variant == serves:
                continue
            found = _back(serves, failed, variant, run)
            if variant not in evidence.suite.variants:
                gone = gone or replace(found, in_suite=False)
            elif _passes(evidence, variant):
                return found
    return gone or Rollback(failing=serves, gates=failed, variant="")


def _gates(evidence: Evidence, variant: str) -> list[Verdict]:
    return [v for v in evidence.verdicts if v.variant == variant and v.gated]


def _passes(evidence: Evidence, variant: str) -> bool:
    gates = _gates(evidence, variant)
    return bool(gates) and all(v.outcome is Outcome.PASSED for v in gates)


def _accepted(run: AcceptedRun) -> list[str]:
    """Return the variants of a record whose gates all passed, the one that was to serve first."""
    gated = [v for v in run.verdicts if v.gated]
    bad = {v.variant for v in gated if v.outcome is not Outcome.PASSED}
    passed = dict.fromkeys(v.variant for v in gated if v.variant not in bad)
    return sorted(passed, key=lambda name: name != run.serves)


def _back(failing: str, gates: tuple[str, ...], variant: str, run: AcceptedRun) -> Rollback:
    return Rollback(
        failing=failing, gates=gates, variant=variant, commit=run.commit, at=run.at, by=run.by
    )
