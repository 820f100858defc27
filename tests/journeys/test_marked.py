"""A marked test function marks the replies, and is a gate for each variant."""

from __future__ import annotations

import re

import pytest
from ftgate_testing.tables import every_row, heavy

from pytest_ftgate.cli.main import main
from pytest_ftgate.results.run import read_run

RIGHT = "def test_it(case, reply):\n    assert reply.text == case.expected\n"


@pytest.fixture
def two(desk):
    """A desk with a good variant and one that is wrong in 30 of 100 cases."""
    desk.suite(current=2, worse=30)
    return desk


def run(desk, *args):
    return desk.run("test_marked.py", *args)


def write(desk, functions, mark="min=0.5"):
    """Write a module of marked functions, each by its signature and its body."""
    head = f'@pytest.mark.ftgate("tickets.ftgate.yaml", {mark})\n'
    parts = [f"{head}def {name}:\n    {body}\n" for name, body in functions.items()]
    desk.path("test_marked.py").write_text("import pytest\n\n" + "\n".join(parts), "utf-8")


@pytest.mark.parametrize("options", [["-k", "worse"], ["--ftgate-variant=worse"], heavy(["-n2"])])
def test_its_items_are_its_variants_whose_verdicts_are_the_same_however_they_are_run(two, options):
    two.marked(RIGHT)

    result = run(two, "-v")

    result.stdout.fnmatch_lines(
        ["test_marked.py::test_it[[]current] PASSED*", "test_marked.py::test_it[[]worse] FAILED*"]
    )
    alone = two.verdicts()
    run(two, *options)
    assert two.verdicts()["test_it[worse]"] == alone["test_it[worse]"]


@every_row(
    "node, shown, line",
    [
        *(("test_marked.py", number, "test_marked.py:5: in test_it") for number in (0, 1, 5)),
        ("tickets.ftgate.yaml", 5, "│ expected"),
    ],
)
def test_how_many_cases_are_shown_is_an_option_for_functions_and_suites(two, node, shown, line):
    two.marked(RIGHT)

    result = two.run(node, f"-oftgate_show={shown}")

    assert sum(line in one for one in result.outlines) == shown


WAYS = (
    "assert reply.text == case.expected",
    "return reply.text == case.expected",
    "return 1.0 if reply.text == case.expected else 0.0",
    "reply.text == case.expected or pytest.fail('wrong')",
)


def test_whatever_way_it_marks_the_verdict_is_the_same(two):
    write(two, {f"test_{n}(case, reply)": way for n, way in enumerate(WAYS)}, "max_drop=0.05")

    run(two).assert_outcomes(passed=4, failed=4)

    found = two.verdicts()
    for variant in ("current", "worse"):
        first, *others = (found[f"test_{n}[{variant}]"]["checks"] for n in range(len(WAYS)))
        assert others == [first] * 3


# What is no verdict ---------------------------------------------------------------------------


def test_an_error_in_the_function_is_an_error_and_names_the_case_in_reports_too(two):
    two.marked("def test_it(case, reply):\n    return {}[case.id]\n")

    result = run(two, "--ftgate-json=run.json")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_it[[]current]*",
            ">       return {}[[]case.id]",
            "E       KeyError: 't000'",
            'E       on case "t000" (tickets.cases.jsonl:1)',
            "no gate was evaluated; *",
        ]
    )
    told = {one.node: one.reason for one in read_run(two.path("run.json")).not_evaluated}
    assert told["test_marked.py::test_it[worse]"] == (
        "KeyError: 't000'\non case \"t000\" (tickets.cases.jsonl:1)\ntest_marked.py:5"
    )


def test_what_is_no_score_of_any_case_is_an_error(two):
    values = ("'yes'", "2", "-0.1", "float('nan')", "[1]", "pytest.skip('later')")
    write(two, {f"test_{n}(reply)": f"return {value}" for n, value in enumerate(values)})

    result = run(two, "-k", "current")

    result.assert_outcomes(errors=6, deselected=6)
    told = 'current: the function returned {} for case "t000" (*; return nothing, *'
    shown = ("'yes'", "2", "-0.1", "nan", "[[]1]")
    lines = [told.format(value) for value in shown]
    result.stdout.fnmatch_lines([*lines, "current: the function left out all 100 cases: later"])


def test_a_skip_leaves_the_case_out_and_is_told(two):
    two.marked(
        "def test_it(case, reply):\n"
        "    if case.expected == 'refund':\n"
        "        pytest.skip('not about money')\n"
        "    assert reply.text == case.expected\n",
        "min=0.5",
    )

    result = run(two, "-v", "-k", "current")

    result.assert_outcomes(passed=1, deselected=1)
    verdict = two.verdicts()["test_it[current]"]
    assert verdict["checks"][0]["n"] == 50
    assert '50 cases are left out by the function itself: "not about money"' in verdict["notes"]


