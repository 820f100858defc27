"""A test fakes the client that a ``python`` variant calls: the replies stay with that test."""

from __future__ import annotations

from functools import partial

import pytest
from ftgate_testing.faked_client import (
    CODE,
    FUNCTION,
    GATES,
    HEAD,
    JUDGED,
    RIGHT,
    SUITE,
    TEST,
    outcomes,
    write_faked,
)
from ftgate_testing.tables import heavy

from pytest_ftgate.cli.main import main

AUTOUSE = """\
@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(answers, "CLIENT", "fake")
"""
NAMED = AUTOUSE.replace("(autouse=True)", "")
USES = '@pytest.mark.usefixtures("fake")'
OF_FUNCTION = ('"CLIENT", "fake"', '"answer", lambda case: case.expected')
#: A fixture of each scope without the fixture monkeypatch.
STARTS = """\
@pytest.fixture(scope="{scope}", autouse=True)
def fake():
    with {patch} as patch:
        patch.setattr(answers, "CLIENT", "fake")
        yield
"""
PATCHED_BY_MOCK = """\
@pytest.fixture(scope="module", autouse=True)
def fake():
    with mock.patch.object(answers, "CLIENT", "fake"):
        yield
"""
CONTEXT = "pytest.MonkeyPatch.context()"
METHOD = """\
class TestIt:
    def setup_method(self):
        answers.CLIENT = "fake"

    def teardown_method(self):
        answers.CLIENT = "real"

    @faked
    def test_faked(self, case, reply):
        assert reply.text == case.expected
"""
IN_CLASS = """\
class TestIt:
    @faked
    def test_faked(self, case, reply):
        assert reply.text == case.expected
"""
MODULE = """\
def setup_module():
    answers.CLIENT = "fake"

def teardown_module():
    answers.CLIENT = "real"

"""
#: How a test fakes the client in its own module.
WAYS = {
    "monkeypatch that the function names": NAMED + FUNCTION.replace("reply", "reply, fake", 1),
    "autouse in the module": AUTOUSE + FUNCTION,
    "the function itself": AUTOUSE.replace(*OF_FUNCTION) + FUNCTION,
    "usefixtures": NAMED + FUNCTION.replace("def ", f"{USES}\ndef "),
    "setup_method": METHOD,
    "setup_module": MODULE + FUNCTION,
    "of a class": STARTS.format(scope="class", patch=CONTEXT) + IN_CLASS,
    "of a module, by mock": PATCHED_BY_MOCK + FUNCTION,
}
IN_MODULE = WAYS["autouse in the module"]
TALKS = "@faked\ndef test_faked(case, ask):\n    assert ask().text == case.expected\n"
#: The module of a test whose fake stands in conftest.py, or in which it talks, and the conftest.py.
ELSEWHERE = {
    "of the session": (FUNCTION, STARTS.format(scope="session", patch=CONTEXT)),
    "in a conversation": (AUTOUSE + TALKS, ""),
}


@pytest.fixture
def faking(desk):
    desk.cases = 40
    return partial(write_faked, desk)


def write_modules(desk, modules):
    """Write each of *modules* with a test name of its own; return the arguments that name them."""
    for number, text in enumerate(modules):
        name = f"test_way_{number}"
        desk.path(f"{name}.py").write_text(HEAD + text.replace("test_faked", name), "utf-8")
    return [f"test_way_{number}.py" for number in range(len(modules))]


def test_no_reply_of_a_client_that_a_module_fakes_reaches_the_gate_of_its_suite(faking):
    desk = faking("")
    named = write_modules(desk, WAYS.values())

    desk.run(*named, SUITE)

    passed = {name.removesuffix(".py"): "passed" for name in named}
    assert outcomes(desk) == {"accuracy": "failed", **passed}
    # Each module has asked its own fake, but one: its function is a fake that notes nothing.
    assert desk.asked().count("fake") == (len(WAYS) - 1) * desk.cases
    assert desk.asked().count("real") == desk.cases
    # And in the next run, which has the cache of this one.
    desk.run(SUITE)
    assert outcomes(desk) == {"accuracy": "failed"}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_no_reply_of_a_client_that_is_faked_elsewhere_reaches_the_gate_of_its_suite(faking, where):
    desk = faking(*ELSEWHERE[where])

    desk.run(TEST, SUITE)

    assert outcomes(desk) == RIGHT
    desk.run(SUITE)
    assert outcomes(desk) == {"accuracy": "failed"}


@pytest.mark.parametrize("order", [[TEST, SUITE], heavy([SUITE, TEST]), heavy([])], ids=" ".join)
def test_whatever_comes_first_each_is_evaluated_on_its_own_replies(faking, order):
    desk = faking(IN_MODULE)

    for replies in ("auto", "auto", "fresh"):
        desk.run(*order, f"--ftgate-replies={replies}")
        assert outcomes(desk) == RIGHT


