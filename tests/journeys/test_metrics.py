"""A marked function may return several scores, and each has a gate of its own."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

MODULE = """\
import pytest

@pytest.mark.ftgate(
    "tickets.ftgate.yaml", metrics={"right": {"max_drop": 0.05}, "short": {"min": 0.9}}
)
def test_it(case, reply):
    assert reply.text
    return {"right": reply.text == case.expected, "short": len(reply.text) < 9}
"""


@pytest.fixture
def scored(desk):
    """A desk with a function of two metrics, of which one fails for one variant."""
    desk.suite(current=2, worse=30, gates="{accuracy: {min: 0.5}}")
    desk.path("test_it.py").write_text(MODULE)
    return desk


def test_each_metric_has_a_gate_with_its_own_limit(scored):
    result = scored.run("test_it.py", "-v")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_it[[]current-right] PASSED*",
            "test_it.py::test_it[[]worse-right] FAILED*",
            "test_it.py::test_it[[]worse-short] PASSED*",
            "it (right): down 28 points * limit 5: current 98 % → *",
        ]
    )
    verdicts = scored.verdicts()
    assert verdicts["test_it[worse-short]"]["checks"][0]["limit"] == 0.9
    assert verdicts["test_it[worse-right]"]["gate"] == "test_it[right]"


def test_drop_checks_of_the_metrics_share_their_risk(scored):
    text = MODULE.replace('{"min": 0.9}', '{"max_drop": 0.05}')
    scored.path("test_it.py").write_text(text)

    scored.run("test_it.py")

    checks = scored.verdicts()["test_it[worse-right]"]["checks"]
    assert checks[0]["alarm"] == pytest.approx(0.01 / 2)


LOGGED = """\
import pytest

SUITE = "tickets.ftgate.yaml"

@pytest.mark.ftgate(SUITE, metrics={"right": {"max_drop": 0.05}, "short": {"min": 0.9}})
def test_it(case, reply, log_score):
    log_score("right", reply.text == case.expected)
    log_score("short", 0.95)
"""


def test_scores_may_be_logged_instead_of_returned(scored):
    scored.path("test_it.py").write_text(LOGGED)

    scored.run("test_it.py").assert_outcomes(passed=3, failed=1)

    verdicts = scored.verdicts()
    assert verdicts["test_it[worse-right]"]["outcome"] == "failed"
    assert verdicts["test_it[worse-short]"]["checks"][0]["after"] == pytest.approx(0.95)


@every_row("module", [MODULE, LOGGED.replace("0.95", "1")])
def test_one_case_is_run_for_each_metric_whether_it_is_returned_or_logged(scored, module):
    scored.path("test_it.py").write_text(module)

    result = scored.run("test_it.py", "--ftgate-case=t003", "-v")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["test_it.py::test_it[[]worse-t003-right] FAILED*"])


WRONG = "*; return a mapping with a score for"


@every_row(
    "module, written, instead, message",
    [
        (MODULE, '"short": len', '"sort": len', f"{WRONG} right, short*"),
        (MODULE, '{"min": 0.9}', '{"mim": 0.9}', 'metrics: unknown key "mim"; did you mean "min"?'),
        (
            MODULE,
            "metrics=",
            "min=0.5, metrics=",
            "min: each of the metrics has its own; write it there",
        ),
        (LOGGED, '"short", 0.95', '"sort", 0.95', "log_score('sort', 0.95) for case*; did you *"),
        (
            LOGGED,
            '"short", 0.95',
            '"short", 95',
            "log_score('short', 95) for case*: a score is True, *",
        ),
        (LOGGED, 'log_score("short", 0.95)', "pass", f"{WRONG} short, or log*"),
        (LOGGED, "metrics=", "min=0.5) # ", "log_score needs the metrics that it logs, *"),
    ],
)
def test_what_is_wrong_with_metrics_or_a_logged_score_is_said(
    scored, module, written, instead, message
):
    scored.path("test_it.py").write_text(module.replace(written, instead))

    result = scored.run("test_it.py", "-k", "current")

    result.stdout.fnmatch_lines([f"*{message}"])
    assert result.ret != 0
