"""Pairs to label outside the terminal, as a table or a page, and the labels that come back."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, SuiteError
from pytest_ftgate.gates.disagreements import known_truths
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.pairs import ShownPair
from pytest_ftgate.readers.label_exports import FORMULA_STARTS, ExportedLabel, quoted, read_exported
from pytest_ftgate.readers.source import Source, fold_similar
from pytest_ftgate.reporting.html.label_page import label_page
from pytest_ftgate.reporting.label_screen import asked_text, shown_text
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.runner.labelling import Labelling
from pytest_ftgate.suite.model import input_digest
from pytest_ftgate.suite.pair_labels import PairAnswer, PairLabel, pair_label, telling_key

#: The keys of a label that a pair has before anybody labels it.
_PAIR_KEYS = ("draw", "place", "id", "input", "first", "second", "instruction", "again")


def pair_values(pair: ShownPair) -> dict[str, Any]:
    """Return what a label of *pair* has beside the answer, in whatever form it is kept."""
    label = pair.label(PairAnswer.UNKNOWN, "")
    return {key: getattr(label, key) for key in _PAIR_KEYS}


def key_path(table: Path) -> Path:
    """Return the file that holds the pairs of *table*, which a reviewer need not see."""
    return table.with_suffix(".key.json")


def write_key(path: Path, pairs: Iterable[ShownPair]) -> None:
    """Write what the ids of *pairs* stand for."""
    values = {pair.id: pair_values(pair) for pair in pairs}
    path.write_text(json.dumps(values, ensure_ascii=False, indent=0) + "\n", "utf-8")


def _read_key(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no key of a table: {error}") from error
    pairs = values.items() if isinstance(values, dict) else ()
    return {name: pair for name, pair in pairs if isinstance(pair, dict)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedLabels:
    """What came of a file of labels.

    Attributes:
        added: the labels that are new.
        repeated: the number of those that were there already.
        gap: the note on labels that do not count yet, since an input before them has none.
    """

    added: tuple[PairLabel, ...]
    repeated: int
    gap: Note | None


@dataclass(frozen=True, slots=True)
class LabelImport:
    """How a file of labels is read.

    Attributes:
        by: who labelled, where the file does not say it.
        judge: the model that labelled, or "".
        key: the file of the pairs; None for the one beside the table, if there is one.
    """

    by: str
    judge: str = ""
    key: Path | None = None

    def read(self, given: Labelling, path: Path) -> ImportedLabels:
        """Return the labels in *path*, of which none is written yet.

        Raises:
            SuiteError: a label cannot be used; lists every error, and how many labels are fine.
            ConfigurationError: there is no such file.
        """
        if not path.is_file():
            raise ConfigurationError(f"there is no file {path}")
        source = Source(root=Path.cwd(), path=path)
        found = [*self._labels(source, given, path)]
        fine = [label for label in found if isinstance(label, PairLabel)]
        fine = _without_contradictions(source, given, fine)
        if not found and not source.errors:
            source.add_error(0, "holds no label; fill in the column label, or label in the page")
        if source.errors:
            name = f"{path} ({quantity(len(fine), 'label')} fine, none taken over)"
            raise SuiteError(name, fold_similar(source.errors))
        known = {replace(label, location="") for label in given.inputs.labels}
        added = [label for label in fine if replace(label, location="") not in known]
        truths = known_truths([*given.labels, *added], given.inputs.version)
        behind, place = given.draw.behind_gap(truths), len(given.draw.labelled(truths))
        gap = given.draw.order[place].cases[0].id if behind else ""
        behind_gap = note(NoteKind.LABELS_BEHIND_GAP, n=behind, place=place + 1, id=gap)
        return ImportedLabels(
            added=tuple(replace(label, location="") for label in added),
            repeated=len(fine) - len(added),
            gap=behind_gap if behind else None,
        )

    def _labels(self, source: Source, given: Labelling, path: Path) -> Iterator[PairLabel | None]:
        beside = self.key or key_path(path)
        pairs = _read_key(beside) if beside.is_file() else {}
        pairs |= {pair.id: pair_values(pair) for pair in given.pairs}
        inputs = {input_digest(case) for case in given.inputs.cases}
        for exported in read_exported(source, path):
            line = exported.row.line
            value = exported.row.value
            if told := telling_key(value) or telling_key(value.get("data")):
                source.add_error(line, told)
                return
            pair = pairs.get(exported.pair) if isinstance(exported.pair, str) else exported.pair
            if pair is None:
                remedy = "name its key with --key, or write a new table; the replies have changed"
                source.add_error(line, f"no pair has the id {quoted(exported.pair)}: {remedy}")
                continue
            label = self._label(source, exported, pair)
            if label and (problem := _problem(given, inputs, label)):
                source.add_error(line, problem)
            else:
                yield label

    def _label(
        self, source: Source, exported: ExportedLabel, pair: Mapping[str, Any]
    ) -> PairLabel | None:
        by = self.judge or exported.by or self.by
        own = {"answer": exported.answer, "by": by, "judge": bool(self.judge)}
        value = {**pair, **own, "expected": exported.expected}
        return pair_label(source, exported.row._replace(value=value))


def _problem(given: Labelling, inputs: set[str], label: PairLabel) -> str:
    if label.instruction != given.inputs.version:
        return "the instruction or the score has changed since: label the pairs again"
    if label.input not in inputs:
        return f"no input of this suite is {quoted(label.id)}; import into the suite that wrote it"
    if label.second is None and label.answer in (PairAnswer.SECOND, PairAnswer.BOTH):
        return "the row has one reply: write 1 where it is right, n where it is wrong, or s"
    return ""


def _without_contradictions(
    source: Source, given: Labelling, labels: Iterable[PairLabel]
) -> list[PairLabel]:
    """Return *labels* without those that say another thing than the same person did of a pair."""
    known, fine = {_place(label): label for label in given.inputs.labels}, list[PairLabel]()
    own = Counter[tuple[Any, ...]]()
    for label in labels:
        place, line = _place(label), int(label.location.rpartition(":")[2])
        who = " ".join(label.by.split())
        own[place] += 1
        before = known.get(place)
        if own[place] > 1:
            source.add_error(line, f"{who} labels {quoted(label.id)} twice; keep one row")
        elif before and before.answer != label.answer:
            problem = f"{who} answered {quoted(label.id)} by {before.answer} before"
            remedy = f"remove {before.location or 'that label'}, or this row"
            source.add_error(line, f"{problem}, and {label.answer} here; {remedy}")
        else:
            fine.append(label)
    return fine


def _place(label: PairLabel) -> tuple[Any, ...]:
    return label.input, frozenset([label.first, label.second]), label.by, label.again


_COLUMNS = ("pair_id", "input", "reply_1", "reply_2", "label", "expected", "note")


def write_table(path: Path, _: Labelling, pairs: Sequence[ShownPair], __: str) -> list[Path]:
    """Write *pairs* as a CSV file, and what their ids stand for beside it; return both."""
    # Excel reads UTF-8 only with a mark at the start.
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([_COLUMNS, *map(_cells, pairs)])
    write_key(key := key_path(path), pairs)
    return [path, key]


def _cells(pair: ShownPair) -> tuple[str, ...]:
    replies = (pair.first, pair.second)
    texts = (asked_text(pair.case), *(shown_text(text or "") for text in replies))
    return pair.id, *map(_cell, texts), "", "", ""


def _cell(text: str) -> str:
    """Return *text* as a spreadsheet shows it: a formula would be run."""
    text = escape_controls(text)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def write_page(path: Path, given: Labelling, pairs: Sequence[ShownPair], by: str) -> list[Path]:
    """Write a page to label *pairs* in, for a person called *by* or "" for anybody."""
    shown = [{"label": pair_values(pair), **_texts(pair)} for pair in pairs]
    path.write_text(label_page(shown, given.inputs.instruction, by), "utf-8")
    return [path]


def _texts(pair: ShownPair) -> dict[str, object]:
    replies = [pair.first] if pair.second is None else [pair.first, pair.second]
    return {"asked": asked_text(pair.case), "replies": [*map(shown_text, replies)]}
