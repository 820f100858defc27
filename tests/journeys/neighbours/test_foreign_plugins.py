"""The plugins that users have beside ours: each does its own, and verdicts stay what they are."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, version
from unittest.mock import ANY

import pytest
from ftgate_testing.foreign_plugins import NEIGHBOURS, awaken

MODULE = """\
import pytest

def test_plain():
    pass

@pytest.mark.ftgate("tickets.ftgate.yaml", max_drop=0.05)
def test_it(case, reply):
    assert reply.text == case.expected
"""
ALL = {"passed": 3, "failed": 2}


#: Answers the first time rightly and ever after wrongly, and notes each time.
FICKLE = """\
from pathlib import Path

ASKED = Path(__file__).with_name("asked.txt")
seen = set()

def answer(case):
    with ASKED.open("a") as stream:
        stream.write(case.id + "\\n")
    if case.id in seen or int(case.id[1:]) < 30:
        return "neither"
    seen.add(case.id)
    return case.expected
"""


@pytest.fixture
def both(desk):
    """A desk with a suite, a marked function and an ordinary test; one variant fails."""
    desk.suite(current=2, worse=30, gates="{accuracy: {max_drop: 0.05}}")
    desk.path("test_it.py").write_text(MODULE)
    return desk


@pytest.fixture
def beside(both, monkeypatch):
    """Run pytest in a process of its own, with the plugins awake that are named."""

    def run(awake, *args):
        awaken(monkeypatch, *awake)
        junit = f"--junitxml={both.path('junit.xml')}"
        return both.pytester.runpytest_subprocess("--ftgate", junit, *args)

    return run


@pytest.fixture
def alone(both):
    """The verdicts of a run without any other plugin."""
    both.run()
    return both.verdicts()


def test_all_of_them_together_change_no_verdict(both, beside, alone):
    options = ("-n2", "--reruns=1", "--timeout=300", "--cov=.", "--html=page.html")

    result = beside(NEIGHBOURS, *options, "--report-log=log.jsonl", "--force-sugar")

    assert result.ret == 1
    assert both.verdicts() == alone
    assert both.path("page.html").exists()
    assert both.path("log.jsonl").exists()


@pytest.mark.parametrize(
    ("plugin", "flags"),
    [
        pytest.param(["rerunfailures"], ["--reruns=2"], marks=pytest.mark.heavy),
        (["rerunfailures"], ["--force-reruns=2"]),
        pytest.param(["pytest-retry"], ["--retries=2"], marks=pytest.mark.heavy),
        pytest.param(["flaky"], ["--force-flaky"], marks=pytest.mark.heavy),
        # Named by its module, a plugin has another name.
        ([], ["--retries=2", "-p", "pytest_retry.retry_plugin"]),
        ([], ["--reruns=2", "-p", "pytest_rerunfailures"]),
        pytest.param(
            [], ["--force-flaky", "-p", "flaky.flaky_pytest_plugin"], marks=pytest.mark.heavy
        ),
    ],
)
def test_a_rerun_never_rolls_a_verdict_again(both, beside, plugin, flags):
    both.asking_suite(FICKLE, gates="{accuracy: {min: 0.9}}")
    both.marked("def test_it(case, reply):\n    assert reply.text == case.expected\n", "min=0.9")

    result = beside(plugin, *flags, "--deselect=test_it.py", "--ftgate-replies=fresh")

    assert result.ret == 1
    assert len(both.asked()) == both.cases
    assert {one["checks"][0]["after"] for one in both.verdicts().values()} == {0.7}
    result.stdout.fnmatch_lines(["BLOCKED  2 of 2 gates failed*"])
    if flags != ["--force-reruns=2"]:
        result.stdout.no_re_match_line(r".*(\d rerun|\d retried|failed \(1 runs remaining)")


def test_reports_of_plugins_have_the_place_of_a_gate_and_readable_parameters(both, beside):
    files = ("--json-report", "--json-report-file=report.json", "--alluredir=allure")
    plugins = ("metadata", "pytest_jsonreport", "allure_pytest", "pytest-split")

    result = beside(plugins, "-k", "test_it and worse", *files, "--splits=1", "--group=1")

    assert result.ret == 1
    (test,) = json.loads(both.path("report.json").read_text())["tests"]
    assert (test["call"]["crash"]["path"], test["call"]["crash"]["lineno"]) == (
        str(both.path("test_it.py")),
        6,
    )
    (report,) = map(json.loads, (f.read_text() for f in both.path("allure").glob("*result.json")))
    assert report["status"] == "failed"
    assert {part["value"] for part in report["parameters"]} == {"worse"}


#: A conftest.py whose marks come before ours.
FORCES = """\
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.flaky(reruns=1, retries=1), append=False)
"""
METHOD = """\
import pytest

