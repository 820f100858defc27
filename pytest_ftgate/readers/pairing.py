"""Pair the rows of several files of answers, case by case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import AnswerFile, AnswerRow

#: The rows of one file by the key of their case, several where replies are repeated.
_Rows = Mapping[str, tuple[AnswerRow, ...]]
#: The most characters of a text in an example, and the most columns that a message names.
_MAX_CHARACTERS, _MAX_NAMED = 40, 8
#: The largest share of rows that may expect something else in the other file, where nobody has
#: named what pairs them.
_MAX_DIFFERENT = 0.05
#: With more ids that expect something else, and a larger share, they are the ids of other cases.
_FEW_OTHERS, _MAX_OTHER = 4, 0.2
_UNKNOWN = "no column is known to have ids or inputs (--id and --input name one)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRows:
    """The rows of the base and of its candidates, by case.

    Attributes:
        key: what pairs them: ``id``, ``input``, ``line``, or the name of a column.
        rows: for each file, the base first, its rows by the id of the case. A case that a file
            lacks has no rows there.
        repeats: the number of rows that each file has for each other case.
        notes: sentences on what does not pair.
    """

    key: str
    rows: tuple[_Rows, ...]
    repeats: int = 1
    notes: tuple[str, ...] = ()

    @property
    def cases(self) -> Mapping[str, AnswerRow]:
        """The first row of each case in the base."""
        return {case_id: rows[0] for case_id, rows in self.rows[0].items()}


def pair_files(
    files: Sequence[AnswerFile],
    *,
    by_id: bool = False,
    by_line: bool = False,
    paired_only: bool = False,
) -> PairedRows:
    """Return the rows of *files* by case; the first file is the base.

    Rows are paired by id, and unless *by_id* else by a column whose values are unique in each file
    and shared, else by input. They are paired by line where nothing else pairs them and they expect
    the same answers in the same order, or with *by_line*. The cases are those of the base; with
    *paired_only* only those that every file has. A row that expects something else than the files
    before it does not count, as if its file lacked the case.

    Raises:
        ConfigurationError: nothing pairs; the message says what to write.
    """
    effect = "left out" if paired_only else "counted as cases without a reply"
    key, sides, notes = _keyed(files, by_id=by_id, by_line=by_line)
    for file, side in zip(files, sides, strict=True):
        _require_one_model(file, side)
    repeats = min(len(rows) for side in sides for rows in side.values())
    notes += [*_repeat_notes(files, sides, repeats)]
    notes += [*_unpaired_notes(files, sides, key, effect)]
    sides, differing = _with_same_answers(files, sides, effect)
    notes += differing
    ids = [*sides[0]]
    if paired_only:
        ids = [case_id for case_id in ids if all(case_id in side for side in sides)]
    if not ids:
        raise _other_answers(notes[-1:])
    # A case without an id is named by its line in the base.
    names = {i: i if key not in ("input", "line") else f"line-{sides[0][i][0].line}" for i in ids}
    rows = tuple({names[i]: side.get(i, ())[:repeats] for i in ids} for side in sides)
    return PairedRows(key=key, rows=rows, repeats=repeats, notes=tuple(notes))


def _keyed(
    files: Sequence[AnswerFile], *, by_id: bool, by_line: bool
) -> tuple[str, list[_Rows], list[str]]:
    """Return what pairs the rows, the rows by that key, and sentences on keys that do not."""
    if by_line:
        return "line", _by_line(files), []
    notes: list[str] = []
    for key, keys in _ways(files, by_id=by_id):
        sides: list[_Rows] = [_grouped(file.rows, k) for file, k in zip(files, keys, strict=True)]
        problem = _problem(files, sides, key)
        if problem is None:
            why = f"the rows are paired by {key} instead" if notes else _REASONS.get(key, _UNIQUE)
            return key, sides, [*notes, *filter(None, [why.format(key)])]
        notes += [problem] if problem else []
    if notes:
        remedy = "name the column that both files share with --id COLUMN, or with --input COLUMN"
        raise ConfigurationError(f"nothing pairs: {'; '.join(notes)}; {remedy}")
    return "line", _by_line(files, _other_order(files)), [_SAME_ORDER]


#: Why a key pairs the rows, where no other was tried and failed.
_REASONS = {"id": "", "input": "the rows are paired by input, as the files have no ids"}
_UNIQUE = "the rows are paired by {}, which differs in each row"
_SAME_ORDER = "the rows are paired by line: they have neither ids nor inputs, and expect the same"


def _ways(files: Sequence[AnswerFile], *, by_id: bool) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield what may pair the rows, the likeliest first, with the key of each row of each file."""
    yield "id", [[row.id for row in file.rows] for file in files]
    if by_id:
        return
    for name in files[0].others:
        keys = [[*file.others.get(name, ())] for file in files]
        if all(values and len({*values}) == len(values) for values in keys):
            yield name, keys
    yield "input", [[row.input.strip() for row in file.rows] for file in files]


