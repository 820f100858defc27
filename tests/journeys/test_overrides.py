"""Keys of variants that a command line sets: what a run says of them, and where it refuses."""

from __future__ import annotations

import json

import pytest

from pytest_ftgate import ConfigurationError, evaluate
from pytest_ftgate.cli.main import main
from pytest_ftgate.errors import SuiteError

SET = "--ftgate-set"
LINE = "set on the command line: variants.draft.replies=new/better.jsonl"
REPORTS = ("html", "json", "markdown")


@pytest.fixture
def weak(desk):
    """Write a suite whose draft is too weak, and a better one in another folder."""
    desk.suite(current=0, draft=50)
    desk.replies("better")
    desk.path("new").mkdir()
    desk.path("better.jsonl").rename(desk.path("new/better.jsonl"))
    return desk


def test_every_report_says_what_was_set(weak, capsys):
    files = [f"--ftgate-{name}=r.{name}" for name in REPORTS]

    result = weak.run(SET, "variants.draft.replies=new/better.jsonl", *files)

    assert result.ret == 0
    result.stdout.fnmatch_lines([f"ftgate: {LINE}", "PASSED *", LINE])
    for name in ("html", "markdown"):
        assert LINE in weak.path(f"r.{name}").read_text("utf-8")
    record = json.loads(weak.path("r.json").read_text("utf-8"))
    assert record["overrides"] == ["variants.draft.replies=new/better.jsonl"]
    # A command that goes on with this run sets it too.
    assert f"{SET}=variants.draft.replies=new/better.jsonl" in record["options"]
    main(["report", "r.json"])
    assert LINE in capsys.readouterr().out


def test_the_plan_says_what_was_set(weak):
    result = weak.run(SET, "variants.draft.replies=new/better.jsonl", "--ftgate-plan")

    result.stdout.fnmatch_lines(["*ftgate plan*", LINE])


def test_a_path_begins_in_the_folder_of_the_command_and_not_at_the_root(weak, monkeypatch):
    weak.path("pytest.ini").write_text("[pytest]\n", "utf-8")
    monkeypatch.chdir(weak.path("new"))

    assert weak.run(SET, "variants.draft.replies=better.jsonl", "..").ret == 0


@pytest.mark.heavy
def test_processes_of_xdist_set_the_same(weak):
    result = weak.run(SET, "variants.draft.replies=new/better.jsonl", "-n2")
    unknown = weak.run(SET, "variants.third.replies=new/better.jsonl", "-n2")

    assert result.parseoutcomes() == {"passed": 2}
    assert unknown.ret == 4
    assert 'no suite of this run has a variant "third"' in unknown.stdout.str()


def test_what_is_typed_comes_before_the_addopts(weak):
    weak.path("pytest.ini").write_text(
        f"[pytest]\naddopts = --ftgate {SET}=variants.draft.replies=nowhere.jsonl\n", "utf-8"
    )
    assert weak.run().ret != 0
    assert weak.run(SET, "variants.draft.replies=new/better.jsonl").ret == 0


#: What is set, further options, and the line that refuses it.
REFUSED = [
    ("gates.accuracy.min=0", [],
     "gates decides what is judged, and only the suite may; edit it there"),
    ("baseline=draft", [],
     "baseline decides what is judged, and only the suite may; edit it there"),
    ("cases=x", [], "cases decides what is judged, and only the suite may; edit it there"),
    ("draft.model=m", [], "write variants.NAME.KEY=VALUE, such as *"),
    ("variants.draft.model", [], "write variants.NAME.KEY=VALUE, such as *"),
    # A variable that the shell does not have.
    ("variants.draft.replies=", [],
     "variants.draft.replies has no value; write variants.draft.replies=null to leave the key out"),
    ("variants.draf.model=m", [],
     'no suite of this run has a variant "draf"; did you mean "draft"?'),
]  # fmt: skip


