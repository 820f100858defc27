"""Table rows and summary lines shared by all reports: verdicts, costs, gate counts."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from pytest_ftgate.client.budget import JUDGE_LABEL, CostReport
from pytest_ftgate.gates.verdict import (
    Check,
    CheckKind,
    Drift,
    FormatErrorShare,
    Outcome,
    ShownChange,
    Slice,
    Verdict,
)
from pytest_ftgate.recommend.advice import Gain
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.number_text import (
    amount,
    digits_beside,
    first_names,
    level,
    level_span,
    percent,
    quantity,
    short_change,
    unsigned_points,
    usd,
    with_more,
)
from pytest_ftgate.reporting.phrases import change_span, decimals, limit, size
from pytest_ftgate.reporting.text import (
    cell_count,
    escape_controls,
    line_width,
    quote_following_lines,
    shorten,
)
from pytest_ftgate.results.builder import duration
from pytest_ftgate.results.run import (
    FailedTest,
    FileChange,
    FileChanges,
    NotEvaluated,
    Report,
    node_id,
    node_name,
)
from pytest_ftgate.scoring.score import LabelMetrics
from pytest_ftgate.suite.prices import INSTALL_PRICES

#: Stands before the cells of a row whose first cell has a line of its own.
_INSET = "  "
#: The most gates that a report names if one reason kept them all from being evaluated.
_MAX_NAMES = 3
#: The most columns of the name of a file: a commit with longer ones must not fill a comment.
_MAX_NAME = 150
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
#: Keeps the place of a name; it has no width, and is escaped in cells.
_PLACE = "\N{ZERO WIDTH SPACE}"
_BRACKETS = re.compile(r"\(.*?\)")
_OUTCOME_ORDER = (Outcome.FAILED, Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.PASSED)


def outcome_label(verdict: Verdict) -> str:
    """Return the outcome as printed; a blocking outcome is in capitals, readable without colour."""
    if not verdict.gated:
        return "not gated"
    passed = verdict.outcome is Outcome.PASSED
    return verdict.outcome if passed else verdict.outcome.upper()


class TextTable(NamedTuple):
    """A table of texts, with the indices of its right-aligned columns."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    right_columns: Sequence[int] = ()


def column_alignment(table: TextTable) -> list[str]:
    """Return where each column of *table* is aligned: ``left`` or ``right``."""
    columns = range(len(table.headers))
    return ["right" if column in table.right_columns else "left" for column in columns]


def format_table(
    rows: Sequence[Sequence[str]], headers: Sequence[str], right_columns: Sequence[int] = ()
) -> str:
    """Return *rows* as text, in columns of their own width."""
    return "\n".join(table_lines(TextTable(headers, rows, right_columns), 0, wraps=False))


def table_lines(table: TextTable, indent: int = 2, *, wraps: bool = True) -> list[str]:
    """Return the lines of *table* for a terminal, indented by *indent* columns.

    Cells that are aligned right are never wrapped. Others are wrapped between words, if the table
    *wraps*, where a line would be longer than the terminal's. If that is not enough, the first
    cell of each row stands in a line of its own: no name is broken.
    """
    rows, alignment, room = _text_rows(table), column_alignment(table), line_width() - indent
    lines = _wrap_rows(rows, alignment, room) if wraps else _draw(rows, alignment)
    if wraps and max(map(cell_count, lines)) > room:
        names, place = (row[0] for row in rows), [_PLACE, *[""] * (len(alignment) - 2)]
        rest = [cells for row in rows for cells in (place, row[1:])]
        lines = _wrap_rows(rest, alignment[1:], room - len(_INSET))
        lines = [next(names) if _PLACE in line else f"{_INSET}{line}" for line in lines]
    return [f"{' ' * indent}{line}".rstrip() for line in lines]


def _text_rows(table: TextTable) -> list[list[str]]:
    """Return the headers and the rows of *table* without controls; intervals are not wrapped."""
    return [
        [_BRACKETS.sub(_keep_whole, escape_controls(cell).replace("\n", " ")) for cell in row]
        for row in (table.headers, *table.rows)
    ]


def _keep_whole(match: re.Match[str]) -> str:
    return match[0].replace(" ", _NO_BREAK_SPACE)


