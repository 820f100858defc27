"""The verb init: a suite for what lies here, with limits that its cases can show."""

from __future__ import annotations

import csv
import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from ftgate_testing.canary import KEY_NAMES
from ftgate_testing.chat_server import Said, chat_server

from pytest_ftgate.cli import init, scaffold
from pytest_ftgate.cli.record import schema_text


@pytest.fixture
def desk(pytester, monkeypatch):
    """An empty repository on a machine without keys and servers."""
    for name in KEY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(scaffold, "LOCAL_PORTS", ())
    (pytester.path / ".git").mkdir()
    return pytester.path


@contextmanager
def serving(monkeypatch, answers):
    """Serve a model on a usual port, which *answers* a question by its number."""

    def answer(question):
        return Said(answers(int(str(question).rpartition("number ")[2].partition("'")[0])))

    with chat_server(answer, models=[{"id": "nomic-embed-text"}, {"id": "base"}]) as running:
        monkeypatch.setattr(scaffold, "LOCAL_PORTS", (urlsplit(running.url).port,))
        yield running


@pytest.fixture
def server(monkeypatch):
    """A server that is wrong about every fifth question."""
    with serving(monkeypatch, lambda n: f"It is a{n}." if n % 5 else "no idea") as running:
        yield running


def write_cases(folder, count=30, header=("question", "answer"), name="qa.csv", label="a{}".format):
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(header)
        rows.writerows((f"Question number {n}", label(n)) for n in range(count))


def write_prompt(folder, text="Answer.\n", name="qa.md"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, "utf-8")


@pytest.fixture
def task(desk):
    """The repository with a prompt and thirty cases."""
    write_prompt(desk)
    write_cases(desk)
    return desk


@pytest.fixture
def prompts(desk):
    """A folder below the repository, with a prompt and thirty cases."""
    write_prompt(desk / "prompts")
    write_cases(desk / "prompts")
    return desk / "prompts"


def suite_of(folder, name="qa.ftgate.yaml"):
    return yaml.safe_load((folder / name).read_text("utf-8"))


def text_of(folder):
    return (folder / "qa.ftgate.yaml").read_text("utf-8")


def test_an_empty_folder_is_told_what_init_looks_for_and_of_the_demo(desk, run_verb):
    code, printed = run_verb("init")

    assert code == 1
    assert "a prompt: a .md, .txt or .j2 file" in printed
    assert "  pytest-ftgate init --starter\n" in printed
    assert "pytest-ftgate demo" in printed
    assert [path.name for path in desk.iterdir()] == [".git"]


