"""A fine-tune that forgot, as its team meets it: recorded, served, under the product's prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.tables import heavy

from pytest_ftgate.cli.main import main
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.suite.cases import skill_cases

KNOWN = Path(__file__).parents[1] / "skills"
SKILLS = ("reading", "logic", "memory")
KEYS = "skills: [reading, logic, memory], max_drop: 0.10"


def known(kind, names=SKILLS):
    """Return the replies that the tests know to be right, or to be wrong, by case."""
    texts = ((KNOWN / f"{name}.jsonl").read_text("utf-8") for name in names)
    rows = (json.loads(line) for text in texts for line in text.splitlines())
    return {row["id"]: row[kind][0] for row in rows if "id" in row}


def write(desk, name, said):
    desk.write_rows(name, [{"id": key, "text": text} for key, text in said.items()])


def suite(desk, keys, *, variant="provider: recorded, replies: new.jsonl"):
    desk.path("s.ftgate.yaml").write_text(
        "cases: [{id: one, input: a, expected: b}]\n"
        f"variants: {{new: {{{variant}, base_replies: base.jsonl}}}}\n"
        f"gates: {{forgetting: {{{keys}}}}}\n",
        "utf-8",
    )


@pytest.fixture
def recorded(desk):
    """Record a base that has everything right, and a fine-tune that has *wrong* skills wrong."""

    def write_both(*, wrong=(), every=3, keys=KEYS):
        right, amiss = known("right"), known("wrong")
        new = {
            key: amiss[key] if key.partition("-")[0] in wrong and n % every == 0 else text
            for n, (key, text) in enumerate(right.items())
        }
        new["logic-001"] = "Tom is, of course, an animal."
        write(desk, "base.jsonl", right)
        write(desk, "new.jsonl", new)
        suite(desk, keys)
        return desk

    return write_both


def test_a_loss_planted_in_one_skill_is_found_in_its_family_and_nowhere_else(recorded):
    result = recorded(wrong=("memory",)).run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*family * right * change * lost * keeps * verdict",
            "*language * 22/134 * regressed",
            "*logic * 0/67 *100 %",
            "*passed before, fails now*",
            "    why?    22 of 22 regressed answers: wrong content",
            "    fix     mix general data into the training set*",
        ]
    )


def test_the_base_itself_in_place_of_a_fine_tune_is_invalid(recorded):
    desk = recorded()
    write(desk, "new.jsonl", known("right"))
    result = desk.run()

    assert result.parseoutcomes() == {"invalid": 1}
    result.stdout.fnmatch_lines(["*the fine-tune answers like its base: 201 of 201*"])


def test_a_skill_may_be_given_up(recorded):
    result = recorded(wrong=("memory",), keys=f"{KEYS}, may_lose: [memory]").run("-v")

    result.assert_outcomes(passed=1)
    told = ["*identity not proven, its base is recorded: * of*", "*equal those of the base*"]
    result.stdout.fnmatch_lines(told)


def test_cases_from_the_training_data_are_left_out_and_the_plan_warns_of_them(recorded):
    desk = recorded()
    seen = [case for case in skill_cases(("logic",)) if not case.messages][:30]
    rows = [{"input": case.input, "expected": "x", "note": "pytest-ftgate-canary"} for case in seen]
    desk.write_rows("train.jsonl", rows)
    variant = "provider: recorded, replies: new.jsonl, training_data: train.jsonl"
    suite(desk, KEYS, variant=variant)
    plan, result = desk.run("--ftgate-plan"), desk.run("-v")

    plan.stdout.fnmatch_lines(["*new: 30 of * skills cases are in train.jsonl, as logic-001*"])
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*30 skills cases stand in train.jsonl*", "*left out: what*"])
    assert desk.verdicts()["forgetting[new]"]["checks"][0]["n"] == 171


def test_a_skill_that_stays_open_passes_with_the_wider_margin_that_is_advised(recorded):
    keys = f"{KEYS.replace('0.10', '0.30')}, margins: {{memory: 0.10}}"
    desk = recorded(wrong=("memory",), every=15, keys=keys)
    assert desk.run().ret == 1
    (step,) = (
        step
        for step in desk.verdicts()["forgetting[new]"]["next"]
        if step["kind"] == StepKind.SETTLE_SKILL
    )
    values = step["values"]
    assert (values["skill"], values["margin"]) == ("memory", 0.1)

    suite(desk, keys.replace("memory: 0.10", f"memory: {1.1 * max(-values['low'], 0):.2f}"))

    assert desk.run().ret == 0


# A server ---------------------------------------------------------------------------------------

#: As a user writes it, but for the address and the prompts under which skills are asked.
SERVED = """\
prompt: short.md
cases: [{id: one, input: a, expected: b}]
variants:
  tuned: {provider: openai-compatible, base_url: URL, model: tuned, base: small, gated: true}
