"""What docs/scores.md shows of scores and formats is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import Forms
from pytest_ftgate.scoring.scorers import content
from pytest_ftgate.suite.declaration import DeclaredJudge
from pytest_ftgate.suite.formats import FORMATS, Format
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.scorers import OPTIONS, SCORES, Score

PAGE = (Path(__file__).parents[2] / "docs" / "scores.md").read_text("utf-8")


def rows(head: str) -> list[list[str]]:
    """Return the cells of the table that begins with *head*, without their backquotes."""
    start = PAGE.index(f"{head}\n")
    table = PAGE[start:].split("\n\n")[0].split("\n")[2:]
    # No cell holds a bar: these tables have no such example.
    return [[_bare(cell) for cell in line.strip("|").split("|")] for line in table]


def _bare(cell: str) -> str:
    """Return a cell without its backquotes; a blank within them is part of it."""
    code = re.fullmatch(r"`(.*)`", cell.strip())
    return code[1] if code else cell.strip()


def rule(written: str) -> Any:
    """Return a rule as it would stand in a suite: a name, a name with options, or a list."""
    bare = re.fullmatch(r"[a-z_]+", written) or written.startswith("[")
    return yaml.safe_load(written if bare else f"{{{written}}}")


def case(**parts: Any) -> Case:
    return Case(id="a", where="c.jsonl:1", input="q", **parts)


@pytest.mark.parametrize(
    ("score", "expected", "reply", "worth"), rows("| score | expected | reply | worth |")
)
def test_a_reply_is_worth_what_the_page_says(score, expected, reply, worth):
    read = TypeAdapter(Score).validate_python(rule(score))
    plain = "regex" in score
    one = case(expected=expected if plain else yaml.safe_load(expected), score=read)

    assert content(one, Reply(text=reply), Path()).value == pytest.approx(float(worth))


@pytest.mark.parametrize(
    ("form", "reply", "fault", "meant"), rows("| format | reply | fault | meant rightly |")
)
def test_a_reply_is_broken_as_the_page_says(form, reply, fault, meant):
    read = TypeAdapter(Format).validate_python(rule(form))
    broken = Forms(Path()).broken(case(score=Rule("exact"), format=read), Reply(text=reply))

    assert (broken.kind if broken else "") == fault
    assert (broken is None or broken.meant) is (meant == "yes")


def named(head: str) -> Iterator[str]:
    for first, *_ in rows(head):
        yield from re.findall(r"[a-z_]+", first)


def test_every_score_and_every_format_has_its_row():
    assert sorted(named("| kind | right when |")) == sorted(SCORES)
    assert sorted(named("| kind | value | holds when |")) == sorted(FORMATS)


def test_every_option_of_a_score_is_told():
    missing = [
        f"{kind}: {name}"
        for kind, options in OPTIONS.items()
        for name in options.model_fields
        if f"`{name}" not in PAGE
    ]

    assert missing == []


def test_every_key_of_a_judge_is_told():
    assert sorted(named("| key | type (default) | meaning |")) == sorted(DeclaredJudge.model_fields)
