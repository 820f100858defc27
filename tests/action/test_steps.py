"""The steps of the action, run as GitHub runs them, against its API on loopback."""

from __future__ import annotations

import html
import json
import os
import sys
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.github import Runner, comments_api
from ftgate_testing.tables import every_row, heavy

SUITE = """\
cases: tickets.cases.jsonl
reply: {format: {choice: [billing, refund]}}
variants:
  current: {provider: recorded, replies: current.jsonl}
  draft: {provider: recorded, replies: draft.jsonl}
gates: {accuracy: {min: 0.8, max_drop: 0.05}}
"""
LABELS = ("billing", "refund")


def replies(folder, variant, wrong):
    rows = [{"id": f"t{n}", "text": LABELS[(n + (n < wrong)) % 2]} for n in range(100)]
    write_rows(folder / f"{variant}.jsonl", rows)


@pytest.fixture
def api():
    with comments_api() as running:
        yield running


@pytest.fixture
def runner(tmp_path, api):
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "pytest.toml").write_text('[pytest]\naddopts = ["-p", "no:cacheprovider"]\n')
    cases = [{"id": f"t{n}", "input": f"Ticket {n}", "expected": LABELS[n % 2]} for n in range(100)]
    write_rows(folder / "tickets.cases.jsonl", cases)
    (folder / "tickets.ftgate.yaml").write_text(SUITE)
    replies(folder, "current", 2)
    replies(folder, "draft", 2)
    # pip would build the package anew, and fetch what builds it.
    made = Runner(folder, api.url)
    tools = tmp_path / "tools"
    tools.mkdir()
    shim = tools / "python"
    shim.write_text(
        '#!/bin/sh\nif [ "$3" = pip ]; then shift 3; echo "pip $*"; exit 0; fi\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    shim.chmod(0o755)
    made.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    made.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    return made


@pytest.mark.heavy
def test_keys_of_variants_are_set_one_in_each_line(runner):
    replies(runner.folder, "worse", 60)

    ended = runner.run(set="variants.draft.replies=worse.jsonl\n\n  variants.draft.rung=prompt\n")

    assert ended.outputs["failed"] == "1", ended.log
    assert "set on the command line: variants.draft.replies=worse.jsonl, variants" in ended.summary


def test_a_good_run_ends_green_and_says_so_in_one_comment(runner, api):
    ended = runner.run()

    assert ended.status == 0, ended.log
    assert (ended.outputs["verdict"], ended.outputs["failed"]) == ("passed", "0")
    assert len(api.kept) == 1
    assert api.kept[0]["body"].startswith("### 🟢 PASSED: 2 gates\n")
    assert api.kept[0]["body"].endswith("<!-- pytest-ftgate: gates -->")
    assert "🟢 PASSED" in ended.summary


@pytest.mark.heavy
def test_the_page_lies_where_it_is_uploaded_from_beside_a_chosen_variant(runner):
    replies(runner.folder, "draft", 30)

    ended = runner.run(html="true", variants="current")

    assert ended.status == 0
    reports = Path(ended.outputs["json"]).parent
    named = {"junit.xml", "report.html", "report.md", "run.json"}
    assert {path.name for path in reports.iterdir()} == named


def test_a_failed_gate_ends_as_pytest_ends(runner, api):
    replies(runner.folder, "draft", 30)

    ended = runner.run()

    assert ended.status == 1
    assert ended.steps["Evaluate"] == 0
    assert (ended.outputs["verdict"], ended.outputs["failed"]) == ("blocked", "1")
    assert json.loads(Path(ended.outputs["json"]).read_text())["verdict"] == "blocked"
    assert "::error file=tickets.ftgate.yaml,line=6,title=accuracy[draft] failed::" in ended.log
    assert "🔴 BLOCKED: 1 of 2 gates failed" in api.kept[0]["body"]


@pytest.mark.heavy
def test_two_runs_leave_one_comment_wherever_it_stands_and_edit_no_words_of_a_person(runner, api):
    api.add("mine\n<!-- pytest-ftgate: gates -->", "User")
    for number in range(130):
        api.add(f"talk {number}", "User")
    runner.run()
    replies(runner.folder, "draft", 30)

    runner.run()

    assert [one["body"].split()[0] for one in api.kept[:131]] == ["mine", *["talk"] * 130]
    assert len(api.kept) == 132
    assert "🔴 BLOCKED" in api.kept[-1]["body"]
    assert api.tokens == {"Bearer token-of-the-job"}


@pytest.mark.heavy
def test_of_two_comments_the_older_stays(runner, api):
    api.add("one\n<!-- pytest-ftgate: gates -->")
    api.add("two\n<!-- pytest-ftgate: gates -->")

    runner.run()

    assert len(api.kept) == 1


@pytest.mark.heavy
def test_another_title_has_a_comment_of_its_own(runner, api):
    runner.run()
    runner.run(title="nightly")

    assert len(api.kept) == 2


def test_without_permission_the_status_is_that_of_pytest_all_the_same(runner, api):
    api.forbids = True

    ended = runner.run()

    assert ended.status == 0
    assert "::warning title=pytest-ftgate::no comment could be written" in ended.log
    assert "pull-requests: write" in ended.log


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("event", "inputs"),
    [("push", {}), ("pull_request", {"comment": "false"})],
)
def test_no_comment_is_written_where_none_is_wanted(runner, api, event, inputs):
    runner.event = event

    assert runner.run(**inputs).status == 0
    assert api.asked == []


