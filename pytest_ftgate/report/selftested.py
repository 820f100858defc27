"""What a suite's test against itself found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gate.risks import Levels
from pytest_ftgate.gate.selftest import SelfTest
from pytest_ftgate.gate.words import points
from pytest_ftgate.report.tables import grid

__all__ = ["selftest_lines"]


def selftest_lines(
    tested: Sequence[SelfTest], variant: str, repeats: int, levels: Levels
) -> Iterator[str]:
    """Yield the lines.

    Args:
        tested: what was found for each gate.
        variant: whose replies were drawn from.
        repeats: how many replies to each case.
        levels: the risks of one drop check.
    """
    first = tested[0]
    yield f"  {first.pairs:,} pairs of runs, drawn from {repeats} live replies of {variant} to each"
    yield f"  of {first.cases:,} cases; one drop check may fail {levels.alarm:.2%} of them."
    yield ""
    rows = [
        [
            one.gate,
            points(-one.margin),
            *(f"{share:.1%}" for share in (one.discordance, one.passed, one.inconclusive)),
            *(f"{share:.1%}" for share in (one.failed, one.flips)),
            f"{one.needed:,}",
        ]
        for one in tested
    ]
    headers = ["gate", "allowed", "disagree", "passed", "inconclusive", "failed", "flips", "needs"]
    right = range(1, len(headers))
    yield from (f"  {line}" for line in grid(rows, headers, right=right).split("\n"))
    yield ""
    yield "  disagree: cases on which two runs of the same variant differ. flips: how often two"
    yield "  pairs of runs would disagree on passing. needs: cases to pass 9 times in 10."
    for one in tested:
        if one.gate == "forgetting":
            told = ", ".join(f"{skill} in {share:.1%}" for skill, share in one.lost.items())
            yield f"  skills called lost, in the share of pairs: {told or 'none'}."
