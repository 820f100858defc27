"""Pair the rows of several files of answers, case by case."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from statistics import harmonic_mean
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import AnswerFile, AnswerRow
from pytest_ftgate.readers.text import case_note, examples, short_text

#: The rows of one file by the key of their case, several where replies are repeated.
_Rows = Mapping[str, tuple[AnswerRow, ...]]
#: The rows of a file of answers, each with its case in a file of cases.
_Found = Sequence[tuple[AnswerRow, AnswerRow | None]]
#: The most columns that a message names, and the most characters of what names a case; a longer
#: text is named by its line.
_MAX_NAMED, _MAX_KEY = 8, 60
#: The largest share of rows that may expect something else in the other file, unless the user
#: names what pairs them.
_MAX_DIFFERENT = 0.05
#: With more ids that expect something else, and a larger share, they are the ids of other cases.
_FEW_OTHERS, _MAX_OTHER = 4, 0.2
_UNKNOWN = "no column is known to have ids or inputs (--id and --input name one)"
#: With a smaller share of neighbours that expect different answers, equal lines show no order.
_MIN_CHANGES = 0.1
#: A number as a table may show it: `7`, `007` or `7.0`.
_WHOLE = re.compile(r"0*(\d+)(?:\.0+)?")
#: An id that ends with a number after a word.
_NUMBERED = re.compile(r"(.*\D)(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRows:
    """The rows of the base and of its candidates, by case.

    Attributes:
        key: what pairs them: ``id``, ``input``, ``line``, or the name of a column.
        rows: for each file, the base first, its rows by the id of the case. A case that a file
            lacks has no rows there.
        notes: sentences on what does not pair.
    """

    key: str
    rows: tuple[_Rows, ...]
    notes: tuple[str, ...] = ()

    @property
    def repeats(self) -> tuple[int, int]:
        """The least and the most rows with a reply that a file has of a case."""
        return min(self._counts), max(self._counts)

    @property
    def usual_repeats(self) -> int:
        """The number of replies to each case that would show as much as those there are."""
        return int(harmonic_mean(self._counts))

    @property
    def _counts(self) -> list[int]:
        return [*chain.from_iterable(map(_reply_counts, self.rows))] or [1]

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
    without = "tasks without a run" if files[0].unit == "task" else "cases without a reply"
    counted = f"counted as {without} (--paired-only leaves them out)"
    effect = "left out" if paired_only else counted
    key, sides, notes = _keyed(files, by_id=by_id, by_line=by_line)
    for file, side in zip(files, sides, strict=True):
        _require_one_model(file, side)
    notes += [*_repeat_notes(files, sides)]
    notes += [*_unpaired_notes(files, sides, key, effect)]
    sides, differing = _with_same_answers(files, sides, effect)
    notes += differing
    ids = [*sides[0]]
    if paired_only:
        ids = [case_id for case_id in ids if all(case_id in side for side in sides)]
        empty = dict.fromkeys(
            i for i in ids if not all(any(map(_is_answered, side[i])) for side in sides)
        )
        notes += [*case_note([*empty], "without a reply in a file, left out")]
        ids = [case_id for case_id in ids if case_id not in empty]
    if not ids:
        raise _other_answers(notes[-1:])
    # A case without an id is named by its line in the base.
    has_names = key == "id" or (key not in ("input", "line") and max(map(len, ids)) <= _MAX_KEY)
    names = {i: i if has_names else f"line-{sides[0][i][0].line}" for i in ids}
    is_text = not has_names and key not in ("input", "line")
    rows = tuple(
        {names[i]: _asking(side.get(i, ()), i if is_text else "") for i in ids} for side in sides
    )
    return PairedRows(key=key, rows=rows, notes=tuple(notes))


def _asking(rows: Sequence[AnswerRow], text: str) -> tuple[AnswerRow, ...]:
    """Return *rows* with *text*, which pairs them, as the input that they lack."""
    return tuple(row if row.input else replace(row, input=text) for row in rows)


def _keyed(
    files: Sequence[AnswerFile], *, by_id: bool, by_line: bool
) -> tuple[str, list[_Rows], list[str]]:
    """Return what pairs the rows, the rows by that key, and sentences on keys that do not."""
    if by_line:
        return "line", _by_line(files), []
    notes: list[str] = []
    for key, keys in _ways(files, by_id=by_id):
        sides = _grouped(files, keys)
        problem = _problem(files, sides, key)
        if problem is None:
            why = f"the rows are paired by {key} instead" if notes else _REASONS.get(key, _UNIQUE)
            if key == "id" and not by_id and _are_numbers_alone(files, keys):
                why = _COUNTED
            return key, sides, [*notes, *filter(None, [why.format(key)])]
        notes += [problem] if problem else []
    if notes:
        raise ConfigurationError(f"nothing pairs: {'; '.join(notes)}; {_NAME_A_KEY}")
    return "line", _by_line(files, _other_order(files)), [_SAME_ORDER]


#: Why a key pairs the rows, where no other was tried and failed.
_REASONS = {"id": "", "input": "the rows are paired by input, as the files have no ids"}
_UNIQUE = "the rows are paired by {}, which differs in each row"
_SAME_ORDER = "the rows are paired by line: they have neither ids nor inputs, and expect the same"
_COUNTED = "the ids count the rows, and nothing else shows that they name the same cases"
_ONE_ORDER = "or add --by-line, if the files are in one order"
_NAME_A_KEY = (
    f"name the column that both files share with --id COLUMN, or with --input COLUMN; {_ONE_ORDER}"
)


def _ways(files: Sequence[AnswerFile], *, by_id: bool) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield what may pair the rows, the likeliest first, with the key of each row of each file."""
    ids = _ids(files)
    # Numbers of rows say less than another column, unless the inputs bear them out.
    is_late = not by_id and _are_numbers_alone(files, ids)
    if not is_late:
        yield "id", ids
    if by_id:
        return
    keys = {name: [[*file.others.get(name, ())] for file in files] for name in files[0].others}
    unique = {name: values for name, values in keys.items() if _are_unique(values)}
    # A long text is a question, or a reply under an unknown name.
    short = {name for name, values in unique.items() if max(map(len, chain(*values))) <= _MAX_KEY}
    yield from ((name, values) for name, values in unique.items() if name in short)
    if is_late:
        yield "id", ids
    inputs = [[_plain(row.input) for row in file.rows] for file in files]
    texts = [(name, values) for name, values in unique.items() if name not in short]
    # Of equal questions a text beside them, such as an article, may tell more.
    is_last = not _are_unique(inputs)
    yield from (*texts, ("input", inputs)) if is_last else (("input", inputs), *texts)