def _by_line(files: Sequence[AnswerFile], problem: str = "") -> list[_Rows]:
    """Return the rows of *files* by their line.

    Raises:
        ConfigurationError: the files differ in their number of rows, or there is a *problem*.
    """
    if len({len(file.rows) for file in files}) > 1:
        problem = f"{_UNKNOWN}, and the files differ in their number of rows"
    if problem:
        raise ConfigurationError(f"nothing pairs: {problem}")
    return [_grouped(file.rows, map(str, count())) for file in files]


def _other_order(files: Sequence[AnswerFile]) -> str:
    """Return why lines do not pair the rows: nothing shows that they are in one order; else ""."""
    sides = [[row.expected for row in file.rows] for file in files]
    pairs = [pair for side in sides[1:] for pair in zip(sides[0], side, strict=False)]
    known = [one == other for one, other in pairs if one is not None and other is not None]
    if known and known.count(False) <= _MAX_DIFFERENT * len(known):
        return ""
    shared = [name for name in files[0].others if all(name in file.others for file in files)]
    columns = f" (columns of both files: {', '.join(shared[:_MAX_NAMED])})" if shared else ""
    why = "nothing shows that their lines do; if they do, add --by-line"
    if known:
        why = f"{known.count(False):,} of {len(known):,} lines expect another answer"
    return f"{_UNKNOWN}{columns}, and {why}"


def _grouped(rows: Iterable[AnswerRow], keys: Iterable[str]) -> dict[str, tuple[AnswerRow, ...]]:
    groups: dict[str, list[AnswerRow]] = defaultdict(list)
    for row, key in zip(rows, keys, strict=False):
        groups[key].append(row)
    # Rows without a reply say nothing beside others of the same case.
    return {key: _answered(group) for key, group in groups.items()}


def _answered(rows: list[AnswerRow]) -> tuple[AnswerRow, ...]:
    answered = (row for row in rows if row.reply is not None or row.score is not None)
    return tuple(answered) or (rows[0],)


def _problem(files: Sequence[AnswerFile], sides: Sequence[_Rows], key: str) -> str | None:
    """Return why *key* does not pair the files; "" if they do not have it; None if it does."""
    if any("" in side for side in sides):
        has_none = all("" in side and len(side) == 1 for side in sides)
        without = [file.name for file, side in zip(files, sides, strict=True) if "" in side]
        return "" if has_none else f"{', '.join(without)} has rows without {key}"
    repeated = _reused_ids(files, sides) if key == "id" else ""
    if repeated:
        return repeated
    problems = (
        _problem_of_two(files[0], sides[0], file, side, key)
        for file, side in zip(files[1:], sides[1:], strict=True)
    )
    return next((problem for problem in problems if problem is not None), None)


