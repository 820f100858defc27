"""The pages on the ladder and on training data hold what the code holds."""

from __future__ import annotations

import re

from ftgate_testing.pages import page

from pytest_ftgate.recommend.rules import RULES
from pytest_ftgate.suite.declaration import Thresholds
from pytest_ftgate.suite.gate_kinds import FINDING_KINDS
from pytest_ftgate.suite.ladder import RUNGS

LADDER = page("ladder")


def test_the_table_of_the_page_has_the_rules_in_their_order_each_with_question_and_source():
    table = LADDER.split("| rule | asks |")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]

    assert [(name, needed == "yes") for name, _, needed, _, _ in rows] == [
        (rule.name, rule.needed) for rule in RULES
    ]
    assert all(question.endswith("?") and source for _, question, _, _, source in rows)
    keys = {key for *_, written, _ in rows for key in re.findall(r"`(\w+)`", written)}
    assert keys == {*Thresholds.model_fields}


def test_every_threshold_stands_on_the_page_with_its_default():
    for name, default in Thresholds():
        told = str(default).lower() if isinstance(default, bool) else f"{default:g}"
        lines = [line for line in LADDER.split("\n") if line.startswith(f"  {name}: ")]

        assert lines, name
        assert lines[0].split("#")[0].split(": ")[1].strip().rstrip("0").rstrip(".") == (
            told.rstrip("0").rstrip(".")
        )


def test_every_rung_and_every_finding_has_a_row():
    data = page("data")

    assert [rung for rung in RUNGS if f"| `{rung}` |" not in LADDER] == []
    assert [kind for kind in FINDING_KINDS if f"| `{kind}` |" not in data] == []