def _are_unique(keys: Sequence[Sequence[str]]) -> bool:
    """Return True if the *keys* of each file differ, and do not only count its rows."""
    differ = all(values and len({*values}) == len(values) for values in keys)
    return differ and not all(map(_counts_rows, keys))


def _ids(files: Sequence[AnswerFile]) -> list[list[str]]:
    """Return the ids of each file; numbers as numbers, if more of them are shared then."""
    ids = [[_plain(row.id) for row in file.rows] for file in files]
    numbers = [[_as_number(value) for value in values] for values in ids]
    is_same = all(len({*one}) == len({*other}) for one, other in zip(ids, numbers, strict=True))
    shared, as_numbers = (len(set.intersection(*map(set, keys))) for keys in (ids, numbers))
    return numbers if is_same and as_numbers > shared else ids


def _as_number(text: str) -> str:
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def _plain(text: str) -> str:
    """Return *text* with single spaces, as files differ in ends of lines and in spaces."""
    return " ".join(text.split())


def _counts_rows(values: Sequence[str]) -> bool:
    """Return True if *values* are numbers, each one more than that of the row before."""
    numbers = [int(value) for value in values if value.isdecimal()]
    return len(numbers) == len(values) and all(b - a == 1 for a, b in pairwise(numbers))


def _are_numbers_alone(files: Sequence[AnswerFile], ids: Sequence[Sequence[str]]) -> bool:
    """Return True if *ids* count the rows, and neither inputs nor expected answers confirm them."""
    has_inputs = all(row.input for file in files for row in file.rows)
    return not has_inputs and all(map(_counts_rows, ids)) and not _changes_often(files[0])


