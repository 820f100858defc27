"""Functions that a suite names are looked for in their files, without running them."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.function_references import reference_error, source_files
from pytest_ftgate.suite.loader import load_suite

THERE = {
    "def": "def worse(case): ...",
    "async def": "async def worse(case): ...",
    "class": "class worse: ...",
    "assignment": "worse = print",
    "annotated assignment": "worse: object = print",
    "one of several": "better, worse = print, print",
    "import": "from json import worse",
    "import under another name": "from json import dumps as worse",
    "plain import": "import worse.inner",
    "under a condition": "if True:\n    def worse(case): ...",
    "in a try": "try:\n    from json import worse\nexcept ImportError:\n    worse = None",
    "in a loop": "for worse in [print]: pass",
    "in a file that is read and not run": "def worse(case): ...\nraise SystemExit",
    "in a file that Python only warns of": "def worse(case): return '\\d'\n",
    # Where names may come from elsewhere, the import decides.
    "star import": "from json import *",
    "names on demand": "def __getattr__(name): ...",
    "names by a dictionary": "globals()['worse'] = print",
    "code from text": "exec('worse = print')",
}


def error(folder, code):
    (folder / "bots.py").write_text(code, "utf-8")
    return reference_error("bots:worse", folder)


@every_row("how", THERE)
def test_a_name_at_the_top_of_the_file_is_there(tmp_path, how):
    assert error(tmp_path, THERE[how]) is None


NOT_THERE = 'bots.py has no "worse"'


@every_row(
    ("code", "told"),
    [
        # It only stands inside.
        ("def other():\n    worse = 1\n    def worse(case): ...", NOT_THERE),
        ("class Bots:\n    def worse(self): ...", NOT_THERE),
        ("print(worse)", NOT_THERE),
        ("other = lambda: (worse := 1)", NOT_THERE),
        ("def wrose(case): ...", f'{NOT_THERE}; did you mean "wrose"?'),
        ("def worse(case):\n    return (\n", "bots.py:2 is not Python: '(' was never closed"),
        ("x = 'a\0b'", "bots.py is not Python: source code string cannot contain null bytes"),
    ],
)
def test_a_name_that_is_not_there_is_an_error_with_the_nearest_one(tmp_path, code, told):
    assert error(tmp_path, code) == f"bots:worse: {told}"


def test_a_file_that_has_been_mended_is_read_again(tmp_path):
    assert error(tmp_path, "def better(case): ...\n")

    assert error(tmp_path, "def worse(case): ...\n\n") is None


def test_a_dotted_module_is_a_file_in_its_folder(tmp_path):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "bots.py").write_text("def worse(case): ...", "utf-8")

    assert reference_error("team.bots:worse", tmp_path) is None
    assert reference_error("team.bots:better", tmp_path)


def test_a_module_that_is_not_beside_the_suite_is_left_to_the_import(tmp_path):
    assert reference_error("json:no_such_function", tmp_path) is None


@every_row(
    ("written", "instead"),
    [
        ("bots.worse", "bots:worse"),
        ("team.bots.worse", "team.bots:worse"),
        ("bots.py:worse", "bots:worse"),
        ("team/bots.py:worse", "team.bots:worse"),
        ("bots:worse()", "bots:worse"),
        ("worse", "module:function"),
        (":worse", "module:function"),
        ("bots:", "module:function"),
        ("a:b:c", "module:function"),
        ("bots:Bot.worse", "module:function"),
    ],
)
def test_a_reference_of_another_form_is_told_how_to_be_written(tmp_path, written, instead):
    assert reference_error(written, tmp_path) == f'"{written}" is no function; write {instead}'


# Where suites name functions -----------------------------------------------------------------

SUITE = """\
cases:
  - {input: a, expected: b}
  - {input: c, expected: d, score: {python: "bots:scoer"}}
  - {input: e, expected: f, format: {python: "bots:from"}}
reply:
  score: {python: "bots:mark"}
  format: [{regex: b}, {python: "bots:frm"}]
variants:
  current: {provider: python, function: "bots:asnwer"}
  heir: {like: current}
  dotted: {provider: python, function: bots.answer}
gates: {accuracy: {min: 0.5}}
"""
BOTS = "def answer(case): ...\ndef score(case, reply): ...\ndef form(case, reply): ...\n"


def test_each_place_that_names_a_function_has_its_error_at_its_line(tmp_path):
    (tmp_path / "bots.py").write_text(BOTS, "utf-8")
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(SUITE, "utf-8")

    with pytest.raises(SuiteError) as caught:
        load_suite(path, tmp_path)

    told = [str(one).removeprefix("s.ftgate.yaml:") for one in caught.value.errors]
    assert [one.replace("bots.py has no ", "") for one in told] == [
        '3: score: bots:scoer: "scoer"; did you mean "score"?',
        '4: format: bots:from: "from"; did you mean "form"?',
        '6: reply.score: bots:mark: "mark"',
        '7: reply.format: bots:frm: "frm"; did you mean "form"?',
        '9: variant "current": function: bots:asnwer: "asnwer"; did you mean "answer"?',
        '11: variant "dotted": function: "bots.answer" is no function; write bots:answer',
    ]


def test_the_functions_of_a_case_file_elsewhere_are_those_beside_the_suite(tmp_path):
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "bots.py").write_text("", "utf-8")
    (tmp_path / "bots.py").write_text(BOTS, "utf-8")
    case = '{"input": "a", "score": {"python": "bots:score"}}\n'
    (tmp_path / "cases" / "a.jsonl").write_text(case, "utf-8")
    path = tmp_path / "s.ftgate.yaml"
    variants = "{current: {provider: anthropic, model: m}}"
    text = f"cases: cases/*.jsonl\nvariants: {variants}\ngates: {{accuracy: {{min: 0.5}}}}\n"
    path.write_text(text, "utf-8")

    assert len(load_suite(path, tmp_path).cases) == 1


@every_row("key", ["score", "format"])
def test_a_rule_of_another_form_is_told_how_to_be_written(tmp_path, key):
    path = tmp_path / "s.ftgate.yaml"
    rule = f"reply: {{{key}: {{python: bots.mark}}}}"
    path.write_text(SUITE.replace(SUITE[SUITE.index("reply:") : SUITE.index("var")], rule + "\n"))

    with pytest.raises(SuiteError, match=r'"bots.mark" is no function; write bots:mark'):
        load_suite(path, tmp_path)


@every_row(
    ("module", "imports"),
    [
        ("app.pipeline", "from app.prompts import PROMPT"),
        ("app.pipeline", "from .prompts import PROMPT"),
        ("app.pipeline", "from . import prompts"),
        ("pipeline", "from prompts import PROMPT"),
    ],
)
def test_the_files_of_a_function_are_its_module_and_what_that_imports(tmp_path, module, imports):
    folder = tmp_path.joinpath(*module.split(".")[:-1])
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "prompts.py").write_text("PROMPT = ''")
    (folder / "pipeline.py").write_text(f"import json\n{imports}\ndef answer(case): pass\n")

    files = source_files(f"{module}:answer", tmp_path)

    assert {folder / "pipeline.py", folder / "prompts.py"} <= {*files}
    assert all(file.is_relative_to(tmp_path) for file in files)


def test_a_relative_import_outside_of_a_package_is_left_to_the_run(tmp_path):
    (tmp_path / "app.py").write_text("from . import prompts\ndef answer(case): pass\n")

    assert source_files("app:answer", tmp_path) == (tmp_path / "app.py",)
