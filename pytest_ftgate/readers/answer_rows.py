"""Rows of answers: what a file of any tool says about one reply, and the columns that hold it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.readers.agent_runs import RunFacts, missing_note
from pytest_ftgate.readers.table import Row
from pytest_ftgate.readers.text import error_note, first_of, text_of, value_at

#: The roles of columns, each with the names under which tools write it, the likeliest first.
_NAMES: Mapping[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "id": "id case_id sample_id example_id question_id doc_id item_id row_id test_id custom_id "
        "uid uuid key idx index",
        "input": "inputs.input inputs.question inputs.messages input inputs question prompt query "
        "user_input instruction problem messages text sentence frage pregunta",
        "expected": "reference_outputs.answer reference_outputs.output expected expected_output "
        "expected_answer reference reference_answer target gold golden ground_truth "
        "references answers answer_key label reference_outputs erwartet attendu esperado",
        # What was found in a reply comes before the whole of it.
        "reply": "outputs.answer outputs.output reply prediction predicted predict pred response "
        "completion output generated generation actual hypothesis candidate outputs",
        "score": "score correct is_correct passed success exact_match acc accuracy grade "
        "feedback.correctness feedback.score",
        "tags": "tags tag category topic subject task",
    }.items()
}
_ANSWERS = (
    "(?:answer|output|response|reply|text|prediction|label|class|category|option|choice|value"
    "|intent|sentiment|topic|solution|summary|translation|code|sql|query|tool|action|decision"
    "|verdict|result)s?"
)
#: Words of columns that hold the replies of a model, or figures.
_OF_A_MODEL = (
    "model|generated|pred|actual|llm|bot|assistant|system|extracted|parsed|rag|base|tuned"
    "|finetuned|student"
)
#: What the names of columns are made of, where none of the usual ones is there.
_MADE_OF: Mapping[str, re.Pattern[str]] = {
    role: re.compile(rf"(?:{pattern})")
    for role, pattern in {
        "input": r"(?:input|prompt|question|query)_(?:text|string|content|body)"
        r"|(?!system)\w+_(?:input|prompt|question|query)",
        "reply": r"(?:(?:\w+_)?pred(?:icted)?|model|generated|extracted|parsed|actual|llm|bot"
        r"|assistant|system)_\w*"
        rf"{_ANSWERS}|\w+_prediction",
        "expected": rf"gold_\w*{_ANSWERS}|(?:expected|correct|reference|true|ideal|target)_"
        rf"\w*{_ANSWERS}|(?!is_|has_|(?:{_OF_A_MODEL})[a-z]*_)\w+_answer",
    }.items()
}
#: A reply beside a column of expected answers, or an expected answer beside one of replies.
_EITHER = ("answer", "final_answer", "antwort", "réponse", "respuesta")
#: Words for a right and for a wrong reply. C, I, P and N are those of Inspect.
_SCORES: Mapping[str, float] = {
    **dict.fromkeys(("true", "yes", "correct", "pass", "passed", "right", "c"), 1.0),
    **dict.fromkeys(("wahr", "ja", "richtig", "vrai", "oui", "sí"), 1.0),
    **dict.fromkeys(("false", "no", "incorrect", "fail", "failed", "wrong", "i", "n"), 0.0),
    **dict.fromkeys(("falsch", "nein", "faux", "non"), 0.0),
    "p": 0.5,
}
#: What the names of metrics have, as those of ragas.
_METRIC = re.compile(r"score|faithful|relevan|recall|precision|similarity|correctness")
#: A share as tables of many languages have it. Three decimals may be thousands.
_DECIMAL_COMMA = re.compile(r"[01],\d{1,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns that a user names; "" for one that is to be guessed.

    Attributes:
        by: the columns whose values become tags.
        scores: False if the file's own scores are not read.
    """

    id: str = ""
    input: str = ""
    expected: str = ""
    reply: str = ""
    score: str = ""
    by: tuple[str, ...] = ()
    scores: bool = True

    @property
    def first_keys(self) -> frozenset[str]:
        """The keys of a record that the named columns lie in, or that are called so."""
        paths = (self.id, self.input, self.expected, self.reply, self.score, *self.by)
        return frozenset(key for path in paths for key in (path, path.partition(".")[0]) if key)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One reply to one case.

    Attributes:
        line: the line of the file, or 1 if its format has no lines.
        id: of the case, or "" if the file has none.
        expected: the accepted answers, or None.
        reply: its text, or None if there is none.
        score: 0 to 1 as the file states it, or None.
        choices: the number of answers of which the model chose one, or 0.
        run: what the file says about the run that brought the reply, or None.
    """

    line: int
    id: str = ""
    input: str = ""
    expected: Any = None
    reply: str | None = None
    score: float | None = None
    tags: tuple[str, ...] = ()
    choices: int = 0
    run: RunFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFile:
    """A file of answers, whatever tool wrote it.

    Attributes:
        name: the path as the user wrote it.
        tool: the tool whose format it has, or "" for a table.
        columns: the column of each role, as it is called in the file.
        others: the values of each other column with a text or a number in all rows.
        unread: the columns that have no role.
        notes: sentences on what the file has and the rows have not.
        unit: what the tool calls a case: ``case``, ``task`` or ``test``.
    """

    path: Path
    name: str
    tool: str = ""
    rows: tuple[AnswerRow, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unit: str = "case"


@dataclass(frozen=True, slots=True)
class RawFile:
    """The parsed content of a file.

    Attributes:
        rows: the records of a table or of a list; empty for a document.
        document: the object that the file holds, or None.
        part: what the user wants of a file with several results, written ``PATH::PART``.
    """

    path: Path
    name: str
    rows: tuple[Row, ...] = ()
    document: Mapping[str, Any] | None = None
    part: str = ""


def score_of(value: Any, place: str) -> float | None:
    """Return a score as a number from 0 to 1, or None if there is none.

    Raises:
        ConfigurationError: the value is no score; *place* says where it stands.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.strip().lower() in _SCORES:
        return _SCORES[value.strip().lower()]
    if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value.strip()):
        value = value.replace(",", ".")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isnan(number):
        return None
    if not 0 <= number <= 1:
        shown = ("{}" if isinstance(value, int | float) else '"{}"').format(str(value)[:40])
        raise ConfigurationError(
            f"{place}: the score is {shown}; a score is 0 to 1, or true or false: divide by the "
            "largest grade, or score the replies by a rule (--scorer exact)"
        )
    return number