class TestIt:
    @pytest.mark.ftgate("tickets.ftgate.yaml", max_drop=0.05)
    def test_it(self, case, reply):
        return bool(reply) and reply.text == case.expected
"""


@pytest.mark.parametrize("module", ["pytest_rerunfailures", "pytest_retry.retry_plugin"])
def test_a_gate_that_is_run_again_all_the_same_has_the_verdict_it_had(both, beside, module):
    both.path("conftest.py").write_text(FORCES)
    both.path("test_it.py").write_text(METHOD)

    result = beside((), "-p", module, "-k", "worse")

    assert result.parseoutcomes()["failed"] == 2
    result.stdout.fnmatch_lines(["BLOCKED  2 of 2 gates failed*", "*2 re*"])
    result.stdout.no_fnmatch_line("*is not known here*")


@pytest.mark.heavy
def test_a_flaky_ordinary_test_is_run_again_as_ever(both, beside):
    both.path("test_flaky.py").write_text(
        "n = []\ndef test_it():\n    n.append(1)\n    assert len(n) > 1\n"
    )

    result = beside(("rerunfailures",), "--reruns=2", "test_flaky.py")

    result.stdout.fnmatch_lines(["*1 passed, 1 rerun*"])


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_random_order_changes_no_verdict_and_keeps_gates_last(both, beside, alone, seed):
    result = beside(("randomly",), "-v", f"--randomly-seed={seed}")

    result.assert_outcomes(**ALL)
    nodes = [line.split()[0] for line in result.outlines if re.search(r" (PASSED|FAILED) ", line)]
    assert nodes[0] == "test_it.py::test_plain"
    assert both.verdicts() == alone


SERVER = """\
import pytest

@pytest.fixture(scope="session")
def server(variant):
    print("starts", variant.name)
