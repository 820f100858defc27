"""The lines of code of each room stand in docs/weight.md, and grow only together with it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def weight():
    spec = importlib.util.spec_from_file_location("weight", DOCS / "weight.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["weight"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["weight"]


@pytest.fixture(scope="module")
def weights(weight):
    return weight.weights()


@pytest.fixture
def limits(weight):
    return weight.rows(weight.PAGE.read_text("utf-8"))


def test_every_room_has_the_weight_of_its_row(weight, weights, limits):
    assert weight.problems(weights, limits) == []


def test_every_row_says_why_its_room_last_grew(limits):
    assert [room for room, row in limits.items() if not row.reason.strip()] == []


@every_row("more, said", [
    (50, "50 above its row: delete some, or raise the row"),
    (-101, "101 below its row: lower it with python docs/site.py weight"),
])  # fmt: skip
def test_a_room_that_differs_from_its_row_is_named_with_what_to_do(
    weight, weights, limits, more, said
):
    found = {**weights, "gates": limits["gates"].lines + more}

    (problem,) = weight.problems(found, limits)

    assert problem.startswith("gates has ")
    assert said in problem


def test_a_new_room_needs_a_row(weight, weights, limits):
    assert weight.problems({**weights, "toys": 3}, limits) == ["docs/weight.md has no row of toys"]


def test_rows_are_lowered_by_the_command_and_never_raised(weight):
    page = "| `a` | 1,200 | tests |\n| `b` | 300 | more |\n"

    lowered = weight.lowered(page, {"a": 1_100, "b": 400})

    assert lowered == "| `a` | 1,100 | tests |\n| `b` | 300 | more |\n"


def test_blank_lines_comments_and_docstrings_weigh_nothing(weight):
    source = '''"""A module."""

# A comment.
VALUE = (
    1,  # the first
    2,
)


def function():
    """Return nothing.

    In two paragraphs.
    """
    text = """two
    lines"""
    return text
'''
    assert weight.code_lines(source) == 4 + 1 + 2 + 1