def tags_of(record: Any, columns: Columns, guessed: str = "") -> tuple[str, ...]:
    """Return the tags of a record: the values of the columns ``by``, else of *guessed*."""
    paths = columns.by or ((guessed,) if guessed else ())
    tags: list[str] = []
    for path in paths:
        value = value_at(record, path)
        values = value if isinstance(value, list | tuple) else [value]
        if isinstance(value, str) and path in ("tags", "tag"):
            values = value.replace(",", " ").split()
        texts = [text for text in map(text_of, values) if text]
        tags += [f"{path}: {text}" if len(paths) > 1 else text for text in texts]
    return tuple(dict.fromkeys(tags))


def input_in(record: Mapping[str, Any]) -> str:
    """Return the question in a record of a data set, or ""."""
    return text_of(first_of(record, _NAMES["input"]), role="user") or ""


# Tables ------------------------------------------------------------------------------------------


def read_table(raw: RawFile, columns: Columns, *, needs_reply: bool) -> AnswerFile:
    """Return the answers of a table, whose columns are named or guessed.

    Raises:
        ConfigurationError: a named column does not exist, or there are no replies.
    """
    names = list(dict.fromkeys(key for row in raw.rows for key in row.value))
    columns = columns if columns.scores else replace(columns, score="")
    if "=" in raw.part and raw.part not in names:
        raw = replace(raw, rows=_rows_with(raw, names))
    elif raw.part:
        columns = replace(columns, reply=raw.part)
    named = _named_columns(raw, columns, names)
    left_out = {"score"} if needs_reply and not columns.scores else set[str]()
    left_out |= set() if needs_reply else {"reply", "score"}
    roles = [role for role in _NAMES if role not in left_out]
    used = {**guess_columns(_paths(raw, names), roles, named), **named}
    if "reply" not in used and needs_reply:
        used = _with_replies(raw, used, named, names)
    if columns.by:
        used["tags"] = ", ".join(columns.by)
    carried = {*used.values(), *columns.by} | {path.partition(".")[0] for path in used.values()}
    rest = [name for name in names if name and name not in carried]
    shares = [
        name for name in rest if needs_reply and "score" not in used and _is_shares(raw, name)
    ]
    return AnswerFile(
        path=raw.path,
        name=raw.name,
        rows=tuple(_table_row(raw, row, used, columns) for row in raw.rows),
        columns=used,
        others={name: values for name in rest if (values := _plain_values(raw.rows, name))},
        unread=tuple(name for name in rest if name not in shares),
        notes=(_scores_not_read(shares),) if shares else (),
    )


