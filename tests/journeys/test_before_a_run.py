"""What doctor and the plan say before a run is what the run says."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pytest

from pytest_ftgate.cli.main import main

HOSTED = "provider: openai-compatible, model: gpt-x"
RECORDED = "provider: recorded, replies: current.jsonl"
JUDGED = "{{judge: {{rubric: {rubric}, model: {{{model}}}}}}}"


def foreign_model(desk):
    """Write an adapter, and a GGUF file that tells no architecture."""
    desk.path("m.gguf").write_bytes(b"GGUF\x03" + bytes(19))
    desk.path("out").mkdir()
    desk.path("out/adapter_model.safetensors").write_bytes(bytes([2, *bytes(7)]) + b"{}")
    desk.path("out/adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 2, "lora_alpha": 4}', "utf-8"
    )


def one_tone(desk):
    """Give the first case alone a variable."""
    path = desk.path("tickets.cases.jsonl")
    first, *rest = path.read_text("utf-8").splitlines()
    row = json.loads(first) | {"vars": {"tone": "kind"}}
    path.write_text("\n".join([json.dumps(row), *rest]) + "\n", "utf-8")


#: A suite with a mistake: what is said of it, what it is written with, and what is done to it.
MISTAKES = {
    "an adapter that fits no such model": (
        "adapter out: m.gguf is of the architecture None, for which no adapter can be converted",
        {"variant": "provider: llamacpp, model: m.gguf, adapter: out"},
        foreign_model,
    ),
    "a key that is not set": (
        "the key of gpt-x is missing: set OPENAI_API_KEY",
        {"variant": HOSTED},
        None,
    ),
    "the key of a judge that is not set": (
        "the key of gpt-x is missing: set OPENAI_API_KEY",
        {"score": JUDGED.format(rubric="Nice.", model=HOSTED)},
        None,
    ),
    "an address that is not set": (
        "MY_SERVER is not set; set it to the address of the server",
        {"variant": f"{HOSTED}, base_url_env: MY_SERVER"},
        None,
    ),
    "a rubric that fails for a case": (
        "tickets.cases.jsonl:2: judge: the rubric fails for this case: 'tone' is undefined",
        {"score": JUDGED.format(rubric="'{{ tone }}'", model=HOSTED)},
        one_tone,
    ),
    "a prompt that fails for a case": (
        'tickets.cases.jsonl:2: variant "draft": the prompt fails for this case',
        {"variant": HOSTED, "prompt": "Be {{ tone }}."},
        one_tone,
    ),
    "committed replies that cannot be read": (
        "tickets.replies.jsonl:1: no file of replies",
        {},
        lambda desk: desk.path("tickets.replies.jsonl").write_text("nonsense\n", "utf-8"),
    ),
}
WAYS = ("doctor", "plan", "run")


@pytest.fixture
def told(desk, monkeypatch, capsys):
    """Return the exit code of a way to look at the suite, and what it printed, in one line."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MY_SERVER"):
        monkeypatch.delenv(name, raising=False)
    # Long lines, so that no sentence is broken.
    monkeypatch.setenv("COLUMNS", "400")
    desk.cases = 60

    def tell(way, *options):
        if way == "doctor":
            code = main(["doctor", "tickets.ftgate.yaml"])
            return code, " ".join(capsys.readouterr().out.split())
        result = desk.run(*(["--ftgate-plan"] if way == "plan" else []), *options)
        return int(result.ret), " ".join(result.stdout.str().split())

    return tell


def write(desk, *, variant=RECORDED, prompt="Sort the ticket.", score="exact"):
    desk.write_cases()
    desk.replies("current")
    desk.path("p.md").write_text(f"{prompt}\n", "utf-8")
    lines = [
        "prompt: p.md",
        "cases: tickets.cases.jsonl",
        f"reply: {{score: {score}}}",
        f"variants: {{current: {{{RECORDED}}}, draft: {{{variant}}}}}",
        "gates: {accuracy: {min: 0.5, evidence: point}}",
    ]
    desk.path("tickets.ftgate.yaml").write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_keeps_a_gate_from_being_evaluated_is_an_error_of_doctor_plan_and_run(
    desk, told, mistake
):
    said, written, prepare = MISTAKES[mistake]
    write(desk, **written)
    if prepare:
        prepare(desk)

    for way in WAYS:
        code, printed = told(way)

        assert code in (1, 2), way
        assert said in printed, way


