"""A test over a table tries every row, and tells all that fail."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row


def test_every_row_is_tried_and_all_that_fail_are_told():
    tried = []

    @every_row(("one", "other"), [(1, 1), (1, 2), (3, 3), (4, 5)])
    def test(one, other):
        tried.append(one)
        assert one == other

    with pytest.raises(ExceptionGroup, match="2 of 4 rows fail") as raised:
        test()

    assert tried == [1, 1, 3, 4]
    assert [error.__notes__ for error in raised.value.exceptions] == [
        ["row 1: one=1, other=2"],
        ["row 3: one=4, other=5"],
    ]


def test_a_row_that_should_have_raised_fails_too():
    @every_row("text", ["1", "no"])
    def test(text):
        with pytest.raises(ValueError, match="invalid literal"):
            int(text)

    with pytest.raises(BaseExceptionGroup) as raised:
        test()

    assert [error.__notes__ for error in raised.value.exceptions] == [["row 0: text='1'"]]


@every_row("name", ["a", "b"])
@every_row("value", [1, 2])
def test_each_row_has_a_folder_and_a_patch_of_its_own(tmp_path, monkeypatch, name, value):
    assert not [*tmp_path.iterdir()]
    (tmp_path / name).touch()
    assert getattr(every_row, "mark", None) is None
    monkeypatch.setattr(every_row, "mark", value, raising=False)


def test_a_table_has_rows():
    with pytest.raises(AssertionError, match="a test over no rows tests nothing"):
        every_row("text", [])
