"""Gates evaluated from Python have the verdicts, the requests and the cache of pytest."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from pytest_ftgate import ConfigurationError, Outcome, Provider, Reply, evaluate, headline
from pytest_ftgate.errors import SuiteError

LABELS = ("billing", "refund")
SUITE = """\
cases: t.cases.jsonl
reply: {format: {choice: [billing, refund]}, score: choice}
variants:
  current: {provider: house, model: current}
  draft: {provider: house, model: draft}
gates: {accuracy: {max_drop: 0.1}}
"""
HOUSE = """\
from answers import House

def pytest_ftgate_providers():
    return {"house": House}
"""
#: Beside the conftest.py that imports it.
ANSWERS = """\
from pytest_ftgate import Provider, Reply

class House(Provider):
    async def generate(self, request):
        number = int(request.messages[-1][1].split()[1])
        return Reply(text=("billing", "refund")[(number + (request.model == "draft")) % 2])
"""


class House(Provider):
    """Answers rightly, but for the models in *wrong*."""

    wrong = frozenset[str]()
    requests = 0
    closed = False

    def __init__(self, wrong=(), environ=None):
        self.wrong = frozenset(word for word in wrong if isinstance(word, str))

    async def generate(self, request):
        House.requests += 1
        number = int(request.messages[-1][1].split()[1]) + (request.model in self.wrong)
        return Reply(text=LABELS[number % 2])

    async def close(self):
        self.closed = True


@pytest.fixture
def suite(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(House, "requests", 0)
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": f"t{n:03}", "input": f"Ticket {n}", "expected": LABELS[n % 2]} for n in range(80)
    ]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "t.cases.jsonl").write_text(text, "utf-8")
    (tmp_path / "t.ftgate.yaml").write_text(SUITE, "utf-8")
    return tmp_path / "t.ftgate.yaml"


def test_gates_are_evaluated_with_a_provider_in_memory(suite):
    house = House(["draft"])

    run = evaluate(suite, providers={"house": house})

    assert not run.passed
    assert run.verdict("accuracy", "draft").outcome is Outcome.FAILED
    assert run.scores["current"].correct.mean() == 1.0
    assert run.scores["draft"].correct.mean() == 0.0
    assert run.report.requests.sent == 160
    # It belongs to the caller, who may use it again.
    assert not house.closed


def test_a_second_run_sends_nothing_unless_it_is_to_be_fresh(suite):
    evaluate("t.ftgate.yaml", providers={"house": House})

    assert evaluate("t.ftgate.yaml", providers={"house": House}).report.requests.sent == 0
    assert evaluate(suite, providers={"house": House}, replies="fresh").report.requests.sent == 160
    assert evaluate(suite, providers={"house": House}, replies="recorded").passed


def test_one_variant_is_evaluated_alone(suite):
    run = evaluate(suite, providers={"house": House(["draft"])}, variants=["current"])

    assert run.passed
    assert [verdict.variant for verdict in run.verdicts] == ["current"]
    with pytest.raises(ConfigurationError, match=r'"drafd" is not in the suite; did you mean "dra'):
        evaluate(suite, providers={"house": House}, variants=["drafd"])


def test_a_gate_with_an_error_is_not_evaluated_and_the_reason_is_shown(suite):
    bad = "  other: {provider: openai-compatible, base_url_env: NOT_SET, model: x}\ngates:"
    suite.write_text(SUITE.replace("gates:", bad), "utf-8")

    run = evaluate(suite, providers={"house": House})

    assert not run.passed
    assert len(run.verdicts) == 2
    assert "not evaluated: t.ftgate.yaml::accuracy[other]: " in str(run)
    with pytest.raises(ConfigurationError, match="NOT_SET is not set"):
        run.verdict("accuracy", "other")


def test_reports_are_those_of_pytest(suite):
    run = evaluate(suite, providers={"house": House(["draft"])})

    assert json.loads(run.to_json())["verdicts"][1]["headline"] == headline(run.verdicts[1])
    assert re.search(r"\| draft +\| accuracy \|", run.to_markdown())
    assert "✗ accuracy[draft]" in str(run)
    assert run._repr_html_().startswith("<pre>BLOCKED")
    assert "<title>" in run.to_html()


def test_errors_of_the_suite_are_raised_at_once(suite):
    with pytest.raises(SuiteError, match=r't\.ftgate\.yaml:4: .*unknown provider "house"'):
        evaluate(suite)
    with pytest.raises(ConfigurationError, match='"llamacpp" comes with the package'):
        evaluate(suite, providers={"llamacpp": House})
    with pytest.raises(ConfigurationError, match='"house" is a int'):
        evaluate(suite, providers={"house": 7})


def test_with_a_root_directory_verdicts_and_cache_are_those_of_pytest(pytester, suite):
    pytester.makeini("[pytest]")
    for file in suite.parent.glob("t.*"):
        (pytester.path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    (pytester.path / "conftest.py").write_text(HOUSE, "utf-8")
    (pytester.path / "answers.py").write_text(ANSWERS, "utf-8")
    pytester.chdir()
    result = pytester.runpytest_subprocess("--ftgate", "--ftgate-json=run.json")
    result.assert_outcomes(passed=1, failed=1)

    run = evaluate("t.ftgate.yaml", rootdir=".")

    assert run.report.requests.sent == 0
    typed = json.loads((pytester.path / "run.json").read_text("utf-8"))
    assert json.loads(run.to_json())["verdicts"] == typed["verdicts"]


def test_conftest_files_are_imported_only_where_the_root_is_given(suite):
    (suite.parent / "conftest.py").write_text('raise RuntimeError("imported")\n', "utf-8")

    assert evaluate(suite, providers={"house": House}).passed
    with pytest.raises(ConfigurationError, match=r"conftest\.py.*RuntimeError: imported"):
        evaluate(suite, providers={"house": House}, rootdir=suite.parent)


def test_conftest_files_from_the_root_down_to_the_suite_take_part_and_no_others(tmp_path, suite):
    below = tmp_path / "prompts"
    (below / "deep").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    for file in suite.parent.glob("t.*"):
        (below / file.name).write_text(file.read_text("utf-8"), "utf-8")
    note = "import os\nos.environ['NOTED'] = os.environ.get('NOTED', '') + '{}'\n"
    (tmp_path / "conftest.py").write_text(note.format("1"), "utf-8")
    (below / "conftest.py").write_text(f"{note.format('2')}{HOUSE}", "utf-8")
    (below / "answers.py").write_text(ANSWERS, "utf-8")
    for folder in ("beside", "prompts/deep"):
        (tmp_path / folder / "conftest.py").write_text(note.format("3"), "utf-8")

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NOTED", "")
        run = evaluate(below / "t.ftgate.yaml", rootdir=tmp_path)
        assert os.environ["NOTED"] == "12"
    # Later tests in this process have modules of that name too.
    sys.modules.pop("answers", None)

    assert run.verdict("accuracy", "draft").outcome is Outcome.FAILED
    assert run.report.verdicts[0].suite == "prompts/t.ftgate.yaml"
    with pytest.raises(ConfigurationError, match="is not below rootdir"):
        evaluate(below / "t.ftgate.yaml", rootdir=tmp_path / "beside")