def test_faked_replies_are_made_in_every_run_and_leave_by_no_export(faking, monkeypatch, capsys):
    desk = faking(IN_MODULE)
    desk.run()
    desk.run()
    assert desk.asked().count("real") == desk.cases
    assert desk.asked().count("fake") == 2 * desk.cases
    monkeypatch.chdir(desk.pytester.path)

    assert main(["cache", "export", SUITE]) == 0

    exported = desk.path("tickets.replies.jsonl").read_text()
    assert exported.count("nonsense") == desk.cases
    assert '"billing"' not in exported


# What costs no cache ------------------------------------------------------------------------------

#: As pytest-django has them: fixtures that apply to every test, one of them with monkeypatch.
APPLIED = """\
import pytest
from ftgate_testing.tables import heavy

@pytest.fixture(scope="session", autouse=True)
def _django_setup():
    yield

@pytest.fixture(autouse=True)
def _template_string_if_invalid_marker(monkeypatch, tmp_path):
    yield

@pytest.fixture
def httpx_mock():
    import answers

    answers.CLIENT = "fake"
    yield
    answers.CLIENT = "real"
"""
PARAMETER = '@pytest.mark.parametrize("tone", ["a"])'
NO_PATCH = {
    "no fixture": FUNCTION,
    "fixtures of pytest": f"@faked\ndef test_faked(case, reply, tmp_path, capsys):\n{JUDGED}",
    "parameters": FUNCTION.replace("def ", f"{PARAMETER}\ndef ").replace("reply", "reply, tone", 1),
    "mock.patch": FUNCTION.replace("def ", '@mock.patch("answers.CLIENT", "fake")\ndef '),
}


def test_without_such_a_fixture_the_replies_are_those_of_the_suite(faking):
    desk = faking("")
    named = write_modules(desk, NO_PATCH.values())

    desk.run(*named, SUITE)

    # The patch of a function stands while it runs, and its replies are made before that.
    failed = {name.removesuffix(".py"): "failed" for name in named}
    assert outcomes(desk) == {"accuracy": "failed", **failed}
    assert desk.asked() == ["real"] * desk.cases


def test_a_fixture_of_an_installed_plugin_counts_only_where_the_test_names_it(faking):
    by_name = FUNCTION.replace("(case, reply)", "(case, reply, httpx_mock)")
    by_mark = FUNCTION.replace("@faked", '@faked\n@pytest.mark.usefixtures("httpx_mock")')
    desk = faking("")
    named = write_modules(desk, [by_name, by_mark, FUNCTION])
    folder = desk.pytester.mkdir("site-packages")
    folder.joinpath("djangoish.py").write_text(APPLIED)
    desk.pytester.syspathinsert(folder)

    desk.run("-p", "djangoish", *named, SUITE)

    told = {"test_way_0": "passed", "test_way_1": "passed", "test_way_2": "failed"}
    assert outcomes(desk) == {"accuracy": "failed", **told}
    # Fixtures that apply by themselves cost no cache.
    assert desk.asked().count("real") == desk.cases


# What shares the replies of one test --------------------------------------------------------------


METRICS = f"""\
@pytest.mark.ftgate("{SUITE}", metrics={{"a": {{"max_drop": 0.3}}, "b": {{"min": 0.5}}}})
def test_faked(case, reply):
    is_right = reply.text == case.expected
    return {{"a": is_right, "b": is_right}}
"""


def test_variants_metrics_and_the_baseline_of_a_function_share_its_replies(faking):
    desk = faking(AUTOUSE + METRICS, draft='{provider: python, function: "answers:answer"}')

    desk.run(TEST)

    assert set(outcomes(desk).values()) == {"passed"}
    # Both variants call the same function with the same cases: the same requests.
    assert desk.asked() == ["fake"] * desk.cases


def test_each_parameter_of_a_fixture_has_replies_of_its_own(faking):
    fixture = (
        '@pytest.fixture(autouse=True, params=["real", "fake"])\n'
        "def client(request, monkeypatch):\n"
        '    monkeypatch.setattr(answers, "CLIENT", request.param)\n'
    )
    desk = faking(fixture + FUNCTION)

    desk.run(TEST)

    assert {name: told["outcome"] for name, told in desk.verdicts().items()} == {
        "test_faked[real-current]": "failed",
        "test_faked[fake-current]": "passed",
    }


# Fixtures of a whole session or module ------------------------------------------------------------

