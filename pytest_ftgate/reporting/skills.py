"""The results of a forgetting gate: families of skills, single skills, and the kinds of loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_ftgate.gates.verdict import Check, Retention, Slice, Verdict
from pytest_ftgate.reporting.number_text import change_size, percent, points, quantity, share_change
from pytest_ftgate.reporting.tables import TextTable, drift_rows, slice_cells, table_lines
from pytest_ftgate.reporting.text import fit_parts
from pytest_ftgate.suite.gate_kinds import MIN_FAMILY_CASES

_STATE_LABELS = {"uninformative": "nothing to lose", "allowed": "may be lost"}
#: A difficulty or language with fewer cases is not shown.
_MIN_SLICE_CASES = 10
#: The drifts of replies that a line below the table describes.
_DESCRIBED = ("length", "refusals", "hedging")
#: The columns of *skill_table*; "keeps" is the share of the base's ability that is left.
_HEADERS = (
    *("family · skill", "before", "after", "change (95 % CI)", "n"),
    *("regressed", "fixed", "keeps", "verdict"),
)


#: A result over all skills: its head, and a list of items.
_Detail = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SkillResults:
    """The results of a forgetting gate under one prompt.

    Attributes:
        under: the prompt under which skills were tested; "" for none.
        parts: each family with its skills after it; a family of one skill is one part.
        details: results over all skills.
    """

    under: str
    parts: tuple[Slice, ...]
    details: tuple[_Detail, ...] = ()

    @property
    def members(self) -> tuple[Slice, ...]:
        """The skills that stand below their family."""
        families = {part.name for part in self.parts if part.kind == "family"}
        return tuple(
            part for part in self.parts if part.family in families and part.state != "allowed"
        )

    @property
    def evaluated(self) -> tuple[Slice, ...]:
        """The parts that are not below another one, without the skills that may be lost."""
        members = self.members
        return tuple(part for part in self.parts if part.state != "allowed" and part not in members)

    @property
    def untested(self) -> tuple[Slice, ...]:
        """Those of several evaluated parts that are too small for a test of their own."""
        parts = self.evaluated
        return tuple(part for part in parts if not part.gated and len(parts) > 1)


def skill_results_by_prompt(verdict: Verdict) -> Iterator[SkillResults]:
    """Yield the results of a forgetting gate for each prompt that skills were tested under."""
    for check in verdict.checks:
        slices = [part for part in verdict.slices if part.under == check.under]
        parts = tuple(_ordered_parts(slices))
        if not parts:
            continue
        results = SkillResults(check.under, parts)
        yield replace(results, details=tuple(_details(verdict, check, results)))


def _details(verdict: Verdict, check: Check, results: SkillResults) -> Iterator[_Detail]:
    names = tuple(part.name for part in results.untested)
    if results.untested == results.evaluated:
        yield f"only the mean is gated; a family is gated from {MIN_FAMILY_CASES} cases on", ()
    elif names:
        yield f"tested only as a part of the mean, with under {MIN_FAMILY_CASES} cases", names
    if check.retention is not None:
        yield f"keeps {_retention_text(check.retention)} of the base's right answers", ()
    if check.transfer is not None and points(check.transfer) != points(check.change or 0.0):
        yield f"backward transfer: {change_size(check.transfer)}, each skill counting the same", ()
    for kind in ("difficulty", "language"):
        changes = tuple(
            f"{part.name}: {share_change(part.before, part.after)}"
            for part in verdict.slices
            if (part.kind, part.under) == (kind, check.under) and part.n >= _MIN_SLICE_CASES
        )
        if changes:
            yield f"by {kind}", changes
    kinds = [kind for kind in verdict.loss_kinds if kind.under == check.under]
    if kinds:
        head = quantity(sum(kind.cases for kind in kinds), "regressed answer")
        yield head, tuple(f"{kind.cases} {kind.kind}" for kind in kinds)


def _ordered_parts(slices: Sequence[Slice]) -> Iterator[Slice]:
    """Yield each family with its skills after it, and then the skills that may be lost."""
    skills = [part for part in slices if part.kind == "skill"]
    for family in (part for part in slices if part.kind == "family"):
        members = [skill for skill in skills if skill.family == family.name]
        evaluated = [skill for skill in members if skill.state != "allowed"]
        if len(evaluated) > 1:
            yield family
            yield from evaluated
        else:
            yield from [family] if family.gated else evaluated
    yield from (skill for skill in skills if skill.state == "allowed")


def skill_table(results: SkillResults) -> TextTable:
    """Return a row for each family and each skill, with verdicts if any part has one."""
    rows = _rows(results)
    columns = len(_HEADERS) - (not any(row[-1] for row in rows))
    return TextTable(_HEADERS[:columns], [row[:columns] for row in rows], range(1, 8))


def _rows(results: SkillResults) -> list[list[str]]:
    """Return a row for each family and each skill, with a cell for each of *_HEADERS*."""
    return [
        [
            *(name, *slice_cells(part)[1:], str(part.regressed), str(part.fixed)),
            *(_retention_text(part.retention), _state_text(part)),
        ]
        for part, name in zip(results.parts, part_names(results), strict=True)
    ]


def part_names(results: SkillResults) -> list[str]:
    """Return the names of the parts, with a mark before a skill below its family."""
    members = results.members
    return [f"· {part.name}" if part in members else part.name for part in results.parts]


def skill_lines(verdict: Verdict, verbosity: int) -> Iterator[str]:
    """Yield the families in a table; with -v each skill has a row, and the details follow."""
    for results in skill_results_by_prompt(verdict):
        yield ""
        if results.under:
            yield "  under the prompt of the product:"
        members = [part for part in results.members if not part.gated]
        hidden = [] if verbosity > 0 else members
        yield from _part_table(results, hidden)
        if verbosity > 0:
            for head, items in results.details:
                yield from _list_lines(head, items)
    if verbosity <= 0:
        return
    # What has a message stands in a note.
    quiet = [drift for drift in verdict.drifts if drift.what in _DESCRIBED and not drift.message]
    drifts = [
        f"{what} {before} → {now}" for what, before, now, _ in drift_rows(quiet) if before != now
    ]
    if drifts:
        yield from _list_lines("described only, not gated", drifts)


def _part_table(results: SkillResults, hidden: Sequence[Slice]) -> Iterator[str]:
    """Yield a row for each part that is not *hidden*, with a verdict if any of them has one.

    One column holds the rates before and after, and another the cases, so that a line has 80
    columns.
    """
    shown = [
        (part, row)
        for part, row in zip(results.parts, _rows(results), strict=True)
        if part not in hidden
    ]
    has_families = any(part.kind == "family" for part, _ in shown)
    has_verdicts = any(row[-1] for _, row in shown)
    headers = ["family" if has_families else "skill", "right", "change (95 % CI)"]
    headers += ["lost", "keeps", *["verdict"] * has_verdicts]
    rows = [
        [
            *(row[0], share_change(part.before, part.after), row[3]),
            *(f"{part.regressed}/{part.n}", _kept_share(part), *row[-1:] * has_verdicts),
        ]
        for part, row in shown
    ]
    yield from table_lines(TextTable(headers, rows, (1, 2, 3, 4)))


def _kept_share(part: Slice) -> str:
    return "–" if part.retention is None else percent(part.retention.share)


def _state_text(part: Slice) -> str:
    if not part.gated and part.state != "allowed":
        return ""
    return _STATE_LABELS.get(part.state, part.state)


def _retention_text(retention: Retention | None) -> str:
    if retention is None:
        return "–"
    high = "…" if retention.high is None else f"{retention.high * 100:.0f}"
    return f"{percent(retention.share)} ({retention.low * 100:.0f} to {high})"


def _list_lines(head: str, items: Sequence[str]) -> list[str]:
    """Return *head*, and *items* after it, in lines of a terminal's width."""
    commas = [f"{item}," for item in items[:-1]]
    return fit_parts([f"  {head}:" if items else f"  {head}", *commas, *items[-1:]], gap=" ")