def _is_shares(raw: RawFile, name: str) -> bool:
    """Return True if a column has nothing but shares, such as the metrics of ragas."""
    values = [row.value.get(name) for row in raw.rows]
    with suppress(TypeError, ValueError):
        shares = [float(value) for value in values if value not in (None, "")]
        # Whole numbers alone may be labels, or counts.
        is_metric = _METRIC.search(name.lower()) or any(share % 1 for share in shares)
        return bool(is_metric and shares) and all(0 <= share <= 1 for share in shares)
    return False


def _scores_not_read(names: Sequence[str]) -> str:
    return f"scores not read: {', '.join(names)} (--score names one)"


def _with_replies(
    raw: RawFile, used: Mapping[str, str], named: Mapping[str, str], names: Sequence[str]
) -> dict[str, str]:
    """Return the columns *used* with that of the replies, which has no name of its own.

    Raises:
        ConfigurationError: there are neither replies nor scores.
    """
    if _ends_with_a_reply(raw.rows, used.get("input", "")):
        return {**used, "reply": used["input"]}
    if "score" in used:
        return {**used}
    # Beside ids alone, a text is the reply.
    is_alone = "id" in used and used.keys().isdisjoint(("expected", "tags"))
    if not is_alone or used.get("input") != "text" or "input" in named:
        raise _no_replies(raw, names)
    return {"reply" if role == "input" else role: path for role, path in used.items()}


def _rows_with(raw: RawFile, names: Sequence[str]) -> tuple[Row, ...]:
    """Return the rows with the value that the user wants: ``PATH::COLUMN=VALUE``.

    Raises:
        ConfigurationError: there is no such column, or no such value in it.
    """
    column, _, wanted = raw.part.partition("=")
    path = raw.name.partition("::")[0]
    if column not in names:
        hint = did_you_mean(column, names) or f"; columns: {', '.join(names[:12])}"
        raise ConfigurationError(f'{path} has no column "{column}"{hint}')
    values = [text_of(row.value.get(column)) or "" for row in raw.rows]
    if wanted not in values:
        found = [*dict.fromkeys(values)]
        hint = did_you_mean(wanted, found) or f"; it has {', '.join(found[:12])}"
        raise ConfigurationError(f'{path}: {column}: no row has "{wanted}"{hint}')
    return tuple(row for row, value in zip(raw.rows, values, strict=True) if value == wanted)


def _plain_values(rows: Sequence[Row], name: str) -> list[str]:
    """Return the values of a column as texts; none unless each row has a text or a number."""
    values = [row.value.get(name) for row in rows]
    is_plain = all(isinstance(value, str | int) and value != "" for value in values)
    return [str(value).strip() for value in values] if is_plain else []


def _paths(raw: RawFile, names: Sequence[str]) -> list[str]:
    """Return the columns of a table, and before each that holds objects those inside it."""
    first = raw.rows[0].value if raw.rows else {}
    inner = (
        [f"{name}.{key}" for key in first[name]] if isinstance(first.get(name), Mapping) else []
        for name in names
    )
    return [path for name, paths in zip(names, inner, strict=True) for path in (*paths, name)]