def test_a_suite_without_a_mistake_is_none_for_doctor_plan_and_run(desk, told):
    write(desk)

    said = {way: told(way) for way in WAYS}

    assert {way: code for way, (code, _) in said.items()} == dict.fromkeys(WAYS, 0), said
    assert not any("not be evaluated" in printed for _, printed in said.values())


PLACEHOLDER = "p.md:1: {input} is sent as it stands: write {{ input }}, or {% raw %}{input}"
#: A Python function stands for the model: it is a provider of a plugin, which is sent a prompt.
PROVIDER = """\
from pytest_ftgate import Provider, Reply

class Sorter(Provider):
    async def generate(self, request):
        return Reply(text="refund")

def pytest_ftgate_providers():
    return {"sorter": Sorter}
"""


@pytest.fixture
def literal(desk):
    desk.pytester.makeconftest(PROVIDER)
    write(desk, variant="provider: sorter, model: m", prompt="Sort this ticket: {input}")


def test_a_placeholder_that_is_sent_as_it_stands_is_a_warning_everywhere_and_in_every_report(
    desk, told, literal
):
    kinds = ("json", "markdown", "html")
    reports = [f"--ftgate-{kind}=report.{kind}" for kind in kinds]

    said = {way: told(way, *reports if way == "run" else ()) for way in WAYS}

    warned = {way: (code, printed.count(PLACEHOLDER)) for way, (code, printed) in said.items()}
    assert warned == dict.fromkeys(WAYS, (0, 1)), said
    for kind in kinds:
        text = unescape(desk.path(f"report.{kind}").read_text("utf-8"))
        assert "{input} is sent as it stands" in text
    (note,) = json.loads(desk.path("report.json").read_text("utf-8"))["notes"]
    assert note.startswith(PLACEHOLDER)


def test_a_marked_function_with_a_placeholder_in_its_prompt_has_the_warning(desk, told, literal):
    desk.path("tickets.ftgate.yaml").unlink()
    mark = 'cases="tickets.cases.jsonl", variants={"draft": {"provider": "sorter", "model": "m"}}'
    desk.path("test_sort.py").write_text(
        "import pytest\n\n"
        f'@pytest.mark.ftgate({mark}, prompt="p.md", min=0.1)\n'
        "def test_sort(case, reply):\n    assert reply.text == case.expected\n",
        "utf-8",
    )

    assert told("run", "test_sort.py")[1].count(PLACEHOLDER) == 1
    assert told("plan", "test_sort.py")[1].count(PLACEHOLDER) == 1


def test_a_conversation_without_its_key_is_an_error_of_the_plan(desk, told):
    write(desk, variant=HOSTED)
    body = "def test_it(case, ask):\n    assert ask().text == case.expected\n"
    desk.marked(body, 'min=0.5, variants=["draft"]')

    code, printed = told("plan", "test_marked.py")

    assert code == 1
    assert "✗ test_marked.py::test_it[draft] the key of gpt-x is missing" in printed


def test_a_key_of_a_judge_that_must_not_be_sent_is_named_once(desk, told, monkeypatch):
    monkeypatch.setenv("OURS", "canary")
    judge = f"{HOSTED}, base_url: 'http://127.0.0.1:9/v1', api_key_env: OURS"
    score = JUDGED.format(rubric="Nice.", model=judge)
    write(desk, score=score)

    code, printed = told("plan")

    assert code == 1
    assert printed.count("OURS would go to 127.0.0.1:9, which the configuration does not list") == 1


def test_the_reference_shows_what_is_printed(desk, told, monkeypatch):
    reference = Path(__file__).parents[2] / "docs" / "reference"
    page, keys = (
        (reference / f"{name}.md").read_text("utf-8") for name in ("options", "suite-keys")
    )
    monkeypatch.setenv("COLUMNS", "80")
    hosted = HOSTED.replace("gpt-x", "gpt-5.4")
    write(desk, variant=hosted, prompt="Sort this ticket: {input}")

    lines = desk.run("--ftgate-plan").outlines

    start = next(n for n, line in enumerate(lines) if line.startswith("BLOCKED"))
    assert "\n".join(lines[start : lines.index("", start)]) in page
    assert next(line for line in lines if line.startswith("p.md:1: ")) in keys
