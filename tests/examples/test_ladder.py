"""The example with every rung: its cases are those of the tickets, and every rung is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pytest_ftgate.suite.loader import load_suite

ROOT = Path(__file__).parents[2]
LADDER = load_suite(ROOT / "examples/ladder/ladder.ftgate.yaml", ROOT)


def test_the_cases_are_the_first_five_of_each_category_of_the_tickets():
    tickets = load_suite(ROOT / "examples/tickets/tickets.ftgate.yaml", ROOT)
    seen: Counter[str] = Counter()
    first = []
    for case in tickets.cases:
        seen[str(case.expected)] += 1
        first += [(case.id, case.input, case.expected)] * (seen[str(case.expected)] <= 5)

    assert [(case.id, case.input, case.expected) for case in LADDER.cases] == first


def test_every_rung_that_runs_without_a_key_is_a_variant():
    variants = LADDER.variants.values()

    assert any(variant.shot_pool for variant in variants)
    assert any(variant.constrained and not variant.tools for variant in variants)
    assert any(variant.retrieve for variant in variants)
    assert any(variant.tools for variant in variants)
    assert any(variant.provider == "classical" for variant in variants)
    assert any(variant.adapter for variant in variants)


def test_the_handbook_knows_every_category():
    sections = (ROOT / "examples/ladder/handbook.md").read_text("utf-8").split("\n## ")[1:]

    assert {one.split("\n")[0] for one in sections} == {str(c.expected) for c in LADDER.cases}
