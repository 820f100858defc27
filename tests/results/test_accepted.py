from dataclasses import replace
from pathlib import Path

import pytest
from columns import case, column, row, suite

from pytest_ftgate.errors import SuiteFaults
from pytest_ftgate.gates.rates import Sides, judge_rate
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, ToolCall
from pytest_ftgate.results.accepted import Record, accepted_of, kept, read_record, write_record
from pytest_ftgate.results.verdicts import verdict_from_json, verdict_to_json
from pytest_ftgate.scoring.scores import Column, Row, rests_on
from pytest_ftgate.suite.model import RateGate
from pytest_ftgate.suite.rule import Rule

HERE = Path()
GATE = RateGate(kind="accuracy", line=7, max_drop=0.05)


def test_a_verdict_survives_its_journey_as_json() -> None:
    baseline, worse = column("current", [1.0] * 100), column("new", [0.0] * 100)
    verdict = judge_rate(suite(GATE), GATE, Sides(worse, baseline))

    assert verdict_from_json(verdict_to_json(verdict)) == verdict


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    record = Record(
        suite="s.ftgate.yaml",
        at="2026-11-24",
        variants={"new": kept(column("new", [1.0, 0.0]), HERE)},
    )
    write_record(tmp_path / "s.accepted.json", record)

    assert read_record(tmp_path / "s.accepted.json", "s.ftgate.yaml") == record


def test_a_record_holds_a_case_a_line_and_no_reply(tmp_path: Path) -> None:
    path = tmp_path / "s.accepted.json"
    cells = kept(column("new", [1.0], text="late_delivery"), HERE)
    write_record(path, Record(suite="s", at="now", variants={"new": cells}))

    (line,) = [line for line in path.read_text("utf-8").splitlines() if '"c000"' in line]
    assert "late_delivery" not in path.read_text("utf-8")
    assert line.strip().startswith('"c000": [1.0, 1.0, 1, "')


def test_without_a_record_nothing_was_accepted(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none.json", "s") is None
    assert accepted_of(None, suite(GATE), "new", "accuracy") is None


@pytest.mark.parametrize("text", ["", "{}", '{"suite": 1}', "<<<<<<< HEAD"])
def test_a_broken_record_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.accepted.json"
    path.write_text(text)

    with pytest.raises(SuiteFaults, match=r"s\.accepted\.json: .*restore it or delete it"):
        read_record(path, "s.ftgate.yaml")


def test_a_record_of_a_later_format_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "s.accepted.json"
    write_record(path, Record(suite="s", at="now", format=99))

    with pytest.raises(SuiteFaults, match="record format 99 is newer"):
        read_record(path, "s.ftgate.yaml")


def test_a_case_whose_yardstick_changed_is_stale_and_left_out() -> None:
    made = column("new", [1.0, 1.0])
    cases = [row.case for row in made.rows.values()]
    now = replace(suite(GATE), cases=(cases[0], replace(cases[1], expected="other")))

    accepted = accepted_of(
        Record(suite="s", at="now", variants={"new": kept(made, HERE)}), now, "new", "accuracy"
    )

    assert set(accepted.cells.keys) == {"c000"}
    assert accepted.stale == 1


def test_the_same_reply_to_the_same_call_rests_on_the_same_thing() -> None:
    once, again = (kept(Column("new", {"a": row("a", 1.0, "refund")}), HERE) for _ in range(2))
    other = kept(Column("new", {"a": row("a", 1.0, "Refund.")}), HERE)

    assert once["a"].rests_on == again["a"].rests_on != other["a"].rests_on


def test_the_same_words_after_another_call_of_a_tool_rest_on_another_thing() -> None:
    def after(name: str) -> Row:
        steps = (Step("", (ToolCall(name=name, arguments={}),)),)
        return replace(row("a", 1.0, "refund"), replies=(Reply(text="refund", steps=steps),))

    plain = row("a", 1.0, "refund")
    found = [rests_on(one) for one in (plain, after("look"), after("look"), after("pay"))]
    assert found[1] == found[2]
    assert len(set(found)) == 3


def test_an_edited_python_scorer_makes_what_was_accepted_stale(tmp_path: Path) -> None:
    (tmp_path / "marks.py").write_text("def close(case, reply): return 1\n")
    by_code = replace(case("a"), score=Rule("python", "marks:close"))
    made = Column("new", {"a": replace(row("a", 1.0, "refund"), case=by_code)})
    record = Record(suite="s", at="now", variants={"new": kept(made, tmp_path)})
    now = replace(suite(GATE), cases=(by_code,), path=tmp_path / "s.ftgate.yaml")
    assert accepted_of(record, now, "new", "accuracy").stale == 0

    (tmp_path / "marks.py").write_text("def close(case, reply): return 0.1  # stricter\n")

    assert accepted_of(record, now, "new", "accuracy").stale == 1