#: Leaves out what is no label, so that the broken replies of a draft would not count.
LEAVES_OUT = (
    "def test_it(case, reply):\n"
    "    if reply.text not in ('billing', 'refund'):\n"
    "        pytest.skip('no label')\n"
    "    assert reply.text == case.expected\n"
)


@pytest.mark.parametrize(
    ("broken", "outcomes"), [(5, {"passed": 2}), (6, {"passed": 1, "errors": 1})]
)
def test_replies_that_are_left_out_of_one_side_alone_evaluate_nothing(desk, broken, outcomes):
    desk.suite(current=0)
    desk.replies("draft", wrong=broken, said="?")
    desk.suite_of(
        {name: f"{{provider: recorded, replies: {name}.jsonl}}" for name in ("current", "draft")}
    )
    desk.marked(LEAVES_OUT, "max_drop=0.1")

    result = run(desk)

    result.assert_outcomes(**outcomes)
    if broken == 6:
        text = (
            'draft: the function leaves out 6 of 100 cases that it scored for current: "no label";*'
        )
        result.stdout.fnmatch_lines([text])


def test_replies_that_are_left_out_since_a_run_was_accepted_evaluate_nothing(desk):
    desk.suite(current=0)
    desk.marked(LEAVES_OUT, "min=0.5")
    run(desk, "--ftgate-accept").assert_outcomes(passed=1)
    desk.replies("current", wrong=30, said="?")

    result = run(desk)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*leaves out 30 of 100 cases that it scored for the accepted run*"]
    )
    run(desk, "--ftgate-accept").assert_outcomes(passed=1)
    run(desk).assert_outcomes(passed=1)


def test_replies_that_are_missing_are_no_zeros(desk):
    desk.replies("current", missing=3)
    desk.suite_of({"current": "{provider: recorded, replies: current.jsonl}"})
    desk.marked(RIGHT, "min=0.5")

    run(desk).assert_outcomes(passed=1)

    check = desk.verdicts()["test_it[current]"]["checks"][0]
    assert (check["n"], check["missing"], check["after"]) == (97, 3, 1.0)


def test_a_gate_that_cannot_tell_is_an_expected_failure_where_one_is_expected(desk):
    desk.suite(current=0, worse=4)
    desk.marked(f"@pytest.mark.xfail\n{RIGHT}")

    result = run(desk, "-k", "worse", "-rx")

    result.assert_outcomes(xfailed=1, deselected=1)
    result.stdout.no_fnmatch_line("*INCONCLUSIVE test_marked*")


# Python's and pytest's own forms --------------------------------------------------------------

CLASS = """\
import pytest

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5, max_drop="none")
class TestReplies:
    def test_right(self, case, reply):
        assert reply.text == case.expected

    @pytest.mark.ftgate(min=0.9)
    def test_strict(self, case, reply):
        assert reply.text == case.expected

    def test_ordinary(self):
        pass
"""


def test_a_class_is_marked_for_its_methods_and_the_nearer_mark_wins(two):
    two.path("test_marked.py").write_text(CLASS)

    result = run(two, "-v")

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*::TestReplies::test_strict[[]worse] FAILED*"])
    assert two.verdicts()["test_strict[worse]"]["gate"] == "TestReplies::test_strict"


def test_a_module_is_marked_for_those_of_its_functions_that_take_a_reply(two):
    two.path("test_marked.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.ftgate('tickets.ftgate.yaml', min=0.5, max_drop='none')\n"
        "def test_right(case, reply):\n    assert reply.text == case.expected\n"
        "def test_ordinary(): pass\n"
    )

    run(two).assert_outcomes(passed=3)


def test_parameters_make_a_gate_each_which_can_be_explained_as_a_failure_names_it(
    two, monkeypatch, capsys
):
    two.path("conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(params=['x'])\ndef tone(request): return 'formal'\n"
    )
    two.marked(
        "@pytest.mark.parametrize('most', [3, 30])\n"
        "def test_it(reply, tone, most):\n    return len(reply.text) <= most\n",
        "min=0.5",
    )

    result = run(two, "-v")

    result.assert_outcomes(passed=2, failed=2)
    # The parameter of a fixture stands before the variant.
    result.stdout.fnmatch_lines(
        ["*::test_it[[]x-current-3] FAILED*", "*::test_it[[]x-current-30] PASSED*"]
    )
    assert two.verdicts()["test_it[x-current-3]"]["gate"] == "test_it[x-3]"
    (node,) = re.findall(r'pytest --ftgate -vv "(\S+worse\S+)"', result.stdout.str())
    monkeypatch.chdir(two.pytester.path)
    assert main(["explain", node]) == 0
    assert "it (x-3): 0 % (95 % CI 0 to 4 %), min 50 %" in capsys.readouterr().out