def _wrap_rows(rows: Sequence[Sequence[str]], alignment: Sequence[str], room: int) -> list[str]:
    """Return the lines of *rows*, with cells wrapped as little as fits *room* columns."""
    widest = bisect_right(
        range(1, room + 1),
        room,
        key=lambda width: max(map(cell_count, _draw(rows, alignment, width))),
    )
    return _draw(rows, alignment, max(widest, 1))


def _draw(
    rows: Sequence[Sequence[str]], alignment: Sequence[str], width: int | None = None
) -> list[str]:
    """Return *rows* in columns, with the cells at left wrapped between words to *width*."""
    from tabulate import tabulate

    text = tabulate(
        rows,
        tablefmt="plain",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=alignment,
        maxcolwidths=[width if side == "left" else None for side in alignment],
        break_long_words=False,
        break_on_hyphens=False,
    )
    return text.replace(_NO_BREAK_SPACE, " ").split("\n")


class Column(NamedTuple):
    """A column of the table of verdicts; every medium that shows one iterates over VERDICT_COLUMNS.

    Attributes:
        key: its name in a page, where a column has a style of its own.
        cell: returns its text for a verdict.
        is_right: whether it is aligned right.
        short_cell: returns a shorter text where a line has no room; by default *cell*.
    """

    key: str
    header: str
    cell: Callable[[Verdict], str]
    is_right: bool = False
    short_cell: Callable[[Verdict], str] | None = None


def verdict_table(
    verdicts: Iterable[Verdict], *, leave_out: Collection[str] = (), short: bool = False
) -> TextTable:
    """Return the table of *verdicts*, those that block first.

    *leave_out* are the keys of columns that are not shown. *short* uses short cells: ``≥ 80 %`` for
    ``min 80 %``, and ``5`` for ``limit 5``.
    """
    columns = [column for column in VERDICT_COLUMNS if column.key not in leave_out]
    cells = [(column.short_cell if short else None) or column.cell for column in columns]
    rows = [[cell(verdict) for cell in cells] for verdict in rank_verdicts(verdicts)]
    right = [index for index, column in enumerate(columns) if column.is_right]
    return TextTable([column.header for column in columns], rows, right)


def source_link(report: Report, verdict: Verdict) -> str:
    """Return the address of a gate in its suite at the commit of the run, or ""."""
    source = report.facts.get("source", "")
    return f"{source}/{quote(verdict.suite)}#L{verdict.line}" if source else ""


#: Where replies come from, by the mode of a run.
_SOURCES = {"auto": "the cache, then requests", "fresh": "requests", "recorded": "the cache"}


def published_facts(report: Report) -> dict[str, str]:
    """Return the facts of a run in words; a report may be published, so none names a person."""
    facts = {name: fact for name, fact in report.facts.items() if name != "run by"}
    mode = facts.get("replies", "")
    return facts | ({"replies": f"from {_SOURCES[mode]}"} if mode in _SOURCES else {})