def test_a_starter_in_an_empty_folder_is_a_suite_of_thirty_cases(desk, run_verb, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")

    code, printed = run_verb("init", "--starter")

    assert code == 0
    assert "wrote prompts/capitals.ftgate.yaml: prompts/capitals.md, 30 cases of" in printed
    assert suite_of(desk / "prompts", "capitals.ftgate.yaml")["prompt"] == "capitals.md"
    code, printed = run_verb("init", "--starter")
    assert code == 1
    assert "prompts/capitals.md is there already; nothing was overwritten" in printed


def test_a_table_with_other_columns_is_named_and_found_once_they_are_named(desk, run_verb):
    write_prompt(desk / "prompts")
    write_cases(desk / "prompts", header=("ticket", "team"))

    code, printed = run_verb("init")

    assert code == 1
    assert "Found with other columns: prompts/qa.csv (ticket, team); name two of them:\n" in printed
    assert "\n  pytest-ftgate init --input ticket --expected team\n" in printed
    code, printed = run_verb("init", "prompts/qa.csv")
    assert code == 1
    assert "it has ticket, team; name it: --input COLUMN, --expected COLUMN" in printed
    code, printed = run_verb("init", "prompts/qa.md")
    assert code == 1
    assert "  pytest-ftgate init prompts/qa.md --input ticket --expected team" in printed
    code, printed = run_verb("init", "--input", "ticket", "--expected", "team")
    assert code == 0
    suite = suite_of(desk / "prompts")
    assert (suite["prompt"], suite["columns"]["input"]) == ("qa.md", "ticket")


def test_the_suite_of_the_demo_is_none_of_the_users(desk, run_verb):
    shutil.copytree(Path(init.__file__).parents[1] / "demo", desk / "ftgate-demo")

    code, printed = run_verb("init")

    assert code == 1
    assert "No prompt with cases was found" in printed
    assert "Left out: ftgate-demo, which the demo wrote\n" in printed
    assert "Found" not in printed


def test_a_local_server_is_measured_once_for_the_minimum_that_nine_in_ten_runs_pass(
    prompts, server, run_verb, pytester
):
    code, printed = run_verb("init")

    suite = suite_of(prompts)
    assert code == 0
    assert "measured: 24 of 30 right; the highest that 9 in 10 runs pass: min: 0.53" in printed
    assert suite["variants"]["current"]["model"] == "base"
    assert suite["columns"] == {"input": "question", "expected": "answer"}
    assert suite["gates"] == {"accuracy": {"min": 0.53}}
    assert len(server.requests) == 30
    text = " ".join(text_of(prompts).replace("#", "").split())
    assert "max_drop: 0.21 by default: 30 cases can rule out a drop of 21 points or more" in text
    assert "92 would 10, 285 would 5" in text
    pytester.runpytest("--ftgate", "prompts").assert_outcomes(passed=1)
    _, power = run_verb("power", "prompts/qa.ftgate.yaml")
    shown = re.search(r"accuracy\[current\] +30 +min 53 % +(\d+) % +80 % right\* +(\d+) %", power)
    assert shown[1] == "53"
    assert int(shown[2]) >= 90
    assert len(server.requests) == 30


@pytest.mark.parametrize(("is_terminal", "shown"), [
    (True, "\r\x1b[K█"), (False, "["),
])  # fmt: skip
def test_while_cases_are_measured_the_replies_are_counted(
    task, server, run_verb, monkeypatch, is_terminal, shown
):
    monkeypatch.setattr(init, "_ON_TERMINAL", 0)
    monkeypatch.setattr(init, "_IN_LOG", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)

    _, printed = run_verb("init")

    progress = printed.partition("measuring base once on 30 cases …\n")[2]
    assert progress.startswith(shown)
    assert "of 30 requests" in progress
    assert progress.endswith("\r\x1b[K") == is_terminal


def test_enough_cases_get_the_smallest_drop_that_they_can_show(desk, server, run_verb):
    write_prompt(desk)
    write_cases(desk, 200)

    run_verb("init")

    text = text_of(desk)
    assert "max_drop" not in suite_of(desk)["gates"]["accuracy"]
    assert "# max_drop: 0.07 by default: the smallest that 200 cases can show\n" in text


@pytest.mark.parametrize("count", [2, 4])
def test_a_guessed_minimum_of_few_cases_is_one_that_they_can_prove(
    desk, run_verb, monkeypatch, pytester, count
):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
    write_prompt(desk)
    write_cases(desk, count)

    run_verb("init")

    assert 0 < suite_of(desk)["gates"]["accuracy"]["min"] < 0.5
    assert pytester.runpytest("--ftgate", "--ftgate-plan", "qa.ftgate.yaml").ret in (0, 5)


def test_a_key_names_its_provider_and_is_neither_shown_nor_used(task, run_verb, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")

    code, printed = run_verb("init")

    text = text_of(task)
    assert code == 0
    assert suite_of(task)["variants"]["current"]["provider"] == "anthropic"
    assert "ANTHROPIC_API_KEY is set" in printed
    assert suite_of(task)["gates"] == {"accuracy": None}
    assert "# max_drop: 0.27 by default: 30 cases can rule out a drop of 27 points" in text
    assert "sk-canary" not in printed + text


def test_without_any_model_the_embedded_one_is_named_with_the_command_that_gets_it(
    task, run_verb, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))

    _, printed = run_verb("init")

    assert suite_of(task)["variants"]["current"]["model"] == "smollm2-135m"
    assert "next:\n  pytest-ftgate download smollm2-135m\n  pytest --ftgate qa" in printed


def test_the_schema_lies_where_the_first_line_of_the_suite_points(prompts, server, run_verb):
    run_verb("init")

    first = text_of(prompts).partition("\n")[0]
    path = prompts / first.partition("$schema=")[2]
    assert first.startswith("# yaml-language-server: $schema=")
    assert path.read_text("utf-8") == schema_text("suite") + "\n"
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_suite_that_is_there_stays_as_it_is(task, server, run_verb):
    (task / "qa.ftgate.yaml").write_text("mine", "utf-8")

    code, printed = run_verb("init")

    assert code == 0
    assert "qa.ftgate.yaml is there already; it was left as it is" in printed
    assert (task / "qa.ftgate.yaml").read_text() == "mine"
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ftgate-report.md", "# Runs\n"),
        ("eval_results.txt", "30 right\n"),
        ("CHANGELOG.md", "# 1.0\n"),
        ("tickets.md", "### \N{WHITE HEAVY CHECK MARK} PASSED: 1 gate\n"),
        ("tool.md", "[![tests](https://example.org/badge.svg)](https://example.org)\n"),
    ],
)
def test_what_is_plainly_no_prompt_is_not_taken_for_one(desk, server, run_verb, name, text):
    write_cases(desk)
    write_prompt(desk, text, name)

    _, printed = run_verb("init")

    assert "wrote qa.ftgate.yaml: no prompt, 30 cases of qa.csv\n" in printed
    assert "for others: pytest-ftgate init PROMPT CASES\n" in printed
    assert "prompt" not in yaml.safe_load((desk / "qa.ftgate.yaml").read_text())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("report.md", "Answer: {{ input }}\n"),
        ("README.md", "# [![a](b)] {{ question }}\n"),
        ("clinical-note.md", "Summarize.\n"),
        ("history.txt", "Summarize.\n"),
        ("security-triage.md", "Triage.\n"),
    ],
)
def test_a_text_with_a_variable_or_an_ordinary_name_is_a_prompt(desk, run_verb, name, text):
    (desk / "cases.jsonl").write_text('{"input": "a", "question": "b", "expected": "c"}\n')
    write_prompt(desk, text, name)

    assert f": {name}, 1 case of " in run_verb("init")[1]


