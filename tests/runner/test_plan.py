"""The plan of a run: its requests, at least and at most, and what it says about adapters."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

from ftgate_testing.fake_provider import House
from ftgate_testing.judge_suites import suite_with_judge, write_rows
from ftgate_testing.tables import every_row
from ftgate_testing.tickets import EXAMPLE

from pytest_ftgate.gates.design import Look
from pytest_ftgate.runner.evaluate_gate import evaluate_gate
from pytest_ftgate.runner.plan import adapter_lines, estimate_variants, turn_lines
from pytest_ftgate.runner.planner import GateRun, gate_runs_of
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.loader import load_suite

SUITE = """
cases: [{{input: hello, expected: b}}]
variants:
  base: {{provider: llamacpp, model: smollm2-135m}}
  half: {{like: base, adapter: {adapter}, scale: 0.5}}
gates: {{accuracy: {{min: 0.5}}}}
"""


def lines(folder, adapter):
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE.format(adapter=adapter), "utf-8")
    suite = load_suite(path, folder)
    gates = [SimpleNamespace(suite=suite, variant=variant) for variant in suite.variants.values()]
    return [*adapter_lines(gates)]


def test_the_plan_says_how_strongly_each_adapter_counts(tmp_path):
    adapter = EXAMPLE / "tickets-narrow.gguf"

    assert lines(tmp_path, adapter) == ["  half: adapter scale 0.5 × 16/8 = 1"]


def test_the_plan_names_a_file_that_counts_otherwise_than_the_config_beside_it(tmp_path):
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", tmp_path / "a.gguf")
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 8}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))

    assert lines(tmp_path, "a.gguf") == [
        "  half: adapter scale 0.5 × 16/8 = 1, 2 times that of adapter_config.json"
    ]


# Least and most ---------------------------------------------------------------------------------

EARLY = "{accuracy: {max_drop: 0.05, stop_early: true}}"
TWO_DAYS = 172_800.0


def to_send(session, gates) -> dict[str, tuple[int, int]]:
    """Return how many requests each row of the plan sends at least and at most."""
    estimates, errors = estimate_variants(session, gates)
    assert errors == []
    return {
        one.most.variant: (one.least.to_send, one.most.to_send)
        for one in estimates
        if one.most.to_send
    }


def gates_of(house: House) -> list[GateRun]:
    return gate_runs_of(house.suite())


@every_row(
    "gates, base, of_current, of_draft",
    [
        # A fifth of the cases, and fifteen replies of variant and base, or all of them.
        (EARLY, "", (20, 100), (20, 100)),
        (EARLY, "parent", (20, 100), (20 + 3 * 15, 100 + 3 * 60)),
        ("{accuracy: {max_drop: 0.05, settle: 4}}", "", (100, 400), (100, 400)),
        ("{accuracy: {max_drop: 0.05}}", "", (100, 100), (100, 100)),
        # Another gate needs every reply in any case.
        ("{accuracy: {max_drop: 0.05, stop_early: true}, format: {min: 0.5}}", "", (100, 100),
         (100, 100)),
    ],
)  # fmt: skip
def test_a_plan_counts_what_is_sent_if_the_first_replies_decide_and_if_they_do_not(
    house, gates, base, of_current, of_draft
):
    house.write(gates, base=base)

    assert to_send(house.session(), gates_of(house)) == {"current": of_current, "draft": of_draft}


@every_row("current", ["model: current", "model: current, gated: false"])
def test_a_run_that_is_accepted_asks_every_case(house, current):
    house.write(EARLY)
    path = house.folder / "s.ftgate.yaml"
    path.write_text(path.read_text("utf-8").replace("model: current", current), "utf-8")

    rows = to_send(house.session(accept=True), gates_of(house))

    assert rows == {"current": (100, 100), "draft": (100, 100)}


def test_wrong_must_pass_cases_may_be_asked_again(house):
    house.write("{accuracy: {min: 0.5, max_drop: none}}")
    text = (house.folder / "s.cases.jsonl").read_text("utf-8")
    (house.folder / "s.cases.jsonl").write_text(
        text.replace('"id": "t000"', '"id": "t000", "must_pass": true'), "utf-8"
    )

    rows = to_send(house.session(), gates_of(house))

    assert rows == {"current": (100, 102), "draft": (100, 102)}


def test_what_is_cached_is_in_no_range(house):
    house.write(EARLY)
    session, gates = house.session(), gates_of(house)
    evaluate_gate(session, gates[0])

    # The baseline has answered its first block: its last one is still to come, if it is needed.
    assert to_send(session, gates) == {"current": (0, 80), "draft": (20, 100)}


def test_a_judge_grades_the_replies_of_the_first_look_at_least(tmp_path, house, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    judge = "{rubric: Is it polite?, model: {provider: anthropic, model: judge}}"
    gates = "{accuracy: {min: 0.5, stop_early: true}}"
    suite = suite_with_judge(tmp_path, judge, gates=gates, cases=50)

    rows = to_send(house.session(), gate_runs_of(suite))

    assert rows == {"secret-lora": (10, 50), "the judge": (10, 50)}


def test_held_out_cases_are_asked_once_of_the_chosen_rung(house):
    house.write("{accuracy: {min: 0.5, max_drop: none}}")
    text = (house.folder / "s.cases.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    write_rows(
        house.folder / "s.cases.jsonl", [{**row, "holdout": n < 7} for n, row in enumerate(rows)]
    )

    sent = to_send(house.session(), gates_of(house))

    assert sent == {"current": (93, 93), "draft": (93, 93), "held out": (0, 7)}


def test_a_baseline_that_was_recorded_days_ago_may_be_asked_again_in_part(house):
    house.write("{accuracy: {max_drop: 0.05}}")
    session, gates = house.session(), gates_of(house)
    evaluate_gate(session, gates[0])
    session.close()
    with sqlite3.connect(house.folder / "cache.sqlite") as database:
        database.execute("UPDATE replies SET at = at - ?", (TWO_DAYS,))

    # Of a hundred cases, twenty.
    assert to_send(house.session(), gates) == {"draft": (100, 120)}


def test_the_plan_names_who_may_take_more_turns_than_it_counts(house):
    house.write("{accuracy: {min: 0.5}}")
    suite = house.suite()
    agent = replace(suite.variants["draft"], tools=("desk:look_up",), max_turns=3)
    suite = replace(suite, variants={**suite.variants, "draft": agent})
    function = RateGate(kind="accuracy", line=1, min=0.5, function="test_talks")
    talk = GateRun(suite, function, suite.variants["current"], look=Look(), planned=False)

    assert [*turn_lines([GateRun(suite, suite.gates["accuracy"], agent)])] == [
        "  more: later turns are not counted: draft (up to 3 a case)"
    ]
    assert [*turn_lines([talk])] == ["  more: later turns are not counted: test_talks"]
    assert [*turn_lines(gates_of(house))] == []
