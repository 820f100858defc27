"""Pairs to label outside the terminal: a table for spreadsheets and other tools, and a page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pytest_ftgate.gates.pairs import ShownPair
from pytest_ftgate.readers.label_exports import FORMULA_STARTS
from pytest_ftgate.reporting.html.label_page import label_page
from pytest_ftgate.reporting.label_screen import asked_text, shown_text
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.runner.label_import import key_path, pair_values, write_key
from pytest_ftgate.runner.labelling import Labelling

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