def test_a_prompt_called_as_its_cases_is_one_whatever_its_name(desk, server, run_verb):
    write_cases(desk, name="report.csv")
    write_prompt(desk, "Write a report.\n", "report.md")
    write_prompt(desk, "Notes.\n", "README.md")

    assert "wrote report.ftgate.yaml: report.md, 30 cases of report.csv\n" in run_verb("init")[1]


def test_of_several_prompts_one_is_to_be_named(desk, server, run_verb):
    for name in ("one", "two"):
        write_prompt(desk, name=f"{name}.md")
        write_cases(desk, name=f"{name}.csv")

    code, printed = run_verb("init")
    named, _ = run_verb("init", "two.md")

    assert (code, named) == (1, 0)
    assert "pytest-ftgate init two.md" in printed
    assert [path.name for path in desk.glob("*.ftgate.yaml")] == ["two.ftgate.yaml"]


# promptfoo ---------------------------------------------------------------------------------------

CONFIGS = {
    name: Path(__file__).parents[1] / f"readers/data/promptfoo_{name}.yaml"
    for name in ("labels", "json", "rubric")
}


def write_config(folder, name="labels", file="promptfooconfig.yaml"):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIGS[name], folder / file)
    (folder / "extract.txt").write_text("The order in JSON: {{ order }}\n", "utf-8")


