"""What docs/scores.md and the reference of keys show of scores and formats is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ftgate_testing.pages import page
from pydantic import TypeAdapter

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import FormatChecker
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.suite.formats import FORMAT_KINDS, DeclaredFormat
from pytest_ftgate.suite.javascript import node_path
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.score_rules import DeclaredScore
from pytest_ftgate.suite.scorers import SCORE_KINDS

PAGE = page("scores")
KEYS = page("reference/suite-keys")


def rows(head: str, text: str = PAGE) -> list[list[str]]:
    """Return the cells of the table that begins with *head*, without their backquotes."""
    start = text.index(f"{head}\n")
    table = text[start:].split("\n\n", maxsplit=1)[0].split("\n")[2:]
    # No cell holds a bar: these tables have no such example.
    return [[_bare(cell) for cell in line.strip("|").split("|")] for line in table]


def rows_of_rules(head: str) -> list[list[str]]:
    """Return the rows of a table of rules, without those that need a program that is not here."""
    return [row for row in rows(head, KEYS) if node_path() or not row[0].startswith("javascript")]


def _bare(cell: str) -> str:
    """Return a cell without its backquotes; a blank within them is part of it."""
    code = re.fullmatch(r"`(.*)`", cell.strip())
    return code[1] if code else cell.strip()


def rule(written: str) -> Any:
    """Return a rule as it would stand in a suite: a name, a name with options, or a list."""
    bare = re.fullmatch(r"[a-z_]+", written) or written.startswith("[")
    return yaml.safe_load(written if bare else f"{{{written}}}")


def case(**parts: Any) -> Case:
    return Case(id="a", location="c.jsonl:1", input="q", **parts)


def score_of(score: str, expected: str, reply: str) -> float:
    read = TypeAdapter(DeclaredScore).validate_python(rule(score))
    plain = "regex" in score
    one = case(expected=expected if plain else yaml.safe_load(expected), score=read)
    return score_content(one, Reply(text=reply), Path()).value


def test_every_reply_has_the_score_that_the_page_states():
    head = "| score | expected | reply | value |"
    stated = {(*row,): float(value) for *row, value in rows_of_rules(head)}

    assert {row: score_of(*row) for row in stated} == pytest.approx(stated)


def format_error_of(form: str, reply: str) -> tuple[str, bool]:
    """Return the kind of a format error, or "", and whether a lenient reading lets it pass."""
    read = TypeAdapter(DeclaredFormat).validate_python(rule(form))
    error = FormatChecker(Path()).find_error(
        case(score=Rule("exact"), format=read), Reply(text=reply)
    )
    return (error.kind, error.lenient) if error else ("", True)


def test_every_reply_has_the_format_error_that_the_page_states():
    stated = rows_of_rules("| format | reply | format error | lenient |")

    assert [[form, reply, *format_error_of(form, reply)] for form, reply, *_ in stated] == [
        [form, reply, kind, lenient == "yes"] for form, reply, kind, lenient in stated
    ]


def named(head: str) -> Iterator[str]:
    for first, *_ in rows(head):
        yield from re.findall(r"[a-z_]+", first)


def test_every_score_and_every_format_has_its_row():
    assert sorted(named("| kind | right when |")) == sorted(SCORE_KINDS)
    assert sorted(named("| kind | value | holds when |")) == sorted(FORMAT_KINDS)
