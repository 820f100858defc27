"""The verb import: the written suite loads, and names what it lacks."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import yaml

from pytest_ftgate.cli.main import main
from pytest_ftgate.suite.loader import load_suite

CONFIG = """\
prompts: ['Sort: {{ticket}}', {label: strict, raw: '[{"role": "system", "content": "One word."},
  {"role": "user", "content": "{{ticket}}"}]'}]
providers:
- openai:gpt-4.1-mini
- {id: 'anthropic:messages:claude-haiku-4-5', label: haiku, config: {temperature: 0, apiKey: sk-1}}
- file://provider.py
tests:
- {vars: {ticket: My money}, assert: [{type: equals, value: refund}]}
- {vars: {ticket: Hello}, assert: [{type: equals, value: other}, {type: similar, value: x}]}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "promptfooconfig.yaml").write_text(CONFIG, "utf-8")
    return tmp_path


@pytest.fixture
def imported(folder):
    """Import a configuration, and return the suite that was written."""

    def run(config, *options):
        text = config if isinstance(config, str) else json.dumps(config)
        (folder / "qa.yaml").write_text(text, "utf-8")
        assert main(["import", "qa.yaml", *options]) == 0
        return load_suite(folder / "qa.ftgate.yaml", folder)

    return run


def test_a_configuration_becomes_a_suite_that_loads_and_has_no_key_of_an_api(folder, capsys):
    assert main(["import", "promptfooconfig.yaml"]) == 0

    suite = load_suite(folder / "promptfooconfig.ftgate.yaml", folder)
    assert [*suite.variants] == [
        *("prompt-1-gpt-4.1-mini", "prompt-1-haiku", "provider.py"),
        *("strict-gpt-4.1-mini", "strict-haiku"),
    ]
    assert suite.variants["strict-haiku"].sampling["temperature"] == 0
    assert [case.answers for case in suite.cases] == [["refund"], ["other"]]
    assert "next: pytest --ftgate --ftgate-plan promptfooconfig.ftgate.yaml" in (
        capsys.readouterr().out
    )
    assert [path.name for path in folder.iterdir() if "sk-1" in path.read_text("utf-8")] == [
        "promptfooconfig.yaml"
    ]


def test_what_is_lost_is_printed_and_stands_at_the_top_of_the_suite(folder, capsys):
    main(["import", "promptfooconfig.yaml"])

    printed = capsys.readouterr().out
    head = (folder / "promptfooconfig.ftgate.yaml").read_text("utf-8").partition("\ncases:")[0]
    for lost in ("assertion similar is a", "apiKey of a provider", "provider file://provider.py"):
        assert f"- {lost}" in printed
        assert f"#   - {lost}" in head


def test_what_is_no_chat_model_or_no_template_is_a_named_function_to_fill_in(
    folder, imported, capsys
):
    config = {
        "prompts": ["Sort {{x}}", "file://prompt.py:create"],
        "providers": [
            "openai:gpt-4.1-mini",
            {"id": "anthropic:claude-agent-sdk", "config": {"apiKey": "sk-2", "cwd": "."}},
        ],
        "tests": [{"vars": {"x": "a"}, "assert": [{"type": "equals", "value": "b"}]}],
    }

    suite = imported(config)

    assert {name: one.model or one.function for name, one in suite.variants.items()} == {
        "prompt-1-gpt-4.1-mini": "gpt-4.1-mini",
        "claude-agent-sdk": "qa_program:claude_agent_sdk",
        "prompt-2-gpt-4.1-mini": "qa_program:prompt_2_gpt_4_1_mini",
    }
    program = (folder / "qa_program.py").read_text("utf-8")
    assert "    # id: anthropic:claude-agent-sdk\n    # config:\n    #   cwd: .\n" in program
    assert "    # prompt: file://prompt.py:create, a function\n" in program
    assert "sk-2" not in program
    assert "- prompt file://prompt.py:create, a function: write your program in" in (
        capsys.readouterr().out
    )


def of(*assertions, x="a"):
    """Return a test of promptfoo."""
    return {"vars": {"x": x}, "assert": [*assertions]}


def test_assertions_are_counted_and_those_without_a_rule_are_functions_in_a_module(
    folder, imported, capsys
):
    imported({"tests": [
        of({"type": "similar", "value": "b"}, {"type": "select-best"}),
        of({"type": "python", "value": "len(output) > 5"}, x="c"),
        of({"type": "cost", "threshold": 0.01}, x="d"),
    ]})  # fmt: skip

    counted = (
        "of 4 assertions in all cases: 1 carried over, 1 as functions to fill in, 1 as limits to "
        "add, 1 left out"
    )
    assert counted in " ".join(capsys.readouterr().out.split())
    assert f"# O{counted[1:]}.\n" in (folder / "qa.ftgate.yaml").read_text("utf-8")
    scores = (folder / "qa_scores.py").read_text("utf-8")
    namespace = {"__name__": "qa_scores", "__file__": str(folder / "qa_scores.py")}
    exec(scores, namespace)
    case = SimpleNamespace(input="c", vars={})
    said = [namespace["check"](case, SimpleNamespace(text=text)) for text in ("a reply", "no")]
    assert said == [True, "it returned False"]
    with pytest.raises(NotImplementedError, match=r"fill me in: .* assertion similar"):
        namespace["similar"](case, None)
    assert "jsonschema_rs" not in scores


