"""Models that think, as their team meets them: in the text, beside it, cut off, switched off."""

from __future__ import annotations

import json

import pytest
from chat_server import Said, chat_server

from pytest_ftgate.cli.main import main

CASES = [
    {"id": f"c{n}", "input": f"Where is parcel {n}?", "expected": "delivery"} for n in range(40)
]
SUITE = """\
prompt: p.md
cases: c.jsonl
reply: {{format: {{choice: [delivery, refund]}}, max_tokens: 64{reply}}}
variants:
  plain: {{provider: openai-compatible, base_url: "{url}", model: plain}}
  new: {{like: plain, model: new}}
gates: {gates}
"""
GATES = "{accuracy: {max_drop: 0.3}, format: {max_drop: 0.3}}"


def write(desk, server, *, reply="", gates=GATES):
    desk.path("p.md").write_text("Sort the ticket.", "utf-8")
    desk.write_rows("c.jsonl", CASES)
    text = SUITE.format(url=server.url, reply=reply, gates=gates)
    desk.path("s.ftgate.yaml").write_text(text, "utf-8")


def thinking(said):
    """Answer as a plain model does, and the model "new" as *said* says."""
    return lambda request: said if request["model"] == "new" else Said("delivery")


@pytest.mark.parametrize(
    "said",
    [
        Said("<think>\nrefund or delivery?\n</think>\n\ndelivery"),
        Said("delivery", thought="refund or delivery?"),
    ],
    ids=["in the text", "beside the text"],
)
def test_a_model_that_thinks_is_scored_by_its_answer(desk, said):
    with chat_server(thinking(said)) as server:
        write(desk, server)
        desk.run().assert_outcomes(passed=4)


def test_a_thought_that_is_cut_off_fails_both_gates_and_says_what_to_change(desk):
    with chat_server(thinking(Said("<think>\ndelivery, or", stop="length"))) as server:
        write(desk, server)
        result = desk.run("-vv", "--ftgate-json=run.json")

    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*thought*delivery, or*",
            "*truncated: the thought took all of max_tokens: 64; raise it,",
            "*or write extra: {chat_template_kwargs: {enable_thinking:*",
        ]
    )
    answers = json.loads(desk.path("run.json").read_text("utf-8"))["suites"][0]["cases"]
    assert {case["answers"]["new"]["thought"] for case in answers} == {"delivery, or"}
    assert {case["answers"]["new"]["text"] for case in answers} == {""}


def test_thoughts_are_scored_again_without_a_request_where_the_suite_says_so(desk, capsys):
    with chat_server(thinking(Said("<think>refund?</think>delivery"))) as server:
        write(desk, server)
        desk.run().assert_outcomes(passed=4)
        asked = len(server.requests)
        write(desk, server, reply=", thoughts: false")
        result = desk.run()

        assert len(server.requests) == asked
    result.assert_outcomes(passed=2, failed=2)
    assert main(["explain", "s.ftgate.yaml::format[new]"]) == 0
    assert "not in enumeration" in capsys.readouterr().out