gates: {forgetting: {skills: [reading, memory], max_drop: 0.20, under: UNDER}}
"""


def answering(forgets):
    """Answer skills rightly; *forgets* tells of which prompts the tuned model answers a label."""
    cases = skill_cases(("reading", "memory"))
    asked = {(case.messages or (("user", case.input),)): case.id for case in cases}
    right = known("right", ("reading", "memory"))

    def answer(request):
        turns = tuple((m["role"], m["content"]) for m in request["messages"])
        system = next((text for role, text in turns if role == "system"), "")
        own = asked.get(tuple(turn for turn in turns if turn[0] != "system"))
        said = right.get(own, "It is a question that I was never asked.")
        if request["model"] != "tuned":
            return Said(said)
        # In bold, so that it is seen to be another model.
        return Said("label" if forgets(system) else f"**{said}**", model="tuned")

    return answer


def serve(desk, url, *, under="own", before="", after=""):
    """Write the suite, in which *after* replaces *before*."""
    desk.path("short.md").write_text("Sort the ticket.\n", "utf-8")
    text = SERVED.replace("URL", url).replace("UNDER", under).replace(before, after)
    desk.path("s.ftgate.yaml").write_text(text, "utf-8")


def test_a_tuned_model_that_did_not_answer_passes_once_its_name_is_requested(desk):
    # As many servers do, this one answers unknown names with the model that it has loaded.
    with chat_server(answering(lambda _: False)) as server:
        serve(desk, server.url, before="model: tuned", after="model: tune")
        missed = desk.run()
        serve(desk, server.url)
        found = desk.run()

    missed.stdout.fnmatch_lines(
        ["*INVALID: not what it claims to be", "    fix     check that the adapter is loaded: *"]
    )
    assert (missed.ret, found.ret) == (1, 0)


@pytest.mark.parametrize(
    ("under", "forgets", "outcome", "told"),
    [
        heavy("own", "prompt", {"passed": 1}, "*forgetting?tuned?*"),
        ("prompt", "prompt", {"failed": 1}, "general skills under the prompt down 100 points *"),
        heavy("prompt", "own", {"failed": 1}, "general skills down 100 points *"),
    ],
)
def test_forgetting_under_the_prompt_is_another_question(desk, under, forgets, outcome, told):
    with chat_server(answering(lambda system: bool(system) is (forgets == "prompt"))) as server:
        serve(desk, server.url, under=under)
        result = desk.run("-v", "--ftgate-html=page.html", "--ftgate-json=run.json")

    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines([told])
    page = desk.path("page.html").read_text("utf-8")
    assert "General skills of tuned" in page
    assert ("General skills of tuned under its prompt" in page) is (under == "prompt")
    cases = json.loads(desk.path("run.json").read_text("utf-8"))["suites"][0]["cases"]
    assert {case["case_set"] for case in cases} == {"skills"}
    assert {name for case in cases for name in case["answers"]} == {"tuned", "base of tuned"}


# Skills of the team, and a base that retires ----------------------------------------------------

TONE = """\
prompt: house.md
reply: {score: {python: "marks:warm"}}
cases: tone.cases.jsonl
variants: {new: {provider: recorded, replies: none.jsonl}}
gates: {accuracy: {min: 0.5}}
"""


def test_a_suite_of_the_team_is_a_skill_marked_by_its_own_function(desk):
    folder = desk.path("skills")
    folder.mkdir()
    (folder / "tone.ftgate.yaml").write_text(TONE)
    (folder / "house.md").write_text("Be warm.\n")
    (folder / "none.jsonl").write_text("")
    (folder / "marks.py").write_text("def warm(case, reply):\n    return 'dear' in reply.text\n")
    rows = [{"id": f"t{n}", "input": f"Greet guest {n}."} for n in range(60)]
    (folder / "tone.cases.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    write(desk, "base.jsonl", {f"tone/t{n}": "Welcome, dear guest." for n in range(60)})
    write(desk, "new.jsonl", {f"tone/t{n}": "Welcome." if n % 2 else "Hi dear." for n in range(60)})
    suite(desk, "skills: skills/*.ftgate.yaml, max_drop: 0.10")
    result = desk.run("s.ftgate.yaml")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["general skills down 50 points * limit 10: *", "*tone * 30/60 * 50 %"]
    )


def test_what_a_base_said_can_be_kept_for_when_it_retires(desk, monkeypatch, capsys):
    monkeypatch.chdir(desk.path("."))
    with chat_server(answering(lambda _: False)) as server:
        serve(desk, server.url)
        desk.run()
        assert main(["cache", "export", "s.ftgate.yaml", "--base", "tuned"]) == 0
        asked = len(server.requests)
        kept = "base: small, base_replies: s.base.jsonl"
        serve(desk, server.url, before="base: small", after=kept)
        result = desk.run("--ftgate-replies=fresh")

    assert (
        "134 of 134 replies of the base of tuned written to s.base.jsonl" in capsys.readouterr().out
    )
    result.assert_outcomes(passed=1)
    assert {request["model"] for request in server.requests[asked:]} == {"tuned"}


def test_a_base_that_said_nothing_cannot_be_kept(desk, monkeypatch, capsys):
    monkeypatch.chdir(desk.path("."))
    serve(desk, "http://127.0.0.1:9/v1")

    assert main(["cache", "export", "s.ftgate.yaml", "--base", "tunde"]) == 1
    assert 'has no variant "tunde"; did you mean "tuned"?' in capsys.readouterr().err
    assert main(["cache", "export", "s.ftgate.yaml", "--base", "tuned"]) == 1
    told = "has no reply of the base; run pytest --ftgate s.ftgate.yaml first"
    assert told in capsys.readouterr().err


@pytest.mark.heavy
def test_a_base_is_held_against_itself_by_the_same_gate(recorded, monkeypatch, capsys):
    desk = recorded()
    right, amiss = known("right"), known("wrong")
    rows = [
        {"id": key, "text": amiss[key] if (n + again) % 31 == 0 else right[key]}
        for n, key in enumerate(right)
        for again in range(3)
    ]
    desk.write_rows("base.jsonl", rows)
    monkeypatch.chdir(desk.path("."))

    monkeypatch.setattr("pytest_ftgate.cli.suite.PAIRS", 20)  # fewer take less time

    assert main(["selftest", "s.ftgate.yaml"]) == 0
    told = capsys.readouterr().out
    assert "3 live replies of base of new to each" in told
    assert "of 201 cases" in told
    assert "regressed in a share of the pairs" not in told


def test_a_skill_that_was_accepted_cannot_leave_without_a_word(recorded):
    desk = recorded(wrong=("memory",), keys=KEYS.replace("0.10", "0.30"))
    desk.run("--ftgate-accept").assert_outcomes(passed=1)
    suite(desk, "skills: [reading, logic], max_drop: 0.30")

    result = desk.run("--ftgate-inconclusive=warn")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "[?] forgetting[[]new]   67 of 201 accepted cases are gone",
            "    they are memory-001, memory-002, memory-*",
        ]
    )
    assert desk.run("--ftgate-accept").ret == 0
    assert desk.run().ret == 0