def written_files(folder):
    files = (path for path in folder.iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("name", CONFIGS)
def test_init_and_import_make_the_same_files_of_a_promptfoo_configuration(desk, run_verb, name):
    for folder in ("a", "b"):
        write_config(desk / folder, name)

    first = run_verb("init", folder="a")
    second = run_verb("import", "promptfooconfig.yaml", folder="b")

    assert first == second
    assert first[0] == 0, first[1]
    assert written_files(desk / "a") == written_files(desk / "b")
    assert "promptfooconfig.ftgate.yaml" in written_files(desk / "a")


def test_what_init_cannot_carry_over_of_promptfoo_is_printed(desk, run_verb):
    write_config(desk)

    _, printed = run_verb("init")

    assert "- assertion similar is a function to fill in" in printed
    variants = suite_of(desk, "promptfooconfig.ftgate.yaml")["variants"]
    assert {keys["model"] for keys in variants.values()} == {"gpt-4.1-mini", "claude-haiku-4-5"}
    cases = (desk / "promptfooconfig.cases.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(case)["vars"] for case in cases] == [
        {"name": "Ann", "ticket": "My money back"},
        {"name": "Bob", "ticket": "Good morning"},
    ]


def test_a_suite_of_a_promptfoo_configuration_that_is_there_stays_as_it_is(desk, run_verb):
    write_config(desk)
    run_verb("init")
    before = written_files(desk)

    code, printed = run_verb("init")

    assert code == 0
    assert "promptfooconfig.ftgate.yaml is there already; it was left as it is" in printed
    assert written_files(desk) == before


def test_beside_a_prompt_with_cases_a_promptfoo_configuration_is_a_choice(task, run_verb):
    write_config(task / "evals")

    code, printed = run_verb("init")

    assert code == 1
    assert "  pytest-ftgate init qa.md  # qa.csv\n" in printed
    assert "  pytest-ftgate import evals/promptfooconfig.yaml  #" in printed
    assert not [*task.rglob("*.ftgate.yaml")]


def test_of_several_promptfoo_configurations_one_is_to_be_named(desk, run_verb):
    write_config(desk / "a")
    write_config(desk / "b", "json")

    code, printed = run_verb("init")
    named, _ = run_verb("init", "b/promptfooconfig.yaml", "--workflow")

    assert (code, named) == (1, 0)
    assert "pytest-ftgate import a/promptfooconfig.yaml" in printed
    assert [path.parent.name for path in desk.rglob("*.ftgate.yaml")] == ["b"]
    assert written_workflow(desk)


def test_a_configuration_of_another_kind_is_named(desk, run_verb):
    (desk / "promptfooconfig.js").write_text("module.exports = {}\n", "utf-8")

    code, printed = run_verb("init")

    assert code == 1
    assert "Found of another tool: promptfooconfig.js" in printed


def written_workflow(desk):
    return (desk / ".github/workflows/prompts.yml").read_text("utf-8")


def test_the_workflow_is_that_of_the_examples_for_the_folder_of_the_suite(
    desk, run_verb, monkeypatch
):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
    write_prompt(desk / "evals")
    write_cases(desk / "evals")

    _, printed = run_verb("init", "--workflow")

    example = Path(__file__).parents[2] / "examples/workflows/pull-request.yml"
    text = example.read_text("utf-8").replace("paths: prompts", 'paths: "evals"')
    assert written_workflow(desk) == text
    assert "replace OWNER and COMMIT in it (https://pytest-ftgate.readthedocs.io/ci/)" in printed
    assert "add the secret ANTHROPIC_API_KEY to the repository at GitHub" in printed


def test_the_workflow_names_no_key_for_a_local_server_and_says_that_a_job_has_none(
    task, server, run_verb
):
    _, printed = run_verb("init", "--workflow")

    text = written_workflow(task)
    step = yaml.safe_load(text)["jobs"]["gates"]["steps"][-1]
    assert "env" not in step
    assert "secrets." not in text
    assert f"a job does not reach {server.url}" in printed


def test_the_workflow_names_the_keys_of_a_suite_that_is_there(task, run_verb, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    run_verb("init")

    run_verb("init", "--workflow")

    step = yaml.safe_load(written_workflow(task))["jobs"]["gates"]["steps"][-1]
    assert step["env"] == {"OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}"}


@pytest.fixture
def labels(monkeypatch):
    """A server that answers with a label, and every tenth time with a sentence."""
    with serving(monkeypatch, lambda n: "good" if n % 10 else "Perhaps good") as running:
        yield running


def test_a_task_with_labels_gets_a_gate_of_the_format_with_the_minimum_that_passes(
    desk, labels, run_verb, pytester
):
    write_prompt(desk)
    write_cases(desk, 60, label=lambda n: "good" if n % 5 else "bad")

    _, printed = run_verb("init")

    gates = suite_of(desk)["gates"]
    minimum = gates["format"].pop("min")
    assert gates["format"] == {}
    told = f"54 of 60 in the format; the highest that 9 in 10 runs pass: min: {minimum}"
    assert told in " ".join(printed.split())
    pytester.runpytest("--ftgate").assert_outcomes(passed=2)


@pytest.fixture
def adapter(task):
    """Write an adapter of a base in the folder of a task."""

    def write(base):
        folder = task / "out/checkpoint-500"
        folder.mkdir(parents=True)
        keys = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": base}
        (folder / "adapter_config.json").write_text(json.dumps(keys))
        (folder / "adapter_model.safetensors").write_bytes(b"")

    return write


def test_an_adapter_that_lies_here_is_a_variant_and_a_gate_in_comments(
    task, adapter, server, run_verb
):
    adapter("org/base")

    run_verb("init")

    text = text_of(task)
    for key in ("tuned", "forgetting"):
        text = text.replace(f"# {key}:", f"{key}:")
    uncommented = yaml.safe_load(text)
    assert uncommented["variants"]["tuned"]["adapter"] == "out/checkpoint-500"
    assert uncommented["variants"]["tuned"]["model"] == "org/base"
    assert uncommented["gates"]["forgetting"] == {"skills": "general"}


def test_an_adapter_of_the_model_that_the_suite_has_is_a_variant_like_it(task, adapter, run_verb):
    adapter("HuggingFaceTB/SmolLM2-135M-Instruct")

    run_verb("init")

    assert "  # tuned: {like: current, adapter: out/checkpoint-500}\n" in text_of(task)
    assert "transformers" not in text_of(task)


@pytest.mark.parametrize(("header", "columns"), [
    ("text,sentiment", {"input": "text", "expected": "sentiment"}),
    ("email,gold", {"input": "email", "expected": "gold"}),
    ("id,email,gold", {"id": "id", "input": "email", "expected": "gold"}),
])  # fmt: skip
def test_of_two_columns_one_name_is_enough(desk, server, run_verb, header, columns):
    write_prompt(desk)
    start = "7{}," if header.startswith("id") else ""
    rows = [start.format(n) + f"Question number {n},a{n}" for n in range(60)]
    (desk / "qa.csv").write_text("\n".join([header, *rows]), "utf-8")

    code, _ = run_verb("init")

    assert code == 0
    assert suite_of(desk)["columns"] == columns