WIDE = """\
@pytest.fixture(scope="{scope}")
def database():
    {body}
    yield
"""
USES_IT = "def test_ordinary(database):\n    pass\n"
FAKES = 'answers.CLIENT = "fake"'
#: Another plugin, as --ff and pytest-xdist do by loadfile, puts gates where it wants them.
GATES_LAST = """\
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    yield
    items.sort(key=lambda item: ".yaml" in item.nodeid)
"""


@pytest.mark.parametrize("scope", ["session", "package"])
def test_a_fixture_that_stays_does_not_turn_the_gate_of_a_suite_green(faking, scope):
    # It undoes nothing, so it would still stand if it were torn down.
    desk = faking(USES_IT, WIDE.format(scope=scope, body=FAKES))

    desk.run().assert_outcomes(passed=1, failed=1)

    assert outcomes(desk) == {"accuracy": "failed"}
    assert desk.asked() == ["real"] * desk.cases


def test_a_fixture_that_cannot_be_set_up_stands_no_longer_than_its_class(faking):
    broken = '@pytest.fixture(scope="class")\ndef fake(nothing):\n    pass\n\n'
    desk = faking(broken + IN_CLASS.replace("reply", "reply, fake", 1))

    desk.run(TEST, SUITE).assert_outcomes(failed=1, errors=1)


def test_a_function_without_fixtures_is_not_evaluated_on_the_fake_of_its_module(faking):
    fake = WIDE.format(scope="module", body=FAKES).replace(
        "yield", "yield\n    answers.CLIENT = 'real'"
    )
    desk = faking(f"{fake}\n{USES_IT}\n{FUNCTION}")

    desk.run(TEST)

    assert outcomes(desk) == {"test_faked": "failed"}


def test_in_another_order_the_gate_is_not_evaluated_and_names_the_fixture_and_the_command(faking):
    conftest = WIDE.format(scope="session", body=FAKES) + GATES_LAST
    desk = faking(USES_IT, conftest)

    result = desk.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*current: answers:answer is not called while fixtures of other tests stand, *",
            "*database (conftest.py:4)*",
            "*pytest --ftgate tickets.ftgate.yaml",
        ]
    )
    assert desk.asked() == []
    # The command that the message names.
    desk.run(SUITE)
    assert outcomes(desk) == {"accuracy": "failed"}
    # Replies that are here already are right in any order.
    desk.run().assert_outcomes(passed=1, failed=1)


def test_a_fixture_that_a_test_fetches_by_name_is_noticed_too(faking):
    fetches = 'def test_ordinary(request):\n    request.getfixturevalue("database")\n'
    desk = faking(fetches, WIDE.format(scope="session", body=FAKES))

    desk.run().assert_outcomes(passed=1, errors=1)

    assert desk.asked() == []


IN_JUDGE = f"""\
def test_judged(ftgate, monkeypatch):
    monkeypatch.setattr(answers, "CLIENT", "fake")
    assert ftgate.suite("{SUITE}").scores["current"].correct.mean() == 1
"""
#: The calls are still under way when the function runs, which takes its time too.
SLOW = CODE.replace("    return", "    time.sleep(0.005)\n    return").replace(
    "def", "import time\n\ndef"
)
SLOWLY = f"    time.sleep(0.005)\n{JUDGED}"


def test_what_is_being_called_is_waited_for_before_a_test_patches(faking):
    desk = faking(f"import time\n{NO_PATCH['mock.patch']}".replace(JUDGED, SLOWLY))
    desk.replies("recorded")
    recorded = "{provider: recorded, replies: recorded.jsonl}"
    desk.asking_suite(SLOW, gates=GATES, first="recorded", recorded=recorded)
    nodes = [f"{SUITE}::accuracy[{name}]" for name in ("recorded", "current")]

    # The first gate sends the requests of both; the test between them patches the function.
    desk.run(nodes[0], f"{TEST}::test_faked[recorded]", nodes[1])

    assert desk.asked() == ["real"] * desk.cases
    assert desk.verdicts()["accuracy[current]"]["outcome"] == "failed"


JUDGED_SUITE = """\
cases: tickets.cases.jsonl
reply:
  score:
    judge:
      model: {provider: python, function: "answers:grade"}
      rubric: Is it right?
variants:
  current: {provider: recorded, replies: current.jsonl}
gates: {accuracy: {min: 0.5}}
"""
GRADES = """\
CLIENT = "real"

def grade(case):
    return '{"reason": "r", "grade": "%s"}' % ("good" if CLIENT == "fake" else "bad")
"""