def test_a_reply_that_holds_what_else_ends_lines_is_explained_too(desk, monkeypatch, capsys):
    desk.suite(gates="{accuracy: {min: 0.5}}", current=0)
    desk.replies("current", wrong=100, said="one\u2028two\x85three")
    desk.run()
    monkeypatch.chdir(desk.pytester.path)

    assert main(["explain", "tickets.ftgate.yaml::accuracy[current]"]) == 0
    assert r"one\u2028two" in capsys.readouterr().out


def test_fixtures_are_set_up_once_for_all_cases(two):
    two.path("conftest.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def limit():\n"
        "    with open('setups.txt', 'a') as stream:\n"
        "        stream.write('setup ')\n"
        "    return 30\n"
    )
    write(two, {"test_it(reply, limit)": "return len(reply.text) <= limit"})

    run(two).assert_outcomes(passed=2)

    assert two.path("setups.txt").read_text() == "setup setup "


def test_a_fixture_that_reads_the_case_is_told_why_it_cannot(two):
    two.path("conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef order(case):\n    return case.vars['order']\n"
    )
    two.marked("def test_it(case, reply, order):\n    pass\n")

    result = run(two, "-k", "current")

    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["*case.vars is not known here: a fixture is set up once for all*"])


def test_a_fixture_of_the_same_name_stays_that_of_ordinary_tests(two):
    two.path("conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef reply():\n    return 'their own'\n"
    )
    two.marked(RIGHT, 'min=0.5, max_drop="none"')
    two.pytester.makepyfile(test_plain="def test_it(reply): assert reply == 'their own'")

    two.run("test_marked.py", "test_plain.py").assert_outcomes(passed=3)


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="the fixture comes with pytest 9")
def test_a_subtest_that_fails_makes_the_reply_wrong_and_is_no_failure_of_its_own(two):
    two.marked(
        "def test_it(case, reply, subtests):\n"
        "    with subtests.test('label', of=case.id):\n"
        "        assert reply.text == case.expected\n"
        "    with subtests.test('length'):\n"
        "        assert len(reply.text) < 30\n"
    )

    result = run(two)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["      │ in subtest label of='t002'", "      │ E   AssertionError: assert 'refund' *"]
    )


def test_a_condition_skips_it_before_anything_is_asked(desk):
    desk.asking_suite()
    desk.marked("@pytest.mark.skipif(True, reason='no')\ndef test_it(case, reply): pass\n")

    run(desk).assert_outcomes(skipped=1)

    assert desk.asked() == []


# With the rest of the plugin ------------------------------------------------------------------


def test_its_calls_are_those_of_the_suite_and_asked_once_and_not_for_a_plan(desk):
    desk.asking_suite()
    desk.marked(RIGHT, "min=0.5")

    skipped = desk.pytester.runpytest_inprocess("-rs")
    planned = run(desk, "--ftgate-plan")

    skipped.assert_outcomes(skipped=1)
    skipped.stdout.fnmatch_lines(["SKIPPED * evaluated with --ftgate only"])
    planned.stdout.fnmatch_lines(["  current * 0 * 100 *", "  test_it[[]current] * 100 *"])
    assert desk.asked() == []
    desk.run().assert_outcomes(passed=2)
    assert len(desk.asked()) == desk.cases


def test_what_was_accepted_of_it_is_compared_with_until_its_body_is_another(desk):
    desk.suite(current=2)
    desk.marked(RIGHT)
    run(desk, "--ftgate-accept").assert_outcomes(passed=1)
    desk.marked(RIGHT.replace("==", "!="))

    run(desk).stdout.fnmatch_lines(["*100 of 100 accepted cases have changed*"])

    desk.marked(f"{RIGHT}\n\n# A comment.\n\ndef test_other(): pass\n")
    desk.replies("current", wrong=30)
    result = run(desk)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["it: down 28 points * limit 5: accepted 98 % → *"])


def test_what_the_module_of_a_marked_function_imports_belongs_to_the_exam(desk):
    desk.suite(current=0)
    desk.path("rules.py").write_text("def right(case, reply): return reply.text == case.expected\n")
    desk.marked("def test_it(case, reply):\n    assert right(case, reply)\n")
    path = desk.path("test_marked.py")
    path.write_text(f"from rules import right\n{path.read_text()}")
    desk.run("--ftgate-accept")
    desk.run().assert_outcomes(passed=2)
    desk.path("rules.py").write_text("def right(case, reply): return bool(reply.text)\n")

    assert "accepted cases have changed" in desk.run().stdout.str()
