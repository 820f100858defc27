"""A base chooses the levels of its skills, as its team meets it: planned, run, accepted, again."""

from __future__ import annotations

import json

from ftgate_testing.chat_server import Said, chat_server

from pytest_ftgate.suite.cases import leveled_cases

FAMILIES = ("hard-mathematics", "hard-instructions", "hard-knowledge")
#: The hardest level that the base answers as a rule.
MASTERED = {"hard-mathematics": 3, "hard-instructions": 0, "hard-knowledge": 4}
SUITE = """\
cases: [{{id: one, input: a, expected: b}}]
variants:
  new: {{provider: openai-compatible, base_url: "{url}", model: new, base: old}}
gates:
  forgetting: {{skills: [hard-mathematics, hard-instructions, hard-knowledge], max_drop: 0.1}}
"""
CASES = {
    tuple(text for _, text in case.messages) or (case.input,): (family, case)
    for family in FAMILIES
    for level in (*range(1, 6), None)
    for case in leveled_cases(family, level)
}


def answer(request):
    """Answer as a base that masters some levels in part, and a fine-tune that lost mathematics."""
    asked = tuple(message["content"] for message in request["messages"])
    if asked not in CASES:
        return Said(f"{request['model']} says {len(asked[-1])}")
    family, case = CASES[asked]
    number = int("".join(filter(str.isdigit, case.id[-3:])))
    lost = 4 if request["model"] == "new" and family == "hard-mathematics" else 0
    is_right = case.difficulty <= MASTERED[family] and number % 10 < 8 - lost
    return Said(f"Answer: {case.answers[0]}" if is_right else f"{request['model']} wonders")


def test_a_base_chooses_the_levels_once_and_the_accepted_record_keeps_them(desk):
    with chat_server(answer) as server:
        desk.path("s.ftgate.yaml").write_text(SUITE.format(url=server.url), "utf-8")
        plan = desk.run("--ftgate-plan")
        result = desk.run(
            "-v", "--ftgate-accept", "--ftgate-accept-failed", "--ftgate-json=run.json"
        )
        asked = len(server.requests)
        again = desk.run("-v", "--ftgate-json=run.json")
        assert len(server.requests) == asked

    plan.stdout.fnmatch_lines(
        ["*chooses the levels by 300 pilot requests of the above, which are sent first*"]
    )
    for shown in (result, again):
        shown.stdout.fnmatch_lines(["    fell    hard-mathematics 80 → 40"])
    result.stdout.fnmatch_lines(
        [
            "*note: levels: hard-mathematics 3 (base right in 80 %)*",
            "*note: hard-instructions is left out: the base is right in*",
        ]
    )
    accepted = json.loads(desk.path("s.accepted.json").read_text("utf-8"))
    chosen = {"hard-instructions": 0, "hard-knowledge": 4, "hard-mathematics": 3}
    assert accepted["skill_levels"] == {"new": chosen}
    facts = desk.verdicts()["forgetting[new]"]["facts"]
    assert facts["level of hard-mathematics"] == "3"
    of_new = {sent["messages"][-1]["content"] for sent in server.requests if sent["model"] == "new"}
    levels = {
        (family, case.difficulty) for (text,), (family, case) in CASES.items() if text in of_new
    }
    assert levels == {("hard-knowledge", 4), ("hard-mathematics", 3)}