def _changes_often(file: AnswerFile) -> bool:
    """Return True if rows in another order would expect other answers."""
    known = [_answer_key(row.expected) for row in file.rows if row.expected is not None]
    changes = sum(one != other for one, other in pairwise(known))
    return bool(known) and changes >= _MIN_CHANGES * (len(file.rows) - 1)


def _by_line(files: Sequence[AnswerFile], problem: str = "") -> list[_Rows]:
    """Return the rows of *files* by their line.

    Raises:
        ConfigurationError: the files differ in their number of rows, or there is a *problem*.
    """
    if len({len(file.rows) for file in files}) > 1:
        problem = f"{_UNKNOWN}, and the files differ in their number of rows"
    if problem:
        raise ConfigurationError(f"nothing pairs: {problem}")
    return _grouped(files, [[str(line) for line in range(len(file.rows))] for file in files])


def _other_order(files: Sequence[AnswerFile]) -> str:
    """Return why lines do not pair the rows: nothing shows that they are in one order; else ""."""
    sides = [[row.expected for row in file.rows] for file in files]
    pairs = [pair for side in sides[1:] for pair in zip(sides[0], side, strict=False)]
    known = [
        _answer_key(one) == _answer_key(other)
        for one, other in pairs
        if one is not None and other is not None
    ]
    is_same = bool(known) and known.count(False) <= _MAX_DIFFERENT * len(known)
    if is_same and _changes_often(files[0]):
        return ""
    shared = [name for name in files[0].others if all(name in file.others for file in files)]
    columns = f" (columns of both files: {', '.join(shared[:_MAX_NAMED])})" if shared else ""
    why = "nothing shows that the files are in one order; if they are, add --by-line"
    if is_same:
        why = f"most lines expect what their neighbours do: {why}"
    elif known:
        why = f"{known.count(False):,} of {len(known):,} lines expect another answer"
    return f"{_UNKNOWN}{columns}, and {why}"


def _grouped(files: Sequence[AnswerFile], keys: Sequence[Sequence[str]]) -> list[_Rows]:
    """Return the rows of each file by key.

    A row without a reply beside one other was tried again. It is a lost run, and counts, where any
    case has several replies, or an agent several such rows.
    """
    sides = [_by_key(file.rows, k) for file, k in zip(files, keys, strict=True)]
    lost = any(map(_are_runs, chain.from_iterable(side.values() for side in sides)))
    return [{key: _answered(one, keep_lost=lost) for key, one in side.items()} for side in sides]


def _are_runs(rows: Sequence[AnswerRow]) -> bool:
    return sum(map(_is_answered, rows)) > 1 or (len(rows) > 2 and rows[0].run is not None)  # noqa: PLR2004


def _by_key(rows: Iterable[AnswerRow], keys: Iterable[str]) -> dict[str, list[AnswerRow]]:
    groups: dict[str, list[AnswerRow]] = defaultdict(list)
    for row, key in zip(rows, keys, strict=False):
        groups[key].append(row)
    return groups


def _answered(rows: list[AnswerRow], *, keep_lost: bool) -> tuple[AnswerRow, ...]:
    kept = rows if keep_lost and any(map(_is_answered, rows)) else filter(_is_answered, rows)
    return tuple(sorted(kept, key=_is_answered, reverse=True)) or (rows[0],)


def _is_answered(row: AnswerRow) -> bool:
    return row.reply is not None or row.score is not None


