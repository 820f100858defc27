"""The ladder in a terminal."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.reporting.ladder import ladder_lines


@every_row("length", [68, 69])
def test_a_number_and_its_percent_sign_stay_in_one_line(advice, length):
    noted = replace(advice, notes=(text_note(f"{'x' * length} 90 % of all"),))

    assert not any(line.lstrip().startswith("%") for line in ladder_lines(noted))