def _problem_of_two(
    base: AnswerFile, base_side: _Rows, file: AnswerFile, side: _Rows, key: str
) -> str | None:
    shared = [case for case in base_side if case in side]
    if key not in _REASONS:
        return None if shared and _is_key(base_side, side, shared) else ""
    if not shared:
        first, other = (f'"{_short(next(iter(one)))}"' for one in (base_side, side))
        return f"no {key} is in both files ({base.name} has {first}, {file.name} {other})"
    if key != "id":
        return None
    different = _different_inputs(base_side, side, shared)
    if 2 * len(different) > len(shared):
        what = f"of {len(shared):,} ids have another input in {file.name}"
        return f"{len(different):,} {what}: {_examples(different)}"
    others = _differing_answers([base_side, side])
    if len(others) > max(_FEW_OTHERS, _MAX_OTHER * len(shared)):
        what = f"of {len(shared):,} ids expect another answer in {file.name}"
        return f"{len(others):,} {what}: {_examples([*others.values()])}"
    return None


def _is_key(base: _Rows, other: _Rows, shared: Sequence[str]) -> bool:
    """Return True if a column that nobody named pairs most rows, with what is equal in both."""
    different = {*_different_inputs(base, other, shared), *_differing_answers([base, other])}
    return 2 * len(shared) > len(base) and len(different) <= _MAX_DIFFERENT * len(shared)


def _reused_ids(files: Sequence[AnswerFile], sides: Sequence[_Rows]) -> str:
    """Return which ids of a file stand for several inputs; "" for none."""
    for file, side in zip(files, sides, strict=True):
        reused = [case for case, rows in side.items() if len({row.input for row in rows}) > 1]
        if reused:
            return f"{file.name} uses ids for several inputs: {_examples(reused)}"
    return ""


def _different_inputs(base: _Rows, other: _Rows, shared: Iterable[str]) -> list[str]:
    pairs = ((case_id, base[case_id][0].input, other[case_id][0].input) for case_id in shared)
    return [case for case, first, second in pairs if first and second and first != second]


def _require_one_model(file: AnswerFile, side: _Rows) -> None:
    """Raise an error if the rows of a case are those of several models, by a column that says so.

    Repeats are counted; models have names.
    """
    several = [rows for rows in side.values() if len(rows) > 1]
    if not several:
        return
    places = {row.line: place for place, row in enumerate(file.rows)}
    for column, values in file.others.items():
        found = [[values[places[row.line]] for row in rows] for rows in several]
        names = [*dict.fromkeys(value for group in found for value in group)]
        is_named = not any(name.isdecimal() for name in names)
        is_one_of_each = all(len({*group}) == len(group) for group in found)
        if is_named and is_one_of_each and len(names) == max(map(len, found)):
            shown = ", ".join(names[:_MAX_NAMED])
            path = file.name.partition("::")[0]
            raise ConfigurationError(
                f"{path} has {len(names)} rows of a case, which differ in {column} ({shown}); name "
                f"those to compare: {path}::{column}={names[0]}"
            )


def _repeat_notes(
    files: Sequence[AnswerFile], sides: Sequence[_Rows], repeats: int
) -> Iterator[str]:
    """Yield how many replies to each case count, and which cases have more."""
    if repeats > 1:
        yield f"each case has {repeats} replies, which are averaged"
    for file, side in zip(files, sides, strict=True):
        more = [_short(case) for case, rows in side.items() if len(rows) > repeats]
        first = "the first of each counts" if repeats == 1 else f"the first {repeats} count"
        yield from _note(more, f"with further replies in {file.name}; {first}")


def _unpaired_notes(
    files: Sequence[AnswerFile], sides: Sequence[_Rows], key: str, effect: str
) -> Iterator[str]:
    base = sides[0]
    for file, side in zip(files[1:], sides[1:], strict=True):
        lacking = [_short(case) for case in base if case not in side]
        if lacking:
            what = f"of {len(base):,} cases of {files[0].name} are not in {file.name}, {effect}"
            yield f"{len(lacking):,} {what}: {_examples(lacking)}"
        more = [_short(case) for case in side if case not in base]
        yield from _note(more, f"of {file.name} not in {files[0].name}, left out")
        if key == "id":
            different = _different_inputs(base, side, (case for case in base if case in side))
            what = f"with another input in {file.name}; that of {files[0].name} is shown"
            yield from _note(different, what)