def test_a_fork_is_evaluated_on_recorded_replies_and_says_so(runner, api):
    runner.head = "stranger/desk"

    ended = runner.run()

    assert ended.status == 0
    assert "only recorded replies were evaluated" in ended.summary
    assert "only recorded replies were evaluated" in ended.log
    assert api.asked == []


def test_a_fork_without_recorded_replies_is_red_and_says_what_was_not_evaluated(runner):
    runner.head = "stranger/desk"
    hosted = "{provider: anthropic, model: claude-haiku-5-5}"
    text = SUITE.replace("{provider: recorded, replies: draft.jsonl}", hosted)
    (runner.folder / "tickets.ftgate.yaml").write_text(text)

    ended = runner.run()

    assert ended.status == 1
    assert "1 could not be evaluated; the report says why." in ended.summary
    assert "replies are not recorded" in ended.summary


def test_a_suite_that_cannot_be_read_is_an_error_and_is_in_the_comment(runner, api):
    (runner.folder / "tickets.ftgate.yaml").write_text("casse: 1\n")

    ended = runner.run()

    assert (ended.status, ended.outputs["verdict"]) == (2, "error")
    # The error has its file, its line and what to write instead.
    assert "tickets.ftgate.yaml:1" in api.kept[0]["body"]
    assert "casse" in api.kept[0]["body"]


@pytest.mark.heavy
def test_a_module_that_cannot_be_imported_blocks_beside_gates_that_pass(runner, api):
    (runner.folder / "test_lost.py").write_text("import nothing_here\n")
    options = runner.folder / "pytest.toml"
    more = '["--continue-on-collection-errors", '
    options.write_text(options.read_text().replace("[", more).replace(more, "[", 1))

    ended = runner.run()

    assert (ended.status, ended.outputs["verdict"]) == (1, "blocked")
    assert ended.outputs["not-evaluated"] == "1"
    assert "1 of 3 gates not evaluated" in api.kept[0]["body"]
    assert "No module named 'nothing_here'" in html.unescape(api.kept[0]["body"])


def test_where_pytest_never_starts_no_older_comment_stands(runner, api):
    api.add("### 🟢 PASSED: 2 gates\n<!-- pytest-ftgate: gates -->")
    (runner.folder / "pytest.toml").write_text('[pytest]\nminversion = "99"\n')

    ended = runner.run()

    assert (ended.status, ended.outputs["verdict"], ended.outputs["json"]) == (4, "error", "")
    (comment,) = api.kept
    assert comment["body"].startswith("### 🔴 BLOCKED: pytest ended before it wrote a report")


def test_paths_with_a_gate_that_nothing_can_fail_are_an_error(runner, api):
    loose = SUITE.replace("min: 0.8, max_drop: 0.05", "min: 0, max_drop: none")
    (runner.folder / "tickets.ftgate.yaml").write_text(loose)

    ended = runner.run()

    assert (ended.status, ended.outputs["verdict"]) == (5, "error")
    assert "nothing can fail it: min: 0, max_drop: none" in " ".join(ended.log.split())
    assert "PASSED" not in api.kept[0]["body"]


