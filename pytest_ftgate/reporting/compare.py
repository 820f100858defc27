"""The lines of a comparison of files of answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gates.verdict import Check, Outcome, Verdict
from pytest_ftgate.readers.answer_rows import AnswerFile
from pytest_ftgate.reporting.explain import ruled_out
from pytest_ftgate.reporting.flips import flip_lines, turn_text, turned_lines
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_line
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import change_size, level, percent, quantity
from pytest_ftgate.reporting.phrases import cases as changed_cases
from pytest_ftgate.reporting.phrases import doubt, limit, size_with_interval
from pytest_ftgate.reporting.runs import run_lines
from pytest_ftgate.reporting.tables import TextTable, table_lines
from pytest_ftgate.reporting.text import escape_controls, fit_parts, one_line, wrap_lines
from pytest_ftgate.suite.providers import RECORDED

#: The roles of columns in their order on the screen.
_ROLES = ("id", "input", "expected", "reply", "score", "tags")
#: How many regressed cases are named where no file has a reply to show.
_MAX_NAMED = 5


def comparison_lines(  # noqa: PLR0913 - what the screen shows, each by its name
    files: Sequence[AnswerFile],
    verdicts: Sequence[Verdict],
    *,
    paired_by: str,
    score_kind: str,
    cases: str,
    notes: Sequence[str],
    is_capped: bool,
    verbosity: int = 0,
) -> Iterator[str]:
    """Yield the lines of a comparison, the verdict of each candidate first.

    *files* has the base first, *verdicts* one verdict for each other file. *cases* says how many
    there are, and *is_capped* that their limit is the largest default.
    """
    own = files[0].columns.get("score", "score")
    scored = f'the files\' "{own}"' if score_kind == RECORDED else f'"{score_kind}"'
    paired = f"paired by {paired_by}, scored by {escape_controls(scored)}"
    tag = escape_controls(files[0].columns.get("tags", "tag"))
    if len(verdicts) > 1:
        yield from table_lines(_verdict_table(files, verdicts), 0)
        yield ""
    for file, verdict in zip(files[1:], verdicts, strict=True):
        head = escape_controls(f"{files[0].name} → {file.name}")
        yield from fit_parts([head, f"{cases} {paired}"], 2)
        has_replies = any(row.reply for one in (files[0], file) for row in one.rows)
        yield from _verdict_lines(
            verdict, tag, score_kind, verbosity, has_replies=has_replies, is_capped=is_capped
        )
        yield ""
    for note in (*_column_notes(files), *notes):
        yield from wrap_lines(f"note: {escape_controls(note)}", 0)


def cases_text(unit: str, cases: int, repeats: tuple[int, int]) -> str:
    """Return how many cases there are, and replies to each if these are several."""
    least, most = repeats
    if most == 1:
        return quantity(cases, unit)
    each = quantity(most, "reply" if unit == "case" else "run")
    span = "" if least == most else f"{least:,} to "
    return f"{quantity(cases, unit)}, {span}{each} each,"


def _verdict_table(files: Sequence[AnswerFile], verdicts: Sequence[Verdict]) -> TextTable:
    """Return the verdict on each candidate in one row, below the base."""
    rows = [_table_row(*pair) for pair in zip(files[1:], verdicts, strict=True)]
    checks = [verdict.check for verdict in verdicts if verdict.check]
    has_level = checks and not checks[0].inputs
    base = level(checks[0].before or 0.0, digits=1) if has_level else ""
    first = [escape_controls(files[0].name), base, "", ""]
    return TextTable(["", "accuracy", "change (95 % CI)", "verdict"], [first, *rows], (1,))


def _table_row(file: AnswerFile, verdict: Verdict) -> list[str]:
    check = verdict.check
    if check is None:
        return [escape_controls(file.name), "", "", verdict.outcome]
    after = "" if check.inputs else level(check.after, digits=1)
    figures = (after, size_with_interval(check, digits=1))
    return [escape_controls(file.name), *figures, verdict.outcome]


def _verdict_lines(
    verdict: Verdict,
    tag: str,
    score_kind: str,
    verbosity: int,
    *,
    has_replies: bool,
    is_capped: bool,
) -> Iterator[str]:
    check = verdict.check
    label = verdict.outcome.upper()
    if check is None or check.before is None:
        yield from wrap_lines(f"{label}  {escape_controls(headline(verdict))}", 0)
        return
    rates = f"{_rates_text(check)}, {limit(check, is_capped=is_capped)}"
    yield from wrap_lines(f"{label}  {rates}{_part_text(verdict, check)}", 0)
    counts = changed_cases(verdict)
    worst = _worst_tag(verdict, tag)
    yield from wrap_lines(f"{counts}; {worst}" if worst else counts, 2)
    if remark := ruled_out(check, verdict.outcome):
        yield from wrap_lines(remark, 2)
    yield from run_lines(verdict)
    is_open = verdict.outcome is Outcome.INCONCLUSIVE
    # The doubt at the end may be made of notes.
    told = doubt(check) if is_open else ""
    for text in map(note_text, verdict.notes):
        if text not in told:
            yield from wrap_lines(f"note: {escape_controls(text)}", 2)
    if check.after == check.before == 0.0 and not check.inputs and score_kind != RECORDED:
        yield from wrap_lines(_other_score(score_kind), 2)
    if verdict.outcome is not Outcome.PASSED or verbosity > 0:
        yield from _turned_lines(verdict, verbosity, has_replies=has_replies)
    yield from ["", *wrap_lines(escape_controls(told), 2)] if is_open else ()
    if is_open:
        for step in verdict.next:
            yield from wrap_lines(f"{step.role}: {escape_controls(step_line(step))}", 2)


def _turned_lines(verdict: Verdict, verbosity: int, *, has_replies: bool) -> Iterator[str]:
    """Yield the tasks whose runs turned, or the regressed cases, as far as the files tell them."""
    has_runs = any(map(turn_text, verdict.flips))
    if has_runs:
        yield from turned_lines(verdict, verbosity)
    if has_replies and not (has_runs and verbosity <= 0):
        yield from flip_lines(verdict, verbosity, None, {}, page_option="--html")
    elif not has_runs:
        yield from _regressed_names(verdict, verbosity)


def _regressed_names(verdict: Verdict, verbosity: int) -> Iterator[str]:
    """Yield the ids of the regressed cases, of which nothing else is known."""
    names = [one_line(escape_controls(flip.case)) for flip in verdict.flips if flip.regressed]
    shown = names if verbosity > 0 else names[:_MAX_NAMED]
    more = f", … (-v shows {len(names)})" if len(shown) < len(names) else ""
    if names:
        yield from wrap_lines(f"regressed: {', '.join(shown)}{more}", 2)


def _part_text(verdict: Verdict, check: Check) -> str:
    if verdict.outcome is not Outcome.FAILED or check.outcome is Outcome.FAILED:
        return ""
    return ", but a part regressed"


def _other_score(score_kind: str) -> str:
    hint = "for replies with more text try --scorer contains, or numeric"
    if score_kind == "contains":
        hint = "for long texts try --scorer similarity"
    return f'no reply is right by "{score_kind}": {hint}'


def _rates_text(check: Check) -> str:
    if check.inputs is not None:
        return f"accuracy {size_with_interval(check)}"
    rates = " → ".join(level(value, digits=1) for value in (check.before or 0.0, check.after))
    return f"accuracy {rates}, {size_with_interval(check, digits=1)}"


def _worst_tag(verdict: Verdict, tag: str) -> str:
    """Return the tag that decides, or fell most, and if that may be chance; "" if none fell.

    *tag* is what a tag is called.
    """
    regressed = [part for part in verdict.slices if part.state == "regressed"]
    fallen = [part for part in verdict.slices if part.change < 0]
    if not regressed and not fallen:
        return ""
    worst = max(regressed, key=lambda part: abs(part.change)) if regressed else fallen[0]
    rates = f"{percent(worst.before)} → {percent(worst.after)}"
    word = "worst" if not regressed else "risen" if worst.change > 0 else "regressed"
    chance = "" if regressed or worst.named == "clearly" else ", which may be chance"
    noun = verdict.check.noun if verdict.check else "case"
    name = escape_controls(worst.name).replace("\n", " ")
    return f"{word} {tag}: {name} {rates} ({change_size(worst.change)}, {worst.n} {noun}s){chance}"


def _column_notes(files: Sequence[AnswerFile]) -> Iterator[str]:
    """Yield which columns were read, once where all files have the same."""
    texts = [_columns_text(file) for file in files]
    if len({*texts}) == 1:
        yield texts[0]
        return
    for file, text in zip(files, texts, strict=True):
        yield f"{file.name}: {text}"


def _columns_text(file: AnswerFile) -> str:
    columns = [(role, file.columns[role]) for role in _ROLES if role in file.columns]
    texts = [name if name == role else f"{name} ({role})" for role, name in columns]
    tool = f"{file.tool}: " if file.tool else ""
    return f"{tool}read {', '.join(texts)}"
