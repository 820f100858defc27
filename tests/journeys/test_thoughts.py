"""Models that think, as their team meets them: in the text, beside it, cut off, switched off."""

from __future__ import annotations

import json
from collections import Counter

from ftgate_testing.chat_server import Said, chat_server

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


FORGETTING = """\
cases: [{{id: one, input: a, expected: b}}]
variants:
  new: {{provider: openai-compatible, base_url: "{url}", model: new, base: old}}
gates:
  accuracy: {{min: 0.5, evidence: point}}
  forgetting: {{skills: [logic], max_drop: 0.3{keys}}}
"""
#: The tokens of each thought.
LONG = 200


def think_first(request):
    """Answer after a thought, if the request leaves room for it."""
    if request["max_tokens"] < LONG:
        return Said("", stop="length", thought="I am asked")
    said = "b" if request["messages"][-1]["content"] == "a" else f"{request['model']} says 7"
    return Said(said, thought="I am asked " * LONG)


def ask_skills(desk, server, *args, keys=""):
    desk.path("s.ftgate.yaml").write_text(FORGETTING.format(url=server.url, keys=keys), "utf-8")
    return desk.run(*args)


def limits(server):
    """Return the token limits of the requests about skills, and how often each model got them."""
    asked = [sent for sent in server.requests if sent["messages"][-1]["content"] != "a"]
    return Counter((sent["model"], sent["max_tokens"] >= LONG) for sent in asked)


def test_a_model_that_is_seen_to_think_gets_room_on_both_sides_and_keeps_it(desk):
    with chat_server(think_first) as server:
        result = ask_skills(desk, server, "--ftgate-accept", "--ftgate-json=run.json")
        asked = len(server.requests)

        few = {model: limits(server)[model, False] for model in ("new", "old")}
        assert few == {"new": 3, "old": 3}
        assert limits(server)["new", True] == limits(server)["old", True] - 15
        result.stdout.no_fnmatch_line("*cut off*")
        assert desk.verdicts()["forgetting[new]"]["facts"]["room to think"] == "2048"
        accepted = json.loads(desk.path("s.accepted.json").read_text("utf-8"))
        assert accepted["rooms"] == {"new": 2048}

        assert main(["cache", "export", "s.ftgate.yaml"]) == 0
        desk.path("s.accepted.json").unlink()
        ask_skills(desk, server, "--ftgate-replies=recorded", "--ftgate-cache=other.sqlite")
        assert len(server.requests) == asked
    assert "forgetting[new]" in desk.verdicts()


def test_the_suite_limits_the_replies_to_every_skills_case(desk):
    with chat_server(think_first) as server:
        ask_skills(desk, server, keys=", max_tokens: 777")

    assert {sent["max_tokens"] for sent in server.requests} == {777, 1024}


def test_the_plan_names_a_thought_that_does_not_fit_and_what_to_change(desk):
    said = Said("delivery", thought="refund or delivery? " * 100)
    with chat_server(thinking(said)) as server:
        write(desk, server)
        desk.run()
        asked = len(server.requests)
        result = desk.run("--ftgate-plan")

        assert len(server.requests) == asked
    told = "new thinks (about 500 tokens), but max_tokens is 64 and cuts it off: set"
    result.stdout.fnmatch_lines([f"  lint: new: {told} max_tokens: 1500, or extra: *"])


THOUGHT_GATES = "{format: {max_drop: 0.3, thoughts: {max_drop: 0.3, max_rise: 0.5}}}"


def thinks_as(lengths):
    """Answer with a thought of as many words as *lengths* has for the model, more or less."""

    def answer(request):
        words = lengths[request["model"]]
        words += words and len(request["messages"][-1]["content"]) + int(
            request["messages"][-1]["content"].split()[-1].strip("?")
        )
        return Said("delivery", thought=" ".join(["hm"] * words))

    return answer


def test_a_fine_tune_that_stopped_thinking_fails_its_gate_and_is_told(desk):
    with chat_server(thinks_as({"plain": 60, "new": 0})) as server:
        write(desk, server, gates=THOUGHT_GATES)
        result = desk.run("--ftgate-json=run.json")

    result.assert_outcomes(passed=1, failed=1)
    verdict = desk.verdicts()["format[new]"]
    assert verdict["headline"].startswith("replies with a thought down 100 points ")
    assert drifts(verdict)["thoughts"] == (1.0, 0.0)
    result.stdout.fnmatch_lines(
        [
            "✗ format[[]new]   THOUGHTS DOWN 100 POINTS *",
            "    replies with a thought: plain 100 % → new 0 %",
            "    40 of 40 cases lost their thought, 0 got one",
            "    fix     train on answers that keep the thoughts of the base",
        ]
    )


def drifts(verdict):
    """Return what has drifted by its name, with the value before and now."""
    return {one["what"]: (one["before"], one["after"]) for one in verdict["drifts"]}


def test_thoughts_that_may_go_pass_once_their_limit_is_left_out(desk):
    with chat_server(thinks_as({"plain": 60, "new": 0})) as server:
        write(desk, server, gates=THOUGHT_GATES)
        desk.run().stdout.fnmatch_lines(["*raise the limit under thoughts*"])
        write(desk, server, gates="{format: {max_drop: 0.3}}")

        result = desk.run()
    result.assert_outcomes(passed=2)
    # They are told all the same.
    result.stdout.fnmatch_lines(["*0 % of replies begin with a thought, 100 % before*"])
    assert drifts(desk.verdicts()["format[new]"])["thoughts"] == (1.0, 0.0)


def test_a_fine_tune_that_thinks_twice_as_long_fails_its_gate_and_is_told(desk):
    with chat_server(thinks_as({"plain": 60, "new": 150})) as server:
        write(desk, server, gates=THOUGHT_GATES)
        result = desk.run("-v")

    result.assert_outcomes(passed=1, failed=1)
    verdict = desk.verdicts()["format[new]"]
    assert verdict["headline"].startswith("length of a thought up 92 % ")
    result.stdout.fnmatch_lines(
        [
            "*thoughts are 1.9 times as long as before (median 294 → 564*",
            "✗ format[[]new]   length of a thought up 92 % * limit +50 %",
            "    plain 294 characters → new 564 characters",
        ]
    )