def test_a_command_line_does_not_change_what_is_judged(weak):
    for written, options, reason in REFUSED:
        result = weak.run(SET, written, *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, written
        result.stderr.fnmatch_lines([f"ERROR: {SET} {written}*: {reason}"])


def test_the_keys_that_say_whether_a_variant_is_judged_are_refused_in_the_suite(weak):
    for key in ("gated", "compared"):
        result = weak.run(SET, f"variants.draft.{key}=false")
        assert result.ret == pytest.ExitCode.INTERRUPTED
        result.stdout.fnmatch_lines([f"  {SET} variants.draft.{key}=false: {key} decides what is*"])


def test_an_error_advises_to_correct_what_was_typed(weak):
    result = weak.run(SET, "variants.draft.modl=m")

    result.stdout.fnmatch_lines([f"    fix     {SET} variants.draft.modl=m"])
    assert "    then " not in result.stdout.str()


def test_a_run_with_a_key_that_was_set_is_not_accepted(weak):
    for option in ("--ftgate-accept", "--ftgate-accept-anchor"):
        result = weak.run(SET, "variants.draft.replies=new/better.jsonl", option)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: --ftgate-set: what is accepted is what the suite*"])


def test_of_several_suites_those_with_the_variant_are_changed(weak):
    text = weak.path("tickets.ftgate.yaml").read_text("utf-8")
    other = text.replace("draft", "other").replace("other.jsonl", "new/better.jsonl")
    weak.path("other.ftgate.yaml").write_text(other, "utf-8")

    assert weak.run(SET, "variants.draft.replies=new/better.jsonl").ret == 0
    assert weak.run(SET, "variants.third.replies=new/better.jsonl").ret == 4


def test_without_a_suite_in_the_run_nothing_is_wrong(weak):
    weak.path("test_own.py").write_text("def test_it(): pass\n", "utf-8")

    assert weak.run("test_own.py", SET, "variants.third.model=m").ret == 0


def test_the_variants_of_a_mark_are_set_as_well(desk):
    desk.write_cases()
    desk.replies("draft", wrong=50)
    desk.replies("better")
    desk.path("test_marked.py").write_text(
        "import pytest\n\n"
        '@pytest.mark.ftgate(cases="tickets.cases.jsonl", min=0.85, variants={"draft": '
        '{"provider": "recorded", "replies": "draft.jsonl"}})\n'
        "def test_it(case, reply):\n    assert reply.text == case.expected\n",
        "utf-8",
    )
    assert desk.run().ret == 1
    assert desk.run(SET, "variants.draft.replies=better.jsonl").ret == 0


def test_credentials_within_an_address_are_in_no_report(desk):
    desk.suite(current=0)
    desk.edit("provider: recorded, replies: current.jsonl", "provider: openai-compatible, model: m")

    desk.run(SET, "variants.current.base_url=http://me:hush@localhost:9/v1", "--ftgate-json=r.json")

    text = desk.path("r.json").read_text("utf-8")
    assert "variants.current.base_url=http://localhost:9/v1" in text
    assert "hush" not in text


def test_a_secret_of_the_environment_is_named_and_not_shown(weak, monkeypatch):
    monkeypatch.setenv("TEAM_TOKEN", "hush-hush-hush-1")

    result = weak.run(SET, "variants.draft.options={key: hush-hush-hush-1}", "--ftgate-json=r.json")

    assert "variants.draft.options={key: [TEAM_TOKEN]}" in result.stdout.str()
    assert "hush" not in json.dumps(json.loads(weak.path("r.json").read_text("utf-8"))["options"])


def test_no_step_advises_to_accept_what_was_set(desk):
    desk.suite("{accuracy: {max_drop: 0.05}}", current=5)

    advised = [
        desk.run(*options).stdout.str() for options in ([], [SET, "variants.current.rung=rag"])
    ]

    assert ["--ftgate-accept" in text for text in advised] == [True, False]


def test_a_build_server_marks_the_line_of_the_suite(weak, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(weak.path(".")))

    result = weak.run(SET, "variants.draft.modl=m")

    result.stdout.fnmatch_lines(
        ["::error file=tickets.ftgate.yaml,line=1,*::--ftgate-set variants.draft.modl=m: *"]
    )


# From Python -------------------------------------------------------------------------------------


def test_python_sets_keys_by_values_of_its_own(weak, monkeypatch):
    monkeypatch.chdir(weak.path("."))
    better = weak.path("new/better.jsonl")

    for value in (better, "new/better.jsonl"):
        run = evaluate("tickets.ftgate.yaml", overrides={"variants.draft.replies": value})
        assert run.passed
    assert run.report.overrides == ('variants.draft.replies="new/better.jsonl"',)
    assert not evaluate("tickets.ftgate.yaml").passed


def test_python_is_refused_the_same(weak, monkeypatch):
    monkeypatch.chdir(weak.path("."))
    refused = {
        "gates.accuracy.min": "overrides gates.accuracy.min=1: gates decides what is judged",
        "variants.draf.model": "overrides variants.draf.model=1: no suite of this run has a v",
    }
    for key, message in refused.items():
        with pytest.raises(ConfigurationError, match=message):
            evaluate("tickets.ftgate.yaml", overrides={key: 1})
    with pytest.raises(
        SuiteError, match=r'overrides variants.draft.modl="m": .*did you mean "model"'
    ):
        evaluate("tickets.ftgate.yaml", overrides={"variants.draft.modl": "m"})
    with pytest.raises(ConfigurationError, match=r"variants.draft.model is no value of YAML"):
        evaluate("tickets.ftgate.yaml", overrides={"variants.draft.model": object()})