"""


def test_in_random_order_a_server_starts_once_for_each_variant(both, beside):
    both.path("conftest.py").write_text(SERVER)
    served = MODULE.replace("(case, reply)", "(case, reply, server)")
    for name in ("test_it.py", "test_more.py", "test_most.py"):
        both.path(name).write_text(served)

    result = beside(("randomly",), "-s", "-k", "test_it and not plain", "--randomly-seed=3")

    result.assert_outcomes(passed=3, failed=3, deselected=5)
    text = result.stdout.str()
    assert (text.count("starts current"), text.count("starts worse")) == (1, 1)


def test_a_timeout_is_an_error_and_loses_no_reply(both, beside):
    both.asking_suite(
        "import time\nfrom pathlib import Path\nASKED = Path(__file__).with_name('asked.txt')\n"
        "def answer(case):\n"
        "    with ASKED.open('a') as stream:\n        stream.write(case.id + '\\n')\n"
        "    time.sleep(0.03)\n    return case.expected\n",
        gates="{accuracy: {min: 0.9}}",
    )

    result = beside(("timeout",), "--timeout=1", "tickets.ftgate.yaml")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Timeout*1.0s*", "no gate was evaluated; see the errors above"])
    came = len(both.asked())
    assert 0 < came < both.cases

    beside((), "tickets.ftgate.yaml").assert_outcomes(passed=1)
    assert len(both.asked()) <= both.cases + 1


def test_a_timeout_in_a_marked_function_is_no_wrong_reply(both, beside):
    both.marked("def test_it(case, reply):\n    __import__('time').sleep(60)\n", "min=0.5")

    result = beside(("timeout",), "--timeout=1", "test_marked.py", "-k", "current")

    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["*Timeout*1.0s*"])


@pytest.mark.heavy
def test_coverage_is_measured_of_what_gates_run(both, beside):
    both.asking_suite(gates="{accuracy: {min: 0.9}}")

    result = beside(("pytest_cov",), "--cov=.", "--cov-report=term")

    result.stdout.fnmatch_lines(["answers.py * 100%"])


@pytest.mark.heavy
def test_a_page_of_pytest_html_has_the_verdicts(both, beside):
    both.path("test_it.py").write_text(MODULE.replace("reply.text ==", "{}[0] =="))

    beside(("html", "html_fixtures", "metadata"), "--html=page.html", "--self-contained-html")

    page = both.path("page.html").read_text()
    assert "accuracy down 28 points" in page
    # What could not be judged is an error there too.
    assert "2 Errors" in page


@pytest.mark.heavy
@pytest.mark.parametrize("is_named", [True, False])
def test_github_is_told_of_each_failure_at_its_line(both, beside, monkeypatch, is_named):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    name = "pytest_github_actions_annotate_failures"

    result = beside(() if is_named else (name,), *["-p", f"{name}.plugin"] * is_named)

    told = [line for line in (*result.outlines, *result.errlines) if line.startswith("::error")]
    assert any("file=tickets.ftgate.yaml,line=6" in line for line in told)
    assert any("file=test_it.py" in line for line in told)
    assert len(told) == 2


@pytest.mark.heavy
def test_pytest_sugar_counts_gates_as_tests(both, beside):
    result = beside(("sugar",), "--force-sugar")

    result.stdout.fnmatch_lines(["*BLOCKED  2 of 4 gates failed*"])
    assert result.ret == 1
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout.str())
    assert "3 passed" in text
    assert "2 failed" in text


@pytest.mark.heavy
def test_a_report_log_carries_the_verdicts(both, beside, alone):
    beside(("pytest_reportlog",), "--report-log=log.jsonl")

    told = [json.loads(line) for line in both.path("log.jsonl").read_text().splitlines()]
    calls = [one for one in told if one.get("when") == "call"]
    found = [dict(one["user_properties"]).get("ftgate") for one in calls]
    verdicts = [{**json.loads(one), "headline": ANY} for one in found if one]
    assert verdicts == [*alone.values()]


def _has_ftgate():
    try:
        return version("ftgate")
    except PackageNotFoundError:
        return ""


@pytest.mark.skipif(not _has_ftgate(), reason="pip install --no-deps ftgate runs it")
def test_the_distribution_called_ftgate_works_beside_ours(both, beside, alone):
    beside((), "--ftgate-fail-on=error").assert_outcomes(**ALL)

    assert both.verdicts() == alone


SOFT = """\
def test_it(case, reply, check):
    check.equal(reply.text, case.expected)
    check.is_in("i", reply.text)
    if case.id == "t099":
        raise AssertionError("the last one")
"""


def test_soft_assertions_make_their_own_reply_wrong(both, beside):
    both.marked(SOFT, 'min=0.8, max_drop="none"')

    result = beside(("check",), "test_marked.py", "-oftgate_show=1")

    result.assert_outcomes(failed=2)
    rates = {name: one["checks"][0]["after"] for name, one in both.verdicts().items()}
    # The label of every second case has no i.
    assert rates == {"test_it[current]": 0.49, "test_it[worse]": 0.35}
    assert "check refund == billing" in both.verdicts()["test_it[current]"]["flips"][0]["wrong"]


def test_a_check_that_fails_in_a_fixture_is_an_error_and_no_wrong_reply(both, beside):
    both.path("conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef broken(check):\n    check.equal(1, 2)\n"
    )
    both.marked(SOFT.replace("reply, ", "reply, broken, "), "min=0.6")

    result = beside(("check",), "test_marked.py")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*a check in a fixture failed: check 1 == 2*"])


def test_the_differences_of_icdiff_are_shown_without_its_marks(both, beside):
    result = beside(("icdiff",), "test_it.py", "-k", "worse")

    result.assert_outcomes(failed=1, deselected=2)
    assert "'refund'" in both.verdicts()["test_it[worse]"]["flips"][0]["wrong"]
    assert not re.search(r"\\x0[01]|[\x00\x01]", result.stdout.str())


@pytest.mark.parametrize("selected", ["test_it", "test_uses"])
def test_replies_of_the_cache_need_no_socket(both, beside, selected):
    both.path("test_uses.py").write_text(
        "def test_uses(ftgate):\n"
        "    assert ftgate.suite('tickets.ftgate.yaml').ask('current', 't050').text == 'billing'\n"
    )

    result = beside(("socket",), "--disable-socket", f"{selected}.py", "-k", "current or uses")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["*= 1 passed*"])
