"""The checkpoints of a training, gated in one run."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.trained import LEARNS_AND_FORGETS, TUNED, asked, training

from pytest_ftgate.cli.main import main

FILE = "tickets.ftgate.yaml"


def outcomes(desk):
    return {name: verdict["outcome"] for name, verdict in desk.verdicts().items()}


def test_each_checkpoint_has_its_verdicts_and_the_build_goes_by_the_last(desk):
    training(desk, **LEARNS_AND_FORGETS)

    result = desk.run(FILE, "--ftgate-markdown=r.md", "--ftgate-html=r.html")

    assert result.parseoutcomes() == {"failed": 1, "passed": 1, "reported": 4}
    assert outcomes(desk) == {
        "accuracy[tuned-checkpoint-9]": "inconclusive",
        "forgetting[tuned-checkpoint-9]": "passed",
        "accuracy[tuned-checkpoint-20]": "passed",
        "forgetting[tuned-checkpoint-20]": "passed",
        "accuracy[tuned-checkpoint-100]": "passed",
        "forgetting[tuned-checkpoint-100]": "failed",
    }
    result.stdout.fnmatch_lines(
        [
            "  step           accuracy    general skills  outcome",
            "  9              40 % (+40)  100 % (0)       inconclusive: accuracy",
            "  20             90 % (+90)  98 % (−2)       passed",
            "  100 (decides)  98 % (+98)  40 % (−60)      FAILED: forgetting",
            "  Each checkpoint has verdicts of its own. The one that looks best of several*",
            "BLOCKED  1 of 2 gates failed*",
            "tuned: the last checkpoint before the loss: checkpoint-20 (forgetting failed",
            "  from checkpoint-100 on)",
            "tuned: checkpoints that pass all of their gates: checkpoint-20",
        ]
    )
    for name in ("r.md", "r.html"):
        told = desk.path(name).read_text("utf-8")
        assert "the last checkpoint before the loss: checkpoint-20 (forgetting failed" in told


def test_a_training_without_a_loss_passes_whatever_its_first_checkpoints_were(desk):
    training(desk, s1=(100, 0), s2=(5, 1))

    result = desk.run(FILE)

    assert result.ret == 0
    assert outcomes(desk)["accuracy[tuned-checkpoint-1]"] == "failed"
    result.stdout.fnmatch_lines(
        ["PASSED  2 gates*", "tuned: checkpoints that pass all of their gates: checkpoint-2"]
    )
    assert "before the loss" not in result.stdout.str()


def test_the_base_is_asked_once_for_all_checkpoints(desk):
    counts = []
    for steps in ({"s9": (60, 0)}, LEARNS_AND_FORGETS):
        training(desk, **steps)
        desk.run(FILE, f"--ftgate-cache=cache{len(steps)}.sqlite")
        counts.append(sum(line.startswith("base ") for line in asked(desk)))
        desk.path("asked.txt").unlink()

    assert counts[0] == counts[1]


def test_the_verdict_of_a_checkpoint_is_that_of_the_checkpoint_alone(desk):
    training(desk, **LEARNS_AND_FORGETS)
    desk.run(FILE)
    together = desk.verdicts()

    desk.run(FILE, "--ftgate-set", "variants.tuned.adapter=out/checkpoint-20")
    alone = desk.verdicts()

    for gate in ("accuracy", "forgetting"):
        one, other = together[f"{gate}[tuned-checkpoint-20]"], alone[f"{gate}[tuned]"]
        # No alarm level is spent on the other checkpoints.
        assert (one["outcome"], one["checks"]) == (other["outcome"], other["checks"])
        assert (one["gated"], other["gated"]) == (False, True)


#: Options, the exit code, and how many tests ended how.
SELECTED = [
    (["--ftgate-variant=tuned-checkpoint-20", FILE], 0, {"passed": 2, "deselected": 4}),
    (["--ftgate-variant=tuned-checkpoint-100", FILE], 1,
     {"passed": 1, "failed": 1, "deselected": 4}),
    # By its own name the variant is all of them.
    (["--ftgate-variant=tuned", FILE], 1, {"passed": 1, "failed": 1, "reported": 4}),
    (["-k", "tuned-checkpoint-100", FILE], 1, {"passed": 1, "failed": 1, "deselected": 4}),
]  # fmt: skip


@pytest.fixture
def trained(desk):
    training(desk, **LEARNS_AND_FORGETS)
    return desk


def test_a_checkpoint_that_is_selected_decides(trained):
    for options, code, counts in SELECTED:
        result = trained.run(*options)
        assert (result.ret, result.parseoutcomes()) == (code, counts), options


def test_a_run_of_checkpoints_that_do_not_decide_is_not_green(trained):
    result = trained.run(f"{FILE}::forgetting[tuned-checkpoint-20]")

    assert result.ret != 0
    result.stdout.fnmatch_lines(
        [
            (
                "no gate was evaluated; nothing can fail the selected gates; to gate a checkpoint: "
                "--ftgate-variant=tuned-checkpoint-20"
            )
        ]
    )


def test_several_checkpoints_are_not_accepted(trained):
    result = trained.run(FILE, "--ftgate-accept")

    told = (
        'variant "tuned": --ftgate-accept: it is several checkpoints; write the one that you accept'
    )
    result.stdout.fnmatch_lines([f"  tickets.ftgate.yaml:5: {told} into the suite"])
    assert not trained.path("tickets.accepted.json").exists()


def test_checkpoints_are_compared_with_what_was_accepted_of_their_variant(trained):
    trained.edit("checkpoint-*", "checkpoint-20")
    assert trained.run(FILE, "--ftgate-accept").ret == 0
    trained.edit("out/checkpoint-20", "out/checkpoint-*")

    trained.run(FILE)

    kinds = [one["kind"] for one in trained.verdicts()["accuracy[tuned-checkpoint-100]"]["checks"]]
    assert "accepted" in kinds
    assert trained.verdicts()["accuracy[tuned-checkpoint-100]"]["exam"]["losses"] == []


def test_a_checkpoint_that_is_its_base_blocks_no_build_and_says_so(desk):
    training(desk, s1=(100, 0), s2=(5, 1))
    # Before the first step, an adapter changes nothing.
    code = desk.path("conftest.py").read_text("utf-8")
    code = code.replace(
        "adapter = request.messages[-1][1], request.adapter\n", "adapter = _of(request)\n"
    )
    code += (
        "\ndef _of(request):\n    adapter = request.adapter\n"
        "    is_new = adapter and adapter.path.name.endswith('-1')\n"
        "    return request.messages[-1][1], None if is_new else adapter\n"
    )
    desk.path("conftest.py").write_text(code, "utf-8")

    result = desk.run(FILE)

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "  1 * invalid: accuracy, forgetting",
            "tuned: checkpoint-1 is invalid: *",
            "tuned: checkpoints that pass all of their gates: checkpoint-2",
        ]
    )


def test_the_plan_says_by_which_checkpoint_the_build_goes(trained):
    result = trained.run(FILE, "--ftgate-plan")

    result.stdout.fnmatch_lines(
        ["  tuned: 3 checkpoints, each with all gates; the build goes by checkpoint-100"]
    )
    # The others show the same with the same cases.
    assert "accuracy[tuned-checkpoint-20]" not in result.stdout.str()


def test_the_record_has_each_checkpoint_and_reports_are_made_from_it(trained, capsys):
    trained.run(FILE, "--ftgate-json=run.json")
    record = json.loads(trained.path("run.json").read_text("utf-8"))

    found = {one["variant"]: one["checkpoint"] for one in record["verdicts"] if one["checkpoint"]}
    assert found["tuned-checkpoint-20"] == {
        "of": "tuned", "label": "checkpoint-20", "step": 20, "decides": False,
    }  # fmt: skip
    assert main(["report", "run.json"]) == 0
    assert "the last checkpoint before the loss: checkpoint-20" in capsys.readouterr().out


@pytest.mark.heavy
def test_processes_together_come_to_the_same(trained):
    result = trained.run(FILE, "-n2")

    assert result.parseoutcomes() == {"failed": 1, "passed": 1, "reported": 4}
    result.stdout.fnmatch_lines(["tuned: the last checkpoint before the loss: checkpoint-20 *"])


def test_the_ladder_has_one_rung_for_a_training(trained):
    trained.edit("gates:", "ladder: {}\ngates:")

    result = trained.run(FILE, "--ftgate-ladder")

    ladder = result.stdout.str().partition("rung")[2]
    assert "tuned-checkpoint-100" in ladder
    assert "tuned-checkpoint-20 " not in ladder.partition("====")[0]


def test_a_marked_function_reports_each_checkpoint_and_fails_by_the_last(trained):
    trained.marked(
        "def test_it(case, reply):\n    assert reply.text == case.expected\n", mark="min=0.5"
    )
    result = trained.run("test_marked.py")

    assert result.parseoutcomes() == {"passed": 1, "reported": 2}
    result.stdout.fnmatch_lines(["tuned: checkpoints that pass all of their gates: *"])


def test_a_variant_without_gates_is_measured_at_each_checkpoint(desk):
    tuned = TUNED.replace("}", ", gated: false}")
    training(desk, **LEARNS_AND_FORGETS, tuned=tuned, gates="{accuracy: {min: 0.0}}")
    desk.edit("model: small, gated: false}\n  tuned", "model: small}\n  tuned")

    result = desk.run(FILE, "-v")

    result.stdout.fnmatch_lines(["  tuned-checkpoint-9 *40 %*", "  tuned-checkpoint-100 *98 %*"])