def rank_verdicts(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return *verdicts*, the worst first, and those of ungated variants last.

    Every report names the same gate first: by outcome, then by how far it is beyond its limit. The
    gates of a variant that is not what it claims to be are one, since they have one reason.
    """
    return sorted(
        _without_repeated_reasons(verdicts),
        key=lambda v: (
            *(not v.gated, _OUTCOME_ORDER.index(v.outcome), -_shortfall(v)),
            *(v.suite, v.variant, v.line, v.gate),
        ),
    )


def blocking_verdicts(report: Report) -> list[Verdict]:
    """Return the gates that did not pass, the worst first."""
    ranked = rank_verdicts(report.gated_verdicts)
    return [verdict for verdict in ranked if verdict.outcome is not Outcome.PASSED]


def _without_repeated_reasons(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Yield *verdicts*, with the gates of each invalid variant as one that has all their names."""
    invalid: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.outcome is Outcome.INVALID and verdict.gated:
            file = node_id(verdict).partition("::")[0]
            invalid[file, verdict.variant, headline(verdict)].append(verdict)
        else:
            yield verdict
    for first, *others in invalid.values():
        gates = ", ".join(verdict.gate for verdict in (first, *others))
        node = ", ".join([node_id(first), *map(node_name, others)])
        yield replace(first, gate=gates, node=node)


def _shortfall(verdict: Verdict) -> float:
    """Return by which share a gate that did not pass lies beyond its limit; 0 for other units."""
    check = verdict.check
    if check is None or check.unit != "share" or verdict.outcome is Outcome.PASSED:
        return 0.0
    if check.change is not None:
        return -check.change - check.limit
    return check.limit - check.after


def _shown_check(verdict: Verdict) -> Check | None:
    """Return the check whose numbers a row shows.

    If a minimum decided, the drop still shows the level before. Cost and latency limits each bound
    another figure, so they show their own.
    """
    deciding = verdict.check
    if deciding is None or deciding.measure:
        return deciding
    comparisons = (
        check
        for check in (deciding, *verdict.checks)
        if check.unit == "share" and check.before is not None and not check.measure
    )
    return next(comparisons, deciding)


def _before_cell(verdict: Verdict) -> str:
    check = _shown_check(verdict)
    if check is None:
        return ""
    if check.inputs is not None:
        return ""
    if check.before is not None:
        return level(check.before, check.unit, decimals(check))
    shown = verdict.shown_change
    return percent(shown.before, decimals(check)) if shown else ""


def _short_after_cell(verdict: Verdict) -> str:
    check = _shown_check(verdict)
    has_level = check is not None and check.inputs is None
    return level(check.after, check.unit, decimals(check)) if check and has_level else ""


def _after_cell(verdict: Verdict) -> str:
    after, check = _short_after_cell(verdict), _shown_check(verdict)
    if check is None:
        return ""
    if check.before is not None:
        return after
    bounds = level_span(check.low, check.high, check.unit, decimals(check))
    return with_more(after, bounds.partition(" %")[0])


def _change_cell(verdict: Verdict) -> str:
    """Return the observed change with its interval; "" without a comparison."""
    check = _shown_check(verdict)
    if check is None:
        return ""
    if check.before is None:
        shown = verdict.shown_change
        return change_cell(shown, decimals(check)) if shown else ""
    if check.is_unchanged and not check.has_drifted:
        return "unchanged"
    if check.unit == "share" and not check.has_drifted:
        return change_cell(check, decimals(check))
    return with_more(size(check), "" if check.has_drifted else change_span(check, decimals(check)))


def change_cell(part: Check | Slice | Gain | ShownChange, digits: int = 0) -> str:
    """Return a change with its interval: ``down 9 (3 to 15)``."""
    if isinstance(part, Slice) and part.margin is not None:
        digits = digits_beside(-part.margin, part.change, part.low, part.high)
    return short_change(part.change or 0.0, part.low, part.high, digits)


def _cases_cell(verdict: Verdict) -> str:
    """Return the number of cases, with that of unrelated ones if it is smaller: ``30 (29)``."""
    check = _shown_check(verdict)
    if check is None:
        return ""
    if check.tasks:
        return quantity(check.tasks, check.noun)
    number = quantity(check.n, check.noun) if check.noun == "task" else str(check.n)
    related = check.units is not None and check.units < check.n
    return with_more(number, str(check.units) if related else "")


def _limit_cell(verdict: Verdict) -> str:
    """Return the limit of the check that decided: ``limit 5``, ``min 80 %``, ``default 9``."""
    check = verdict.check
    if check is None:
        return "" if verdict.measured else "not measured"
    if check.has_default_limit:
        return f"default {unsigned_points(check.limit)}"
    return limit(check)


def _short_limit_cell(verdict: Verdict) -> str:
    check = verdict.check
    if check is None or check.kind is CheckKind.MUST_PASS:
        return _limit_cell(verdict)
    if check.unit == "share" and check.before is not None:
        return unsigned_points(check.limit)
    return f"{'≥' if check.unit == 'share' else '≤'} {_limit_cell(verdict).partition(' ')[2]}"


#: The columns of the table of verdicts in their order.
VERDICT_COLUMNS = (
    Column("variant", "variant", lambda verdict: verdict.variant),
    Column("gate", "gate", lambda verdict: verdict.gate),
    Column("before", "before", _before_cell, is_right=True),
    Column("after", "after", _after_cell, is_right=True, short_cell=_short_after_cell),
    Column("change", "change (95 % CI)", _change_cell),
    Column("cases", "cases", _cases_cell, is_right=True),
    Column("verdict", "verdict", outcome_label),
    Column("limit", "limit", _limit_cell, short_cell=_short_limit_cell),
)


def rate_interval(low: float | None, high: float | None) -> str:
    """Return the interval of a rate in percent, ``(88 to 98)``; "" if there is none."""
    return with_more("", level_span(low, high).removesuffix(" %")).lstrip()


def rate_cell(rate: float | None, low: float | None, high: float | None) -> str:
    """Return a rate with its interval, ``94 % (88 to 98)``; "" if it is not known."""
    return "" if rate is None else f"{percent(rate)} {rate_interval(low, high)}".rstrip()


def slice_cells(part: Slice) -> list[str]:
    """Return the name of a slice, the rates before and after, the change, and the cases."""
    return [part.name, percent(part.before), percent(part.after), change_cell(part), str(part.n)]


def slice_rows(slices: Sequence[Slice]) -> list[list[str]]:
    """Return a row for each slice, in the order given."""
    kinds = {part.kind for part in slices}
    rows = [[*slice_cells(part), part.state] for part in slices]
    return [
        [f"{part.kind} {name}" if len(kinds) > 1 else name, *cells]
        for part, (name, *cells) in zip(slices, rows, strict=True)
    ]


def label_rows(labels: Iterable[LabelMetrics], max_confusions: int = 1) -> list[list[str]]:
    """Return a row for each label, in the order given.

    *max_confusions* is how many labels that replies gave instead are listed.
    """
    return [
        [
            label.label,
            "" if label.f1_before is None else percent(label.f1_before),
            percent(label.f1),
            percent(label.precision),
            percent(label.recall),
            str(label.n),
            ", ".join(
                f"{confused}{_NO_BREAK_SPACE}{n}"
                for confused, n in [*label.taken_for.items()][:max_confusions]
            ),
        ]
        for label in labels
    ]


def format_error_table(title: str, shares: Sequence[FormatErrorShare]) -> TextTable:
    """Return a row for each kind of format error, with the share before if any is compared."""
    compared = any(share.before is not None for share in shares)
    rows = [
        [
            share.kind,
            *([rate_cell(share.before, share.before_low, share.before_high)] * compared),
            rate_cell(share.after, share.low, share.high),
            f"{share.replies:,}",
        ]
        for share in shares
    ]
    headers = [title, *(["before"] * compared), "now", "replies"]
    return TextTable(headers, rows, range(1, len(headers)))


def drift_rows(drifts: Iterable[Drift]) -> list[list[str]]:
    """Return a row for each drift: what is measured, before, now, and the number of replies."""
    return [
        [
            drift.what,
            amount(drift.before, drift.unit),
            amount(drift.after, drift.unit),
            f"{drift.n:,}",
        ]
        for drift in drifts
    ]


def cost_phrase(report: CostReport) -> str:
    """Return the cost of this run and of all its replies; "" if no price is known."""
    if not report.variants:
        return "unpriced" if "unpriced" in report.unknown.values() else ""
    phrase = usd(report.asked)
    if usd(report.used) != phrase:
        phrase += f" of {usd(report.used)}"
    judge_cost = report.variants.get(JUDGE_LABEL)
    if judge_cost and len(report.variants) > 1:
        phrase += f", {usd(judge_cost)} of it for the judge"
    return f"{phrase} without {_unpriced_list(report.unknown)}" if report.unknown else phrase


def cost_lines(report: CostReport, *, full: bool, max_usd: float | None) -> Iterator[str]:
    """Yield the lines on cost below the table of gates.

    *full* includes the cost of each variant. *max_usd* is the limit of the run, or None.
    """
    if max_usd is not None and report.unknown:
        unpriced = _unpriced_list(report.unknown)
        yield f"not counted by --ftgate-max-usd, having no price: {unpriced}"
    if full and report.variants:
        costs = [f"{name} {usd(cost)}" for name, cost in report.variants.items()]
        costs += [f"{name} {label}" for name, label in report.unknown.items()]
        yield f"replies cost: {', '.join(costs)}"
    if report.listed:
        yield f"for prices of hosted models: {INSTALL_PRICES}"


def _unpriced_list(unknown: Mapping[str, str]) -> str:
    """Return variants without a price: first those that should have one, then local models."""
    ordered = sorted(unknown.items(), key=lambda item: item[1] == "local")
    return ", ".join(f"{name} ({label})" for name, label in ordered)


def gates_line(report: Report) -> str:
    """Return ``1 of 6 gates failed``, or ``6 gates`` if all passed."""
    unread = [gate.node for gate in report.unread_files]
    not_read = f"no gate of {first_names(unread, _MAX_NAMES)} could be read" if unread else ""
    missing = len(report.not_evaluated) - len(unread)
    total = len(report.gated_verdicts) + missing
    if not total:
        return not_read or "no gate was evaluated"
    counts = [
        f"{count} {label}"
        for count, label in (
            (report.count(Outcome.FAILED), "failed"),
            (report.count(Outcome.INVALID), "invalid"),
            (missing, "not evaluated"),
            (len(report.failed_tests), "failed as a test"),
            (report.count(Outcome.INCONCLUSIVE), "inconclusive"),
        )
        if count
    ]
    gates = quantity(total, "gate")
    text = f"{', '.join(counts)} of {gates}" if counts else f"{gates}{' passed' * bool(unread)}"
    if len(counts) == 1:
        count, _, label = counts[0].partition(" ")
        text = f"{count} of {gates} {label}"
    return f"{text}; {not_read}" if unread else text


def error_groups(report: Report) -> list[tuple[str, str, str]]:
    """Return the gates that were not evaluated, and those whose tests failed though they passed.

    Files that could not be read are left out: see `Report.unread_files`.

    Each group has the names of the gates with one reason, what became of them, and the reason.
    """
    groups: dict[tuple[str, str], list[NotEvaluated | FailedTest]] = defaultdict(list)
    unread = report.unread_files
    for error in report.errors:
        what = "not evaluated" if isinstance(error, NotEvaluated) else "failed test"
        if error not in unread:
            groups[what, error.reason].append(error)
    return [
        (first_names([error.node for error in errors], _MAX_NAMES), what, error_text(errors[0]))
        for (what, _), errors in groups.items()
    ]


def error_text(error: NotEvaluated | FailedTest, *, once: bool = False) -> str:
    """Return why a gate was not evaluated, with its variant, or why its test failed.

    *once* is for texts of single gates: an error that another gate has shown refers to that.
    """
    if isinstance(error, FailedTest):
        return error.reason
    reason = f"the same error as {error.same_as}" if once and error.same_as else error.reason
    return quote_following_lines(f"{error.variant}: {reason}") if error.variant else reason


def shown_file(name: str) -> str:
    """Return the name of a file as a line shows it; a commit may hold any name."""
    return shorten(escape_controls(name).replace("\n", "\\n"), _MAX_NAME)


def changes_line(changes: FileChanges, most: int = 10) -> str:
    """Return which files that decide differ from the base branch; "" if none does.

    *most* of them are named, an accepted record first, then what is gone.
    """

    def rank(file: FileChange) -> tuple[bool, bool]:
        return not file.name.endswith(".accepted.json"), file.change != "deleted"

    names = [
        shown_file(file.name) + (f" ({file.change})" if file.change != "changed" else "")
        for file in sorted(changes.files, key=rank)
    ]
    return f"changed since {changes.branch}: {first_names(names, most)}" if names else ""


def comparison_line(changes: FileChanges) -> str:
    """Return how the files that decide differ from the base branch, also if they do not; or ""."""
    if changes.unknown:
        return f"not compared with a base branch: {changes.unknown}"
    same = (
        f"changed since {changes.branch}: none of the files that decide" if changes.branch else ""
    )
    return changes_line(changes, len(changes.files)) or same


def override_line(overrides: Iterable[object]) -> str:
    """Return which keys were set outside the suites; "" if none were."""
    shown = escape_controls(", ".join(map(str, overrides)))
    return f"set on the command line: {shown}" if shown else ""


def usage_line(report: Report) -> str:
    """Return how many replies were used and requested, how long that took, and its cost."""
    requests, cost = report.requests, cost_phrase(report.cost)
    took = f" in {duration(requests.seconds)}" if requests.sent else ""
    skipped = f", {requests.skipped:,} saved by stopping early" if requests.skipped else ""
    cached = max(0, requests.replies - requests.sent)
    replies = quantity(requests.replies, "reply")
    line = f"{replies}: {cached:,} cached, {requests.sent:,} requested{took}{skipped}"
    return f"{line} · {cost}" if cost else line
