"""A test over a table runs every row, and tells of each that fails."""

from __future__ import annotations

import inspect

import pytest
from ftgate_testing.tables import every_row


def test_every_row_is_run_with_the_fixtures_of_the_test_and_all_that_fail_are_told():
    seen = []

    @every_row("left", [1, 2])
    @every_row(("right", "wanted"), [(1, 2), (2, 3)])
    def adds(fixture, left, right, wanted):
        seen.append((fixture, left, right))
        assert left + right == wanted

    with pytest.raises(ExceptionGroup, match="1 of 2 rows fail") as raised:
        adds(fixture="f")

    assert seen == [("f", 1, 1), ("f", 1, 2), ("f", 2, 1), ("f", 2, 2)]
    (outer,) = raised.value.exceptions
    assert outer.__notes__ == ["in the row {'left': 2}"]
    assert [error.__notes__[0] for error in outer.exceptions] == [
        "in the row {'right': 1, 'wanted': 2}",
        "in the row {'right': 2, 'wanted': 3}",
    ]
    assert [*inspect.signature(adds).parameters] == ["fixture"]


def test_a_table_without_rows_or_with_other_ids_is_refused():
    for rows, ids in (([], None), ([1, 2], ["one"])):
        with pytest.raises(ValueError, match="a table has rows"):
            every_row("value", rows, ids)