def _ends_with_a_reply(rows: Sequence[Row], column: str) -> bool:
    """Return True if *column* has conversations, and the assistant has the last turn in each."""
    talks = [value_at(row.value, column) for row in rows] if column else []
    is_talk = all(isinstance(talk, list) and talk for talk in talks)
    last = [talk[-1] for talk in talks] if is_talk else []
    return bool(last) and all(
        isinstance(turn, Mapping) and turn.get("role") == "assistant" for turn in last
    )


def _no_replies(raw: RawFile, names: Sequence[str]) -> ConfigurationError:
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")  # noqa: PLR2004
    return ConfigurationError(
        f"{raw.name}: no column is known to hold replies or scores; name one with --reply "
        f"or --score, in a suite with columns: {{reply: COLUMN}} (columns: {shown})"
    )


def _named_columns(raw: RawFile, columns: Columns, names: Sequence[str]) -> dict[str, str]:
    named = {role: path for role, path in asdict(columns).items() if path and role in _NAMES}
    for role, path in [*named.items(), *(("by", path) for path in columns.by)]:
        if not any(value_at(row.value, path) is not None for row in raw.rows):
            hint = did_you_mean(path, names) or f"; columns: {', '.join(names[:12])}"
            raise ConfigurationError(f'{raw.name}: {role}: no row has a "{path}"{hint}')
    return named


