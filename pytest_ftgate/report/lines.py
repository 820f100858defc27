"""The two sentences that every face of a report begins with: the verdict, and what it took."""

from __future__ import annotations

from pytest_ftgate.gate.verdict import Outcome
from pytest_ftgate.gate.words import clock, counted
from pytest_ftgate.record.run import Report
from pytest_ftgate.report.billed import bill_phrase

__all__ = ["asked_line", "gates_line"]


def gates_line(report: Report) -> str:
    """Return ``1 failed of 6 gates``, or ``6 gates`` where all passed."""
    told = [
        f"{count} {name}"
        for count, name in (
            (report.count(Outcome.FAILED), "failed"),
            (report.count(Outcome.INVALID), "invalid"),
            (len(report.unjudged), "could not be judged"),
            (report.count(Outcome.INCONCLUSIVE), "inconclusive"),
        )
        if count
    ]
    gates = counted(len(report.judged) + len(report.unjudged), "gate")
    return f"{', '.join(told)} of {gates}" if told else gates


def asked_line(report: Report) -> str:
    """Return how many replies were used and asked, how long that took, and what it cost."""
    asking, money = report.asking, bill_phrase(report.bill)
    took = f" in {clock(asking.seconds)}" if asking.asked else ""
    spared = f", {asking.spared:,} spared by stopping early" if asking.spared else ""
    told = f"{asking.used:,} replies, {asking.asked:,} asked{took}{spared}"
    return f"{told} · {money}" if money else told