@pytest.mark.heavy
def test_paths_without_a_gate_are_an_error(runner):
    (runner.folder / "test_plain.py").write_text("def test_plain(): pass\n")

    ended = runner.run(paths="test_plain.py")

    assert (ended.status, ended.outputs["verdict"]) == (5, "error")


@pytest.mark.heavy
def test_a_suite_that_was_not_selected_is_named_in_the_comment(runner, api):
    (runner.folder / "other").mkdir()
    for path in [*runner.folder.glob("*.jsonl"), *runner.folder.glob("*.yaml")]:
        (runner.folder / "other" / path.name).write_text(path.read_text("utf-8"))

    ended = runner.run(paths="tickets.ftgate.yaml")

    assert ended.status == 0
    assert "no gate was selected in 1 suite: other/tickets.ftgate.yaml" in api.kept[0]["body"]


def test_all_wrong_inputs_are_named_at_once_and_nothing_runs(runner, api):
    ended = runner.run(comment="ja", replies="sometimes", max_usd="1,50", title="a b\n::error::x")

    assert ended.status == 1
    assert ended.log.count("::error title=pytest-ftgate::input ") == 4
    assert "input comment is 'ja'; write true or false" in ended.log
    assert not any(line.startswith("::error::x") for line in ended.log.split("\n"))
    assert "Evaluate" not in ended.steps


REFUSED = ["pull_request_target", "workflow_run", "issue_comment", "issues", "not_known_yet", ""]


@every_row("event", REFUSED)
def test_an_event_that_is_not_in_the_list_of_allowed_ones_is_refused(runner, event):
    runner.event = event

    ended = runner.run()

    assert ended.status == 1
    assert f"{event or 'no event'} may run a stranger's files beside the repository's" in ended.log
    assert "use push, pull_request, merge_group, " in ended.log
    assert "Evaluate" not in ended.steps


@pytest.mark.heavy
def test_a_pull_request_whose_fork_was_deleted_is_one_of_a_fork(runner):
    runner.head = ""

    ended = runner.run()

    assert ended.status == 0
    assert "only recorded replies were evaluated" in ended.log


CONFTEST = """\
import json, pathlib, subprocess, sys
show = [sys.executable, "-c", "import sys; print(sys.path)"]
seen = subprocess.run(show, capture_output=True, text=True).stdout
pathlib.Path("seen.json").write_text(json.dumps([seen, "" in sys.path]))
"""


@pytest.mark.parametrize("head", [heavy("shop/desk"), "stranger/desk"])
def test_no_module_of_the_repository_is_imported_unless_pytest_itself_asks_for_it(runner, head):
    for name in ("pip", "pluggy", "anthropic", "json"):
        (runner.folder / f"{name}.py").write_text(f"open('OWNED_{name}', 'w')\n")
    (runner.folder / "tests").mkdir()
    (runner.folder / "tests" / "conftest.py").write_text(CONFTEST)
    runner.head = head

    ended = runner.run(paths="tests tickets.ftgate.yaml")

    assert ended.status == 0, ended.log
    assert [*runner.folder.glob("OWNED_*")] == []
    of_child, is_here = json.loads((runner.folder / "seen.json").read_text())
    assert not is_here
    # What your own tests start finds modules where it always did.
    assert ("''" in of_child) is (head == "shop/desk")


def test_a_fork_is_evaluated_in_safe_mode_unless_the_workflow_says_otherwise(runner):
    suite = runner.folder / "tickets.ftgate.yaml"
    suite.write_text(SUITE.replace("reply: {", "reply: {score: {python: 'own:score'}, "))
    (runner.folder / "own.py").write_text("def score(case, reply): return 1\n")
    runner.head = "stranger/desk"

    ended = runner.run()
    assert ended.status == 2
    assert "python: own:score is Python; --ftgate-safe does not allow it" in ended.log

    assert "--ftgate-safe does not" not in runner.run(fork_safe="false").log


def test_inputs_reach_pytest_as_words_and_never_as_shell(runner):
    ended = runner.run(
        paths="tickets.ftgate.yaml $(touch${IFS}owned)", variants="draft;touch owned"
    )

    assert ended.status != 0
    assert not (runner.folder / "owned").exists()


@pytest.mark.heavy
def test_extras_are_installed_with_the_package(runner):
    ended = runner.run(extras="prices,local")

    (line,) = [one for one in ended.log.split("\n") if one.startswith("pip install")]
    assert line.endswith("[local,prices]")
