"""A mistake in a mark is told at its line, with what to write instead; all of them at once."""

from __future__ import annotations

import pytest

HEAD = "import pytest\n\n"
TEST = "def test_it(case, reply):\n    pass\n"
ONE = 'variants={"a": {"provider": "anthropic", "model": "m"}}'
#: What stands after the suite in the brackets of a mark, and what is told of it.
BESIDE_A_SUITE = {
    "max_dorp=0.05": 'unknown argument "max_dorp"; did you mean "max_drop"?',
    "max_drop=5": "max_drop is 5, but must be less than 1; for 5 % write 0.05",
    "min=0.99": "min: 0.99 cannot be proven with 100 cases; *",
    'tags="oops"': 'tags: no case has the tag "oops"; no case has tags',
    'variants=["curent"]': 'variants: unknown variant "curent"; did you mean "current"?',
    "variants=[]": "variants: the list is empty; name a variant, or leave it out",
    'variants={"a": {}}': "variants: tickets.ftgate.yaml declares them; name those *",
    'cases="x.jsonl"': "cases: tickets.ftgate.yaml names its own; remove cases=, or the file",
    '"more"': "a mark names one suite file; a function for two takes two functions",
}
#: The same where no suite stands there.
ALONE = {
    '"tikets.ftgate.yaml"': "tikets.ftgate.yaml does not exist (looked in /*)",
    "7": "the suite is 7; write the path of a file, such as *",
    "": "the mark names no suite file, so it needs cases, such as cases=*",
    f'cases="no.jsonl", {ONE}': "cases: no.jsonl does not exist (looked in ./)",
    f'cases=[{{"inputt": "x"}}], {ONE}': 'in a case: unknown key "inputt"; did you mean "input"?',
    "cases=3, variants=4": "cases must be *",
}
MARK = '@pytest.mark.ftgate("tickets.ftgate.yaml")\n'
#: A whole module, the line that is named, and what is told of it.
MODULES = (
    (f"{MARK}def test_it(case): pass\n", 3, "test_it takes neither reply nor ask; write def *"),
    (f'@pytest.mark.parametrize("case", [1])\n{MARK}{TEST}',
     *(4, "parametrize gives case, which the ftgate mark gives too; rename the parameter")),
    (f"pytestmark = [pytest.mark.ftgate(\n    'tickets.ftgate.yaml',\n    min=7,\n)]\n{TEST}",
     *(5, "min is 7, but must be less than or equal to 1*")),
    (
        (
            "@pytest.mark.ftgate(\n    cases=[{'input': 'hi'}],\n    variants={\n        'a': {\n"
            f"            'provider': 'anthropik', 'model': 'm'}},\n    }},\n)\n{TEST}"
        ),
        *(7, 'variant "a": unknown provider "anthropik"; did you mean "anthropic"?*'),
    ),
    (
        (
            "class TestIt:\n    @pytest.mark.ftgate('tickets.ftgate.yaml', min=7)\n"
            "    def test_it(self, case, reply): pass\n"
        ),
        *(4, "min is 7, *"),
    ),
    (f"gate = {MARK[1:-2]}, min=7)\n\n@gate\n{TEST}", 5, "min is 7, *"),
    (f"from pytest_ftgate import gate\n@gate(\n    'tickets.ftgate.yaml',\n    min=7)\n{TEST}",
     *(6, "min is 7, *")),
    (f"{MARK}{MARK}{TEST}", 4, "the function has two ftgate marks; write one, or a function *"),
)  # fmt: skip


@pytest.fixture
def told(desk):
    """Collect one module for each of the given texts; return what is said of each."""
    desk.suite(current=2, gates="{accuracy: {min: 0.5}}")

    def run(texts):
        for number, text in enumerate(texts):
            desk.path(f"test_{number:02}.py").write_text(HEAD + text, "utf-8")
        result = desk.run("--collect-only", *(f"test_{n:02}.py" for n in range(len(texts))))
        assert result.ret == pytest.ExitCode.INTERRUPTED
        return result.stdout

    return run


def test_each_wrong_argument_is_told_at_the_line_of_its_mark(told):
    suite = '"tickets.ftgate.yaml", '
    wrong = {suite + given: message for given, message in BESIDE_A_SUITE.items()} | ALONE

    out = told([f"@pytest.mark.ftgate({given})\n{TEST}" for given in wrong])

    out.fnmatch_lines([f"  test_{n:02}.py:3: {one}" for n, one in enumerate(wrong.values())])


def test_the_line_is_that_of_the_argument_wherever_the_mark_stands(told):
    out = told([text for text, _, _ in MODULES])

    named = [f"  test_{n:02}.py:{line}: {one}" for n, (_, line, one) in enumerate(MODULES)]
    out.fnmatch_lines(named)


def test_all_faults_of_a_module_are_told_at_once(told):
    mark = '@pytest.mark.ftgate("tickets.ftgate.yaml", min=7, max_drop=0, repeats=0)\n'

    out = told([f"{mark}{TEST}\n{mark}{TEST.replace('it', 'other')}"])

    out.fnmatch_lines(["test_00.py: 6 errors", "  test_00.py:3: max_drop *", "  test_00.py:7: *"])


def test_faults_of_the_suite_that_a_mark_names_are_told_with_their_own_lines(desk):
    desk.suite(current=2, gates="{accurracy: {min: 0.5}}")
    desk.marked(TEST)

    result = desk.run("test_marked.py")

    result.stdout.fnmatch_lines(["  tickets.ftgate.yaml:5: unknown key *"])
    assert result.ret == pytest.ExitCode.INTERRUPTED
