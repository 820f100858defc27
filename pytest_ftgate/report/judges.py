"""What a judge was found to be worth, as a reader of its verdicts sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_ftgate.gate.examined import Examined, Figure
from pytest_ftgate.gate.verdict import Verdict
from pytest_ftgate.report.quote import visible
from pytest_ftgate.report.tables import around, grid

__all__ = ["JUDGE_HEADERS", "Examination", "examinations", "judge_lines"]

#: Of a table on a judge.
JUDGE_HEADERS = ("against people", "found", "95 %", "labels", "floor")


@dataclass(frozen=True, slots=True)
class Examination:
    """What people found of one judge: rows under *JUDGE_HEADERS*, none where nobody looked."""

    title: str
    rows: tuple[tuple[str, ...], ...]

    @property
    def missing(self) -> str:
        """What to do where nobody looked; "" where people did."""
        told = "never examined: human: labels.jsonl would hold it against people"
        return "" if self.rows else told


def examinations(verdict: Verdict) -> Iterator[Examination]:
    """Yield what people found of each judge that graded the replies of a verdict."""
    for one in verdict.judges:
        rows = (tuple(row) for row in _rows(one) if row[1]) if one.labels else ()
        yield Examination(f"judge {one.judge} ({one.provider}): {one.rubric}", tuple(rows))


def judge_lines(verdict: Verdict) -> Iterator[str]:
    """Yield the same in lines."""
    for one in examinations(verdict):
        yield ""
        yield f"  {visible(one.title)}"[:80].rstrip()
        if one.missing:
            yield f"    {one.missing}"
            continue
        table = grid(one.rows, JUDGE_HEADERS, right=(1, 3, 4))
        yield from (f"    {line}".rstrip() for line in table.split("\n"))


def _rows(one: Examined) -> Iterator[list[str]]:
    shares = {
        "agreement": one.agreement,
        "finds good replies (sensitivity)": one.sensitivity,
        "finds bad replies (specificity)": one.specificity,
        "the same in both orders": one.consistency,
        "two samples say the same": one.repeats,
    }
    kappa = one.kappa
    if kappa:
        ends = f"({kappa.low:.2f} to {kappa.high:.2f})"
        yield ["Cohen's kappa", f"{kappa.value:.2f}", ends, str(kappa.n), _floor(one, "kappa")]
    for name, figure in shares.items():
        yield [name, *_share(figure), _floor(one, _KEYS.get(name, name))]
    if one.unread:
        yield ["gave no grade", str(one.unread), "", str(one.labels), ""]


_KEYS = {
    "finds good replies (sensitivity)": "sensitivity",
    "finds bad replies (specificity)": "specificity",
    "the same in both orders": "consistency",
}


def _share(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["", "", ""]
    return [
        f"{figure.value:.0%}".replace("%", " %"),
        around(figure.low, figure.high),
        str(figure.n),
    ]


def _floor(one: Examined, name: str) -> str:
    floor = one.floor.get(name)
    return "" if floor is None else f"{floor:.2f}"
