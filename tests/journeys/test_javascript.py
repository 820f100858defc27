"""A user scores replies by JavaScript, and is told what is wrong with it."""

from __future__ import annotations

import json
from shutil import which

import pytest
from ftgate_testing.tables import heavy

from pytest_ftgate.cli.main import main

pytestmark = pytest.mark.skipif(which("node") is None, reason="there is no node on the PATH")
SUITE = """\
cases: c.jsonl
reply:
  score: {{javascript: {score}}}
  format: {{javascript: {{file: checks.mjs, function: short, config: {{most: 20}}}}}}
variants:
  current: {variant}
gates: {{accuracy: {{min: 0.5}}, format: {{min: 0.5}}}}
"""
CHECKS = """\
export const short = (output, context) => ({
  pass: output.length <= context.config.most,
  reason: "it is too long",
});
"""
RECORDED = "{provider: recorded, replies: r.jsonl}"
SERVED = '{provider: openai-compatible, model: m, base_url: "http://127.0.0.1:9/v1"}'
CATEGORY = '{code: "JSON.parse(output).category === context.vars.expected", throws: wrong}'


@pytest.fixture
def project(pytester):
    """Write a suite of 40 replies, of which each fourth is long, and each tenth no JSON."""
    replies = ['{"category": "b"}', '{"category": "b", "more": 1}', "b"]

    def write(score=CATEGORY, variant=RECORDED):
        kinds = [1 if n % 4 == 0 else 2 if n % 10 == 1 else 0 for n in range(40)]
        cases = [{"id": f"t{n}", "input": f"x{n}", "expected": "b"} for n in range(40)]
        rows = [{"id": f"t{n}", "text": replies[kind]} for n, kind in enumerate(kinds)]
        for name, values in (("c.jsonl", cases), ("r.jsonl", rows)):
            (pytester.path / name).write_text("".join(f"{json.dumps(v)}\n" for v in values))
        (pytester.path / "checks.mjs").write_text(CHECKS)
        text = SUITE.format(score=score, variant=variant)
        (pytester.path / "s.ftgate.yaml").write_text(text)
        return pytester

    return write


def run(folder, *words):
    return folder.runpytest_inprocess("--ftgate", *words)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), heavy(("-n", "2"))], ids=["alone", "workers"])
def test_replies_are_scored_and_checked_in_one_process_and_in_workers(project, words):
    result = run(project(), *words)

    told = result.stdout.str()
    assert result.ret == 0
    assert "accuracy: current 90 %" in told
    assert "format: current 75 %" in told


@pytest.mark.slow
def test_an_exception_that_means_no_wrong_reply_leaves_no_verdict(project):
    result = run(project(score='"JSON.parse(output).category === context.vars.expected"'))

    assert result.ret == 1
    told = " ".join(result.stdout.str().split())
    assert 'score: javascript broke on case "t1" (c.jsonl:2): JSON.parse(output).category' in told
    assert "where that means a wrong reply, write throws: wrong" in told


@pytest.mark.slow
def test_code_that_does_not_parse_is_told_by_the_plan_and_by_doctor(project, capsys):
    folder = project(score='"output.includes("', variant=SERVED)

    plan = run(folder, "--ftgate-plan")
    capsys.readouterr()
    doctor = main(["doctor"])

    assert (plan.ret, doctor) == (1, 1)
    for told in (plan.stdout.str(), capsys.readouterr().out):
        assert "javascript: output.includes(: SyntaxError" in " ".join(told.split())