def test_files_that_are_left_of_an_earlier_import_are_named_together(folder, capsys):
    assert main(["import", "promptfooconfig.yaml"]) == 0
    (folder / "promptfooconfig.ftgate.yaml").unlink()

    assert main(["import", "promptfooconfig.yaml"]) == 2

    assert (
        "promptfooconfig.cases.jsonl, promptfooconfig.strict.md, promptfooconfig_program.py, "
        "promptfooconfig_scores.py exist already; remove them, or name another suite: -o"
    ) in " ".join(capsys.readouterr().err.split())


def test_few_cases_get_plain_thresholds_and_many_get_statistics(folder):
    rows = "".join(f"question {n},answer {n}\n" for n in range(80))
    (folder / "many.csv").write_text(f"question,answer\n{rows}", "utf-8")

    assert main(["import", "promptfooconfig.yaml"]) == main(["import", "many.csv"]) == 0

    gates = [
        yaml.safe_load((folder / f"{name}.ftgate.yaml").read_text("utf-8"))["gates"]
        for name in ("promptfooconfig", "many")
    ]
    assert gates == [{"accuracy": {"min": 1, "evidence": "point"}}, {"accuracy": {}}]


def test_without_a_model_the_suite_calls_a_program_to_fill_in(folder, capsys):
    (folder / "goldens.json").write_text('[{"input": "a", "expected_output": "b"}]', "utf-8")

    assert main(["import", "goldens.json", "-o", "new/qa.ftgate.yaml"]) == 0

    assert "def answer(case):" in (folder / "new" / "qa_program.py").read_text("utf-8")
    suite = load_suite(folder / "new" / "qa.ftgate.yaml", folder)
    assert suite.variants["current"].provider == "python"


def test_a_model_may_be_named(folder):
    (folder / "a.jsonl").write_text('{"input": "a", "ideal": "b"}\n', "utf-8")

    code = main(["import", "a.jsonl", "--variant", "{provider: anthropic, model: m}"])

    assert code == 0
    assert load_suite(folder / "a.ftgate.yaml", folder).variants["current"].model == "m"


def test_beside_a_judge_a_case_that_a_rule_scores_keeps_its_score(imported):
    rule, rubric = {"type": "icontains", "value": "b"}, {"type": "llm-rubric", "value": "is polite"}

    suite = imported({"tests": [of(rule), of(rubric, x="c")]})

    assert [case.score.kind for case in suite.cases] == ["contains", "judge"]


def test_what_all_cases_share_stands_in_the_suite_beside_its_judge(folder, imported):
    rubric, text = {"type": "llm-rubric", "value": "Kind"}, {"type": "contains", "value": "a"}

    suite = imported({"tests": [of(rubric, text, x=x) for x in "ab"]})

    written = yaml.safe_load((folder / "qa.ftgate.yaml").read_text("utf-8"))
    judge, contains = written["reply"]["score"]["all"]
    assert (judge["judge"]["rubric"], contains["contains"]["texts"]) == ("Kind", ["a"])
    kinds = [[part.kind for part in case.score.parts] for case in suite.cases]
    assert kinds == [["judge", "holds"]] * 2


def test_a_configuration_is_read_by_yaml_1_2_in_which_yes_is_a_text(imported):
    config = "tests: [{vars: {x: No}, assert: [{type: equals, value: Yes}]}]\n"

    (case,) = imported(config).cases

    assert (case.input, case.answers) == ("No", ["Yes"])


@pytest.mark.parametrize(("arguments", "message"), [
    (["absent.yaml"], "absent.yaml cannot be read: No such file"),
    (["promptfooconfig.yaml", "-o", "x.yaml"], "the name of a suite ends in .ftgate.yaml"),
    (["promptfooconfig.yaml", "--variant", "gpt-4"], "--variant gpt-4 is no mapping"),
    (["promptfooconfig.yaml", "-o", "taken.ftgate.yaml"], "exists already"),
    (["promptfooconfig.yaml", "-o", "file/b.ftgate.yaml"], "cannot be written: File exists: "),
])  # fmt: skip
def test_what_cannot_be_written_is_refused(folder, capsys, arguments, message):
    for name in ("taken.ftgate.yaml", "file"):
        (folder / name).write_text("x", "utf-8")

    assert main(["import", *arguments]) == 2

    assert message in capsys.readouterr().err


def test_errors_of_a_named_variant_are_shown_to_be_mended(folder, capsys):
    code = main(["import", "promptfooconfig.yaml", "--variant", "{provider: anthropic}"])

    assert code == 1
    assert "mend these errors in the suite:" in capsys.readouterr().out


def test_control_characters_of_the_file_are_escaped(folder, imported, capsys):
    imported({"tests": [of({"type": "x\x1b[31m\ny", "value": 1})]})

    head = (folder / "qa.ftgate.yaml").read_text("utf-8")
    assert "\x1b" not in capsys.readouterr().out + head
