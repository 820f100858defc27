from __future__ import annotations

import json
from dataclasses import replace

from ftgate_testing.reports import failing_run

from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.reporting.next_steps import step_command
from pytest_ftgate.results.run import as_typed, load_verdicts, node_id, store_verdicts


def stored(folder, change):
    """Store a verdict, then *change* it in the file."""
    verdict = failing_run(["a wrong reply"]).verdicts[0]
    store_verdicts(folder, [verdict])
    path = folder / "verdicts.jsonl"
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))) + "\n", "utf-8")
    return verdict


def test_a_stored_verdict_is_loaded_as_it_was_and_not_with_fields_of_an_older_version(tmp_path):
    verdict = stored(tmp_path, lambda values: values)

    assert load_verdicts(tmp_path) == (verdict,)

    # Its count of regressed cases stands under an older name, and would be read as none.
    def older(values):
        return {**{k: v for k, v in values.items() if k != "regressed"}, "lost": 83}

    stored(tmp_path, older)

    assert load_verdicts(tmp_path) == ()


def test_a_command_of_a_verdict_names_the_gate_as_the_user_types_it():
    verdict = failing_run(["a wrong reply"]).verdicts[0]
    step = NextStep(StepKind.SHOW_REGRESSED, {"node": node_id(verdict)})

    typed = as_typed(replace(verdict, next=(step,)), lambda name: f"../{name}")

    assert node_id(typed) == f"../{node_id(verdict)}"
    assert step_command(typed.next[0]) == f'pytest --ftgate -vv "../{node_id(verdict)}"'