def _problem(files: Sequence[AnswerFile], sides: Sequence[_Rows], key: str) -> str | None:
    """Return why *key* does not pair the files; "" if they do not have it; None if it does."""
    if any("" in side for side in sides):
        has_none = all("" in side and len(side) == 1 for side in sides)
        without = [file.name for file, side in zip(files, sides, strict=True) if "" in side]
        return "" if has_none else f"{', '.join(without)} has rows without {key}"
    one_each = (len(side) == 1 < len(file.rows) for file, side in zip(files, sides, strict=True))
    # A runner of agents states the one task that all of its runs are at.
    if files[0].unit == "case" and all(one_each):
        return f"all rows have the same {key}"
    repeated = _reused(files, sides, key)
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
        first, other = (f'"{short_text(next(iter(one)))}"' for one in (base_side, side))
        return f"no {key} is in both files ({base.name} has {first}, {file.name} {other})"
    if key != "id":
        return None
    asked = _other_inputs(base_side, file, side, shared)
    if asked:
        return asked
    others = _differing_answers([base_side, side])
    has_inputs = all(one[case][0].input for one in (base_side, side) for case in shared)
    few = _MAX_OTHER if has_inputs else min(_MAX_OTHER, _chance(base_side, side, shared) / 2)
    if len(others) > max(_FEW_OTHERS, few * len(shared)):
        what = f"of {len(shared):,} ids expect another answer in {file.name}"
        return f"{len(others):,} {what}: {examples([*others.values()])}"
    return None


def _other_inputs(base: _Rows, file: AnswerFile, side: _Rows, shared: Sequence[str]) -> str:
    """Return which ids have the input of another id, or that most have another; else ""."""
    different = _different_inputs(base, side, shared)
    asked = {_plain(rows[0].input) for rows in base.values()}
    moved = [case for case in different if _plain(side[case][0].input) in asked]
    if len(moved) > _MAX_DIFFERENT * len(shared):
        what = f"of {len(shared):,} ids have the input of another id in {file.name}"
        return f"{len(moved):,} {what}: {examples(moved)}"
    # Prompts of another template have other inputs throughout, and the same expected answers.
    is_borne_out = (
        not _differing_answers([base, side]) and _chance(base, side, shared) > _MIN_CHANGES
    )
    if 2 * len(different) > len(shared) and not is_borne_out:
        what = f"of {len(shared):,} ids have another input in {file.name}"
        return f"{len(different):,} {what}: {examples(different)}"
    return ""


def _chance(base: _Rows, other: _Rows, shared: Sequence[str]) -> float:
    """Return the share of cases that would expect another answer if the rows were shuffled."""
    first, second = (
        Counter(_answer_key(side[case][0].expected) for case in shared) for side in (base, other)
    )
    equal = sum(count * second[answer] for answer, count in first.items())
    return 1 - equal / len(shared) ** 2


def _is_key(base: _Rows, other: _Rows, shared: Sequence[str]) -> bool:
    """Return True if a column that the user did not name pairs most rows, and these agree."""
    different = {*_different_inputs(base, other, shared), *_differing_answers([base, other])}
    return 2 * len(shared) > len(base) and len(different) <= _MAX_DIFFERENT * len(shared)


def _reused(files: Sequence[AnswerFile], sides: Sequence[_Rows], key: str) -> str:
    """Return which ids of a file stand for several inputs, or keys for several answers; else ""."""
    for file, side in zip(files, sides, strict=True):
        reused = [case for case, rows in side.items() if len({row.input for row in rows}) > 1]
        if reused and key == "id":
            return f"{file.name} uses ids for several inputs: {examples(reused)}"
        # A few errors in the expected answers do not make it another case.
        several = [case for case, rows in side.items() if _expects_several(rows)]
        if len(several) > _MAX_DIFFERENT * len(side):
            return f"{file.name} expects several answers to one {key}: {examples(several)}"
    return ""


def _expects_several(rows: Sequence[AnswerRow]) -> bool:
    known = [row.expected for row in rows if row.expected is not None]
    return any(_answer_key(answer) != _answer_key(known[0]) for answer in known)


def _different_inputs(base: _Rows, other: _Rows, shared: Iterable[str]) -> list[str]:
    pairs = ((case_id, base[case_id][0].input, other[case_id][0].input) for case_id in shared)
    return [
        case
        for case, first, second in pairs
        if first and second and _plain(first) != _plain(second)
    ]


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


