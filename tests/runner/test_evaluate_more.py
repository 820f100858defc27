"""Gates evaluated from Python have the verdicts, the requests and the cache of pytest."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from ftgate_testing.fake_provider import CASES

from pytest_ftgate import ConfigurationError, Outcome, evaluate, headline
from pytest_ftgate.errors import SuiteError

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


@pytest.fixture
def suite(house, monkeypatch) -> Path:
    monkeypatch.chdir(house.folder)
    house.write("{accuracy: {max_drop: 0.1}}", score=", score: choice")
    house.wrong = {"draft"}
    return house.folder / "s.ftgate.yaml"


@pytest.fixture
def providers(house):
    return {"house": house.provider}


def test_gates_are_evaluated_with_a_provider_in_memory(suite, house):
    lent = house.provider([], {})
    lent.close = AsyncMock()

    run = evaluate(suite, providers={"house": lent})

    assert not run.passed
    assert run.verdict("accuracy", "draft").outcome is Outcome.FAILED
    assert run.scores["current"].correct.mean() == 1.0
    assert run.scores["draft"].correct.mean() == 0.0
    assert run.report.requests.sent == 2 * CASES
    # It belongs to the caller, who may use it again.
    assert lent.close.mock_calls == []


def test_a_second_run_sends_nothing_unless_it_is_to_be_fresh(suite, house, providers):
    def sent(suite, **more):
        return evaluate(suite, **{"providers": providers, **more}).report.requests.sent

    assert sent("s.ftgate.yaml", providers={"house": type(house.provider([], {}))}) == 2 * CASES
    assert sent("s.ftgate.yaml") == 0
    assert sent(suite, replies="fresh") == 2 * CASES
    assert sent(suite, replies="recorded") == 0


def test_one_variant_is_evaluated_alone(suite, providers):
    run = evaluate(suite, providers=providers, variants=["current"])

    assert run.passed
    assert [verdict.variant for verdict in run.verdicts] == ["current"]
    with pytest.raises(ConfigurationError, match=r'"drafd" is not in the suite; did you mean "dra'):
        evaluate(suite, providers=providers, variants=["drafd"])


def test_a_gate_with_an_error_is_not_evaluated_and_the_reason_is_shown(suite, providers):
    bad = "  other: {provider: openai-compatible, base_url_env: NOT_SET, model: x}\ngates:"
    suite.write_text(suite.read_text("utf-8").replace("gates:", bad), "utf-8")

    run = evaluate(suite, providers=providers)

    assert not run.passed
    assert len(run.verdicts) == 2
    assert "not evaluated: s.ftgate.yaml::accuracy[other]: " in str(run)
    with pytest.raises(ConfigurationError, match="NOT_SET is not set"):
        run.verdict("accuracy", "other")


def test_reports_are_those_of_pytest(suite, providers):
    run = evaluate(suite, providers=providers)

    assert json.loads(run.to_json())["verdicts"][1]["headline"] == headline(run.verdicts[1])
    assert re.search(r"\| draft +\| accuracy \|", run.to_markdown())
    assert "✗ accuracy[draft]" in str(run)
    assert run._repr_html_().startswith("<pre>BLOCKED")
    assert "<title>" in run.to_html()


def test_errors_of_the_suite_are_raised_at_once(suite, house):
    with pytest.raises(SuiteError, match=r's\.ftgate\.yaml:4: .*unknown provider "house"'):
        evaluate(suite)
    with pytest.raises(ConfigurationError, match='"llamacpp" comes with the package'):
        evaluate(suite, providers={"llamacpp": house.provider})
    with pytest.raises(ConfigurationError, match='"house" is a int'):
        evaluate(suite, providers={"house": 7})


def copy_to(folder, suite):
    """Copy the files of the suite, with a provider of a conftest.py, to *folder*."""
    for file in suite.parent.glob("*.[jy]*l"):
        (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
    (folder / "conftest.py").write_text(HOUSE, "utf-8")
    (folder / "answers.py").write_text(ANSWERS, "utf-8")


def test_with_a_root_directory_verdicts_and_cache_are_those_of_pytest(pytester, suite):
    pytester.makeini("[pytest]")
    copy_to(pytester.path, suite)
    pytester.chdir()
    result = pytester.runpytest_subprocess("--ftgate", "--ftgate-json=run.json")
    result.assert_outcomes(passed=1, failed=1)

    run = evaluate("s.ftgate.yaml", rootdir=".")

    assert run.report.requests.sent == 0
    typed = json.loads((pytester.path / "run.json").read_text("utf-8"))
    assert json.loads(run.to_json())["verdicts"] == typed["verdicts"]


def test_conftest_files_are_imported_only_where_the_root_is_given(suite, house, providers):
    house.wrong.clear()
    (suite.parent / "conftest.py").write_text('raise RuntimeError("imported")\n', "utf-8")

    assert evaluate(suite, providers=providers).passed
    with pytest.raises(ConfigurationError, match=r"conftest\.py.*RuntimeError: imported"):
        evaluate(suite, providers=providers, rootdir=suite.parent)


def test_conftest_files_from_the_root_down_to_the_suite_take_part_and_no_others(tmp_path, suite):
    below = tmp_path / "prompts"
    (below / "deep").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    copy_to(below, suite)
    note = "import os\nos.environ['NOTED'] = os.environ.get('NOTED', '') + '{}'\n"
    (tmp_path / "conftest.py").write_text(note.format("1"), "utf-8")
    (below / "conftest.py").write_text(f"{note.format('2')}{HOUSE}", "utf-8")
    for folder in ("beside", "prompts/deep"):
        (tmp_path / folder / "conftest.py").write_text(note.format("3"), "utf-8")

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NOTED", "")
        run = evaluate(below / suite.name, rootdir=tmp_path)
        assert os.environ["NOTED"] == "12"
    # Later tests in this process have modules of that name too.
    sys.modules.pop("answers", None)

    assert run.verdict("accuracy", "draft").outcome is Outcome.FAILED
    assert run.report.verdicts[0].suite == "prompts/s.ftgate.yaml"
    with pytest.raises(ConfigurationError, match="is not below rootdir"):
        evaluate(below / suite.name, rootdir=tmp_path / "beside")


# Variants without a gate -------------------------------------------------------------------------


def test_a_variant_without_a_gate_that_cannot_be_measured_is_named_and_fails_nothing(
    suite, house, providers
):
    house.wrong.clear()
    absent = "provider: openai-compatible, base_url_env: NOT_SET, model: x, gated: false"
    text = suite.read_text("utf-8").replace("gates:", f"  other: {{{absent}}}\ngates:")
    suite.write_text(text, "utf-8")

    run = evaluate(suite, providers=providers)

    assert run.passed
    assert "not measured: other (-v shows why)" in str(run)
    assert "NOT_SET is not set" in run.to_json()
