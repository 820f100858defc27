"""The page of faults is what the table of the tests makes, and each cell names a test."""

from __future__ import annotations

import re
from pathlib import Path

from ftgate_testing.faults import LOCAL_FAULTS, PROMISES, nodes, page

ROOT = Path(__file__).parents[2]


def test_the_page_of_faults_is_what_the_table_makes():
    # After a change: python docs/site.py faults
    assert (ROOT / "docs" / "contributing" / "faults.md").read_text("utf-8") == "\n".join(
        page()
    ) + "\n"


def test_every_fault_has_a_cell_for_each_promise():
    assert {len(row.cells) for row in LOCAL_FAULTS} == {len(PROMISES)}


def test_each_cell_names_a_test():
    named = [node.split("::") for node in sorted({*nodes()})]

    assert [
        (path, name)
        for path, name in named
        if not re.search(rf"^def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)
    ] == []