def _reply_counts(side: _Rows) -> list[int]:
    """Return the number of replies to each case that has some."""
    return [sum(map(_is_answered, rows)) for rows in side.values() if any(map(_is_answered, rows))]


def _repeat_notes(files: Sequence[AnswerFile], sides: Sequence[_Rows]) -> Iterator[str]:
    """Yield how many replies to a case each file has, if these differ."""
    counts = [_reply_counts(side) or [0] for side in sides]
    if len(set(chain.from_iterable(counts))) > 1:
        spans = (" to ".join(map(str, sorted({min(one), max(one)}))) for one in counts)
        named = (f"{span} in {file.name}" for file, span in zip(files, spans, strict=True))
        unit = files[0].unit
        runs = "replies" if unit == "case" else "runs"
        yield f"{runs} of a {unit}: {', '.join(named)}; each {unit} counts once, by their mean"


def _unpaired_notes(
    files: Sequence[AnswerFile], sides: Sequence[_Rows], key: str, effect: str
) -> Iterator[str]:
    base, unit = sides[0], files[0].unit
    for file, side in zip(files[1:], sides[1:], strict=True):
        lacking = [short_text(case) for case in base if case not in side]
        if lacking:
            what = f"of {len(base):,} {unit}s of {files[0].name} are not in {file.name}, {effect}"
            yield f"{len(lacking):,} {what}: {examples(lacking)}"
        more = [short_text(case) for case in side if case not in base]
        yield from case_note(more, f"of {file.name} not in {files[0].name}, left out", unit)
        if key == "id":
            different = _different_inputs(base, side, (case for case in base if case in side))
            what = f"with another input in {file.name}; that of {files[0].name} is shown"
            yield from case_note(different, what)


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
        notes += case_note([*differing.values()], what)
        if 2 * len(differing) > len(sides[0]):
            raise _other_answers(notes[-1:])
    return left, notes