def guess_columns(
    names: Sequence[str], roles: Sequence[str], named: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Return the column of each of *roles* that is not *named* and has one of its usual names."""
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in names}
    free = {key: name for key, name in plain.items() if name not in named.values()}
    guessed: dict[str, str] = {}
    for role in roles:
        found = (free[name] for name in _NAMES[role] if name in free)
        first = None if role in named else next(found, None)
        if first is not None:
            guessed[role] = first
    for role, pattern in _MADE_OF.items():
        if role in roles and role not in {**guessed, **named}:
            made = [free[name] for name in free.keys() - {*_EITHER} if pattern.fullmatch(name)]
            # Of several columns the user has to name one.
            if len(made) == 1 and made[0] not in guessed.values():
                guessed[role] = made[0]
    either = next((free[name] for name in _EITHER if name in free), None)
    if either is not None and either not in guessed.values():
        is_expected = "reply" not in roles or "reply" in {**guessed, **named}
        role = "expected" if is_expected else "reply"
        if role not in {**guessed, **named}:
            guessed[role] = either
    return guessed


def _table_row(raw: RawFile, row: Row, used: Mapping[str, str], columns: Columns) -> AnswerRow:
    values = {role: value_at(row.value, path) for role, path in used.items() if role != "tags"}
    tags = tags_of(row.value, columns, used.get("tags", ""))
    return _answer_row(row.line, values, tags, f"{raw.name}:{row.line}")


def _answer_row(
    line: int, values: Mapping[str, Any], tags: tuple[str, ...], place: str
) -> AnswerRow:
    """Return a row of the *values* of its roles; *place* is where they stand, for messages."""
    expected = values.get("expected")
    has_answer = expected not in ("", []) and text_of(expected) is not None
    return AnswerRow(
        line=line,
        id=text_of(values.get("id")) or "",
        input=text_of(values.get("input"), role="user") or "",
        expected=expected if has_answer else None,
        reply=text_of(values.get("reply")),
        score=score_of(values.get("score"), place),
        tags=tags,
    )


# Files of tools ----------------------------------------------------------------------------------


class ToolFormat(NamedTuple):
    """What a tool writes for each reply to a case.

    Attributes:
        name: of the format.
        sample: what messages call one reply; "" if its line names it.
        paths: where its value of each role is, unless the user names another.
        find: returns what a file holds; None if another tool wrote it.
        read: returns one reply with the score of a name, which is "" if the file has none; or None
            if it has no such score.
        tags: where its tags are, or "".
        unit: what it calls a case, as in `AnswerFile`.
    """

    name: str
    sample: str
    paths: Mapping[str, str]
    find: Callable[[RawFile], Found | None]
    read: Callable[[Any, str], Sample | None]
    tags: str = ""
    unit: str = "case"


class Found(NamedTuple):
    """What a file of a tool holds.

    Attributes:
        replies: as the format's ``read`` takes them.
        scores: the names of its scores; the first is read, unless the user names another.
        notes: sentences on what the replies have not.
    """

    replies: Iterable[Any]
    scores: Iterable[str]
    notes: Iterable[str] = ()


class Sample(NamedTuple):
    """One reply to a case, as a tool has written it.

    Attributes:
        record: what the user may name as columns.
        values: those of roles that the record does not hold as they are.
        is_error: True if there is neither a reply nor a score.
        missing: why the run says nothing about its agent, so that it has neither; or "".
    """

    record: Mapping[str, Any]
    score: Any
    values: Mapping[str, Any] = {}
    is_error: bool = False
    missing: str = ""
    line: int = 1
    choices: int = 0
    run: RunFacts | None = None


def part_of(raw: RawFile, names: Sequence[str], what: str) -> str:
    """Return the one of *names* that the user wants, by a part of it that no other has.

    *what* are the results that the file holds, for messages.

    Raises:
        ConfigurationError: no name, or several, have that part.
    """
    exact = [name for name in names if name == raw.part]
    matches = exact or [name for name in names if raw.part in name]
    if len(matches) == 1:
        return matches[0]
    path = raw.name.partition("::")[0]
    known = ", ".join(f'"{path}::{name}"' for name in names)
    several = f" holds {len(names)} {what}"
    problem = f': none of its {what} alone is called "{raw.part}"' if raw.part else several
    raise ConfigurationError(f"{path}{problem}; write one of {known}")


def read_tool(raw: RawFile, columns: Columns, tool: ToolFormat) -> AnswerFile | None:
    """Return the answers of a file of *tool*, with the names of what was read; None for another.

    Raises:
        ConfigurationError: the file does not have the score that the user names.
    """
    held = tool.find(raw)
    if held is None:
        return None
    found = [*dict.fromkeys(held.scores)]
    # lm-evaluation-harness writes its filter behind the name of a metric.
    short = (name for name in found if name.partition(",")[0] == columns.score)
    score = columns.score if columns.score in found else next(short, columns.score)
    if score and score not in found:
        hint = did_you_mean(score, found) or f"; it has {', '.join(found) or 'none'}"
        raise ConfigurationError(f'{raw.name}: --score: there is no score "{score}"{hint}')
    score = score or next(iter(found), "")
    used = {role: getattr(columns, role) or path for role, path in tool.paths.items()}
    used |= {"score": score} if score and columns.scores else {}
    used |= {"tags": ", ".join(columns.by)} if columns.by else {}
    others = [name for name in found if name != used.get("score")]
    samples = [*filter(None, (tool.read(reply, score) for reply in held.replies))]
    errors = sum(sample.is_error for sample in samples)
    lost = [*error_note(errors, len(samples), tool.sample or "row")]
    lost += missing_note([sample.missing for sample in samples])
    return AnswerFile(
        path=raw.path,
        name=raw.name,
        tool=tool.name,
        unit=tool.unit,
        rows=tuple(_tool_row(raw, columns, tool, sample) for sample in samples),
        columns=used,
        notes=(*lost, *held.notes, *([_scores_not_read(others)] if others else ())),
    )


def _tool_row(raw: RawFile, columns: Columns, tool: ToolFormat, sample: Sample) -> AnswerRow:
    values: dict[str, Any] = {"score": sample.score if columns.scores else None}
    for role, path in tool.paths.items():
        named = getattr(columns, role)
        value = value_at(sample.record, named or path)
        # A row that lacks the named column is still paired by what the tool has.
        is_apart = not named or (role in ("id", "input") and value in (None, ""))
        values[role] = sample.values.get(role, value) if is_apart else value
    if sample.is_error or sample.missing:
        values |= {"reply": None, "score": None}
    place = f" {tool.sample} {text_of(values['id'])}" if tool.sample else str(sample.line)
    tags = tags_of(sample.record, columns, tool.tags)
    row = _answer_row(sample.line, values, tags, f"{raw.name}:{place}")
    return replace(row, choices=sample.choices, run=sample.run)


def answer_in(record: Mapping[str, Any]) -> Any:
    """Return the expected answer in a record of a data set, or None."""
    return first_of(record, (*_NAMES["expected"], *_EITHER))
