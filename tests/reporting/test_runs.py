"""The table of an agent's runs in words."""

from __future__ import annotations

from pytest_ftgate.gates.figure import Figure, RunRow
from pytest_ftgate.gates.run_figures import Amount
from pytest_ftgate.reporting.number_text import RUN_AMOUNTS
from pytest_ftgate.reporting.runs import run_table
from pytest_ftgate.reporting.tables import table_lines


def figure(value, low=None, high=None, unit="share", n=15):
    return Figure(unit=unit, value=value, low=low, high=high, n=n, units=n)


def test_every_amount_has_a_name():
    assert [*RUN_AMOUNTS] == [*map(str, Amount)]


def test_shares_have_the_interval_of_each_side_and_amounts_that_of_the_change():
    price = [figure(value, 0.1, 0.9, "usd_per_success") for value in (0.42, 0.61)]
    rows = [
        RunRow(name="pass^3", before=figure(0.4, 0.14, 0.71), after=figure(0.32, 0.09, 0.64)),
        RunRow(
            name="usd_per_success", before=price[0], after=price[1], rise=figure(0.45, 0.1, 0.9)
        ),
        RunRow(name="tokens", before=None, after=figure(54_530.2, 5e4, 6e4, "tokens")),
        RunRow(name="uses", skill="pdf", before=figure(0.0), after=figure(14 / 15)),
    ]

    assert [*map(list, run_table(rows).rows)] == [
        ["pass^3", "40 % (14 to 71)", "32 % (9 to 64)", ""],
        ["cost per success", "0.42 USD", "0.61 USD", "+45 % (+10 to +90)"],
        ["tokens of a run", "not known", "54,530 (50,000 to 60,000)", ""],
        ["used pdf", "0 of 15 runs", "14 of 15 runs", ""],
    ]


def test_without_a_baseline_there_is_one_column_of_values():
    rows = [RunRow(name="seconds", after=figure(12.34, 11.0, 13.0, "seconds"))]

    table = run_table(rows)

    assert (table.headers, table.rows) == (
        ["runs", "value (95 % CI)"],
        [["seconds of a run", "12.3 (11.0 to 13.0)"]],
    )


def test_an_amount_that_few_runs_state_says_how_many():
    price = Figure(unit="usd_per_success", value=0.11, n=40, units=40, missing=20)
    rows = [RunRow(name="usd_per_success", before=figure(0.2), after=price)]

    assert run_table(rows).rows[0][1:] == ["0.20 USD", "0.11 USD, 40 of 60 runs", ""]


def test_a_skill_cannot_speak_to_the_terminal_nor_fill_the_screen():
    rows = [RunRow(name="uses", skill="\x1b[2J\n::error::" + "x" * 90, after=figure(1.0))]

    lines = table_lines(run_table(rows))

    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert not any(line.strip().startswith("::") for line in lines)