def _other_answers(notes: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(
        f"too few cases are left to compare: {', '.join(notes)}; if the rows are those of the same "
        "cases, name the column of the expected answers with --expected"
    )


def _differing_answers(sides: Sequence[_Rows]) -> dict[str, str]:
    """Return the cases with another expected answer in the last file, each with both answers."""
    differing: dict[str, str] = {}
    for case_id in sides[-1]:
        expected = [rows[0].expected for side in sides if (rows := side.get(case_id))]
        answers = [answer for answer in expected if answer is not None]
        if expected[-1] is not None and _answer_key(answers[0]) != _answer_key(expected[-1]):
            texts = (f'"{short_text(str(answer))}"' for answer in (answers[0], expected[-1]))
            differing[case_id] = f"{short_text(case_id)} ({' and '.join(texts)})"
    return differing


def _answer_key(answer: Any) -> str:
    """Return what is common to answers that differ in form alone, as 4, ``"4 "`` and ``["4"]``."""
    if isinstance(answer, list | tuple) and len(answer) == 1:
        return _answer_key(answer[0])
    text = _plain(str(answer))
    return text.lower() if text.lower() in ("true", "false") else _as_number(text)


def with_cases(
    files: Sequence[AnswerFile], cases: AnswerFile, *, by_line: bool = False
) -> tuple[AnswerFile, ...]:
    """Return *files* with the inputs and the expected answers of *cases* where they have none.

    Ids pair them, or else inputs.

    Raises:
        ConfigurationError: a file has no reply to any of the cases.
    """
    if by_line:
        _by_line([*files, cases])
        pairs = ([*zip(file.rows, cases.rows, strict=True)] for file in files)
        return tuple(
            _with_found(file, cases, p, "line") for file, p in zip(files, pairs, strict=True)
        )
    return tuple(_with_cases(file, cases) for file in files)


def _with_cases(file: AnswerFile, cases: AnswerFile) -> AnswerFile:
    ids = [_as_number(_plain(case.id)) for case in cases.rows]
    asked = [_plain(case.input) for case in cases.rows]
    ways = [
        ("id", ids, [row.id for row in file.rows]),
        ("input", asked, [_plain(row.input) for row in file.rows]),
        *_numbered(file, cases),
        *((name, ids, values) for name, values in file.others.items()),
    ]
    problems: list[str] = []
    for key, case_keys, keys in ways:
        groups = {one: tuple(rows) for one, rows in _by_key(cases.rows, case_keys).items() if one}
        found = [groups.get(_as_number(_plain(one)), (None,))[0] for one in keys]
        rows = [*zip(file.rows, found, strict=True)]
        if not _are_found(rows, 0 if key not in _REASONS else len(groups)):
            continue
        problem = _reused([cases], [groups], key)
        if not problem:
            return _with_found(file, cases, rows, key)
        problems += [problem] if problem not in problems else []
    first = [one.rows[0].id for one in (file, cases)]
    known = "the first ids of both are {}".format(" and ".join(f'"{short_text(i)}"' for i in first))
    why = "; ".join(problems) or (known if all(first) else "they share neither ids nor questions")
    remedy = f"give the rows of both the same ids or questions; {_ONE_ORDER}"
    raise ConfigurationError(f"{file.name} cannot be joined with {cases.name}: {why}; {remedy}")


def _numbered(file: AnswerFile, cases: AnswerFile) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield the number at the end of each id, if those of all *cases* are there, or their rows'.

    Examples of batches have ids such as `task-7`, for a table without ids.
    """
    found = [_NUMBERED.fullmatch(row.id) for row in file.rows]
    numbers = [int(one[2]) for one in found if one]
    if len(numbers) < len(file.rows) or len({one[1] for one in found if one}) > 1:
        return
    keys, key = [*map(str, numbers)], "the number at the end of each id"
    if any(case.id for case in cases.rows):
        yield key, [_as_number(_plain(case.id)) for case in cases.rows], keys
        return
    for first in (0, 1):
        rows = range(first, first + len(cases.rows))
        if {*numbers} == {*rows}:
            yield f"{key}, which counts its rows from {first} on", [*map(str, rows)], keys


def _with_found(file: AnswerFile, cases: AnswerFile, rows: _Found, key: str) -> AnswerFile:
    """Return *file* with the cases of its rows, and a sentence on rows without one."""
    left = [
        short_text(row.id or row.input or f"line {row.line}") for row, case in rows if case is None
    ]
    notes = [*case_note(left, f"of {file.name} not in {cases.name}, not scored")]
    if key not in _REASONS:
        notes.append(f"its cases in {cases.name} are found by {key}")
    if "expected" in cases.columns:
        notes.append(f'the expected answers are "{cases.columns["expected"]}" of {cases.name}')
    filled = tuple(_filled(row, case) for row, case in rows)
    return replace(file, rows=filled, notes=(*file.notes, *notes))


def _are_found(rows: _Found, cases: int) -> bool:
    """Return True if *rows* have their cases: most, or most of so many *cases*; 0 for all rows."""
    found = [(row.input, case.input) for row, case in rows if case]
    asked = [(_plain(one), _plain(other)) for one, other in found if one and other]
    different = sum(one != other for one, other in asked)
    is_most = 2 * len(found) > min(len(rows), cases) if cases else len(found) == len(rows)
    return is_most and different <= _MAX_DIFFERENT * len(asked)


def _filled(row: AnswerRow, case: AnswerRow | None) -> AnswerRow:
    if case is None:
        return row
    expected = case.expected if row.expected is None else row.expected
    case_id, asked, tags = row.id or case.id, row.input or case.input, row.tags or case.tags
    return replace(row, id=case_id, input=asked, expected=expected, tags=tags)


def with_expected(rows: Mapping[str, AnswerRow], others: Sequence[_Rows]) -> dict[str, AnswerRow]:
    """Return *rows* with the expected answer of another file where they have none."""
    filled: dict[str, AnswerRow] = {}
    for case_id, row in rows.items():
        found = (other.expected for side in others for other in side.get(case_id, ()))
        first = next((answer for answer in found if answer is not None), None)
        filled[case_id] = row if row.expected is not None else replace(row, expected=first)
    return filled
