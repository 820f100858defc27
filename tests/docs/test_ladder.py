"""The pages on the ladder and on training data hold what the code holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.recommend.rules import RULES
from pytest_ftgate.suite.declaration import Thresholds
from pytest_ftgate.suite.ladder import RUNGS
from pytest_ftgate.suite.model import FINDING_KINDS

DOCS = Path(__file__).parents[2] / "docs"
LADDER = (DOCS / "ladder.md").read_text("utf-8")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_of_the_table_stands_on_the_page_with_its_source(rule):
    keys = ", ".join(f"`{key}`" for key in rule.threshold.split(", ") if key)
    cells = (rule.name, rule.question, "yes" if rule.needed else "", keys, rule.source)

    assert f"| {' | '.join(cells)} |" in LADDER


def test_every_threshold_stands_on_the_page_with_its_default():
    for name, default in Thresholds():
        told = str(default).lower() if isinstance(default, bool) else f"{default:g}"
        lines = [line for line in LADDER.split("\n") if line.startswith(f"  {name}: ")]

        assert lines, name
        assert lines[0].split("#")[0].split(": ")[1].strip().rstrip("0").rstrip(".") == (
            told.rstrip("0").rstrip(".")
        )


def test_every_rung_and_every_finding_has_a_row():
    data = (DOCS / "data.md").read_text("utf-8")

    assert [rung for rung in RUNGS if f"| `{rung}` |" not in LADDER] == []
    assert [kind for kind in FINDING_KINDS if f"| `{kind}` |" not in data] == []