def test_a_judge_that_is_a_function_is_not_faked_for_the_gate_of_its_suite(faking):
    desk = faking(USES_IT + IN_JUDGE, WIDE.format(scope="session", body=FAKES), code=GRADES)
    desk.replies("current")
    desk.path(SUITE).write_text(JUDGED_SUITE)

    for _ in range(2):
        desk.run().assert_outcomes(passed=2, failed=1)
        assert outcomes(desk) == {"accuracy": "failed"}


# The fixture ftgate, and single cases -------------------------------------------------------------

ASKS = f"""\
def ask(ftgate, case="t000"):
    return ftgate.suite("{SUITE}").ask("current", case).text

"""
IN_FIXTURE = f"""\
import pytest_ftgate

def test_ordinary(ftgate, monkeypatch):
    assert ask(ftgate) == "nonsense"
    monkeypatch.setattr(answers, "CLIENT", "fake")
    assert ask(ftgate) == "billing"
    suite = ftgate.suite("{SUITE}")
    assert suite.verdict("accuracy", "current").outcome == "passed"
    assert suite.scores["current"].correct.mean() == 1
    assert pytest_ftgate.evaluate("{SUITE}").passed
    monkeypatch.undo()
    assert not pytest_ftgate.evaluate("{SUITE}").passed
"""
IN_BODY = """\
@mock.patch("answers.CLIENT", "fake")
def test_ordinary(ftgate):
    assert ask(ftgate) == {told!r}
"""


def test_what_a_test_that_patches_asks_and_evaluates_stays_with_it(faking, monkeypatch):
    desk = faking(ASKS + IN_FIXTURE)
    monkeypatch.chdir(desk.path(""))

    for order in ([TEST, SUITE], [SUITE, TEST]):
        desk.run(*order).assert_outcomes(passed=1, failed=1)
        assert outcomes(desk) == {"accuracy": "failed"}


REPLACES = """\
def test_ordinary(ftgate, monkeypatch):
    for text in ("first", "second"):
        monkeypatch.setattr(answers, "answer", lambda case: text)
        assert ask(ftgate) == text
"""


def test_a_test_that_replaces_the_function_twice_gets_two_replies(faking):
    desk = faking(ASKS + REPLACES)

    desk.run().assert_outcomes(passed=1, failed=1)

    assert desk.asked() == ["real"] * desk.cases


LATENCY = f"""\
def test_ordinary(ftgate, monkeypatch):
    verdict = ftgate.suite("{SUITE}").verdict("latency", "current")
    assert verdict.check.n == 40
"""


def test_the_time_of_calls_for_one_test_is_measured_in_this_run(faking):
    desk = faking(LATENCY, gates="{latency: {max_p95_ms: 5000}}")

    desk.run(TEST).assert_outcomes(passed=1)


def test_what_a_test_patches_in_its_body_reaches_no_gate(faking):
    desk = faking(ASKS + IN_BODY.format(told="billing"))

    desk.run().assert_outcomes(passed=1, failed=1)

    assert desk.asked().count("real") == desk.cases


def test_without_patching_fixtures_a_test_uses_the_cache(faking):
    desk = faking(ASKS + IN_BODY.format(told="nonsense"))
    desk.run(SUITE)

    desk.run(TEST).assert_outcomes(passed=1)
    desk.run(TEST, "--ftgate-replies=recorded").assert_outcomes(passed=1)

    assert desk.asked() == ["real"] * desk.cases


PATCHED_TALKS = TALKS.replace("def ", '@mock.patch("answers.CLIENT", "fake")\ndef ')


@pytest.mark.parametrize("module", [AUTOUSE + FUNCTION, PATCHED_TALKS], ids=["reply", "ask"])
def test_a_single_case_under_a_fake_leaves_nothing_behind(faking, module):
    desk = faking(module)

    desk.run("--ftgate-case=t000", TEST).assert_outcomes(passed=1)

    desk.run("--ftgate-case=t000", SUITE).assert_outcomes(failed=1)
    assert desk.asked() == ["fake", "real"]


# What is said of it -------------------------------------------------------------------------------


def test_plan_and_recorded_run_say_which_test_makes_its_replies_in_every_run(faking):
    desk = faking(IN_MODULE)
    desk.run()

    plan = desk.run("--ftgate-plan")
    recorded = desk.run("--ftgate-replies=recorded")

    plan.stdout.fnmatch_lines(
        [
            f"  current * {desk.cases} * {desk.cases} *",
            "  python: called in every run for test_faked.py::test_faked alone:",
            "    fake (test_faked.py:7) may patch the function",
        ]
    )
    recorded.assert_outcomes(failed=1, errors=1)
    recorded.stdout.fnmatch_lines(
        [
            "*the replies of answers:answer are never recorded here, since fixtures*",
            "*pytest --ftgate test_faked.py::test_faked",
        ]
    )