def _with_same_answers(
    files: Sequence[AnswerFile], sides: Sequence[_Rows], effect: str
) -> tuple[list[_Rows], list[str]]:
    """Return the rows that expect what the files before them do, and sentences on the others.

    Raises:
        ConfigurationError: most rows of a file expect something else.
    """
    left, notes = list[_Rows](), list[str]()
    for file, side in zip(files, sides, strict=True):
        differing = _differing_answers([*left, side])
        left.append({case: rows for case, rows in side.items() if case not in differing})
        what = f"with another expected answer in {file.name}, {effect}"
        notes += _note([*differing.values()], what)
        if 2 * len(differing) > len(sides[0]):
            raise _other_answers(notes[-1:])
    return left, notes


def _other_answers(notes: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(
        f"too few cases are left to compare: {', '.join(notes)}; name the column of the expected "
        "answers with --expected"
    )


def _differing_answers(sides: Sequence[_Rows]) -> dict[str, str]:
    """Return the cases with another expected answer in the last file, each with both answers."""
    differing: dict[str, str] = {}
    for case_id in sides[-1]:
        expected = [rows[0].expected for side in sides if (rows := side.get(case_id))]
        answers = [answer for answer in expected if answer is not None]
        if expected[-1] is not None and answers[0] != expected[-1]:
            texts = (f'"{_short(str(answer))}"' for answer in (answers[0], expected[-1]))
            differing[case_id] = f"{_short(case_id)} ({' and '.join(texts)})"
    return differing


def with_cases(files: Sequence[AnswerFile], cases: AnswerFile) -> tuple[AnswerFile, ...]:
    """Return *files* with the inputs and the expected answers of *cases* where they have none.

    Ids pair them, or else inputs.

    Raises:
        ConfigurationError: a file has no reply to any of the cases.
    """
    by_key = {key: row for row in cases.rows for key in (row.input.strip(), row.id) if key}
    return tuple(_with_cases(file, cases, by_key) for file in files)


def _with_cases(file: AnswerFile, cases: AnswerFile, by_key: Mapping[str, AnswerRow]) -> AnswerFile:
    keys: list[list[str]] = [[row.id for row in file.rows], *map(list, file.others.values())]
    for found in (*keys, [row.input.strip() for row in file.rows]):
        rows = [(row, by_key.get(key)) for row, key in zip(file.rows, found, strict=True)]
        if any(case for _, case in rows):
            return replace(file, rows=tuple(_filled(row, case) for row, case in rows))
    ids = (f'"{_short(one.rows[0].id)}"' for one in (file, cases))
    raise ConfigurationError(
        f"{file.name} has no reply to a case of {cases.name}; the first ids of both are "
        f"{' and '.join(ids)}"
    )


def _filled(row: AnswerRow, case: AnswerRow | None) -> AnswerRow:
    if case is None:
        return row
    expected = case.expected if row.expected is None else row.expected
    case_id, asked = row.id or case.id, row.input or case.input
    return replace(row, id=case_id, input=asked, expected=expected)


def with_expected(rows: Mapping[str, AnswerRow], others: Sequence[_Rows]) -> dict[str, AnswerRow]:
    """Return *rows* with the expected answer of another file where they have none."""
    filled: dict[str, AnswerRow] = {}
    for case_id, row in rows.items():
        found = (other.expected for side in others for other in side.get(case_id, ()))
        first = next((answer for answer in found if answer is not None), None)
        filled[case_id] = row if row.expected is not None else replace(row, expected=first)
    return filled


def _note(names: Sequence[str], what: str) -> Iterator[str]:
    """Yield how many cases are *what*, with the first of their *names*, if there are any."""
    if names:
        yield f"{len(names):,} case{'s' * (len(names) != 1)} {what}: {_examples(names)}"


def _examples(names: Sequence[str]) -> str:
    """Return the first three of *names*."""
    return ", ".join(map(_short, names[:3])) + ", …" * (len(names) > 3)  # noqa: PLR2004


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"
