"""The pages on the ladder and on training data hold what the code holds."""

from __future__ import annotations

import re
import shlex

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.pages import page

from pytest_ftgate.recommend.rules import RULES
from pytest_ftgate.suite.gate_kinds import FINDING_KINDS
from pytest_ftgate.suite.ladder import RUNGS
from pytest_ftgate.suite.loader import load_suite

LADDER = page("ladder")
LABELS = ("billing", "refund", "other")
#: How many of a hundred cases each model has wrong.
WRONG = {"claude-haiku-5-5": 30, "claude-opus-5-5": 8, "tuned": 2, "base": 60}


def test_the_table_of_the_page_has_the_rules_in_their_order_each_with_question_and_source():
    table = LADDER.split("| rule | asks |")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]

    assert [(name, needed == "yes") for name, _, needed, _, _ in rows] == [
        (name, needed) for name, _, needed in RULES
    ]
    assert all(question.endswith("?") and source for _, question, _, _, source in rows)


def test_every_rung_and_every_finding_has_a_row():
    data = page("data")

    assert [rung for rung in RUNGS if f"| `{rung}` |" not in LADDER] == []
    assert [kind for kind in FINDING_KINDS if f"| `{kind}` |" not in data] == []


def answer_of(skills: dict[str, str]):
    """Return a server's answers: those of a few models, by what they get wrong."""

    def answer(request):
        text = request["messages"][-1]["content"]
        found = re.fullmatch(r"Ticket (\d+) about (\w+)", text)
        if not found:
            # The fine-tune writes otherwise than its base, which is how it is told from it.
            said = skills.get(text, "no idea")
            return Said(f"I would say {said}" if request["model"] == "tuned" else said)
        number, label = int(found[1]), found[2]
        wrong = WRONG[request["model"]] - 15 * (len(request["messages"]) > 2)
        return Said(label if number % 100 >= wrong else LABELS[LABELS.index(label) - 1])

    return answer


@pytest.mark.heavy
def test_the_ladder_is_climbed_as_the_page_says(pytester, monkeypatch):
    """The suite stands as on the page; its models are on loopback."""
    suite = re.findall(r"```yaml\n(.*?)```", LADDER, re.DOTALL)[0]
    hosted = "provider: openai-compatible, base_url_env: LADDER_URL"
    path = pytester.path / "tickets.ftgate.yaml"
    text = suite.replace("provider: anthropic", hosted)
    local = "provider: llamacpp, model: base.gguf, adapter: out/checkpoint-500"
    path.write_text(text.replace(local, f"{hosted}, model: tuned, base: base"), "utf-8")
    (pytester.path / "tickets.md").write_text("Answer with one label.\n", "utf-8")
    tickets = [(n, LABELS[n % 3]) for n in range(400)]
    cases = [{"input": f"Ticket {n} about {label}", "expected": label} for n, label in tickets]
    for name, rows in (("cases", cases[:100]), ("train", cases[100:])):
        write_rows(pytester.path / f"tickets.{name}.jsonl", rows)
    loaded = load_suite(path, pytester.path)
    skills = {case.input: str(case.expected) for case in loaded.gates["forgetting"].cases}
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (typed,) = re.findall(r"^```\n(pytest.*?)```", LADDER, re.DOTALL | re.MULTILINE)
    plan, climb = [[*shlex.split(line, comments=True)[1:-1], "."] for line in typed.splitlines()]

    with chat_server(answer_of(skills)) as server:
        monkeypatch.setenv("LADDER_URL", server.url)
        planned = pytester.runpytest_inprocess(*plan)
        assert server.requests == []
        climbed = pytester.runpytest_inprocess(*climb)

    assert planned.ret == pytest.ExitCode.OK
    climbed.stdout.fnmatch_lines(
        [
            "  tickets.ftgate.yaml: the ladder, least effort first",
            "  classical  *100 % (96 to 100)*",
            "  prompt * 70 % (60 to 79) *",
            "  few-shot * 85 % (76 to 91) * up 15 *",
            "  strong * 92 % (85 to 96) * up 7 *",
            "  tuned * 98 % (93 to 100) * up 6 *",
            "  FINE-TUNING NOT JUSTIFIED (gap*): serve classical",
            "  * gap * against * tuned 98 % against classical 100 %*",
        ]
    )
    assert "INVALID" not in climbed.stdout.str()
