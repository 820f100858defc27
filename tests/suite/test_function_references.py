"""Functions named as module:function: looked for in their files, and loaded from there."""

from __future__ import annotations

import importlib
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from ftgate_testing.suite_files import errors_of, load_text, load_variants, write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.suite.function_references import load_function, reference_error, source_files

# Looked for without running them ---------------------------------------------------------------

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


def error(folder, code, reference="bots:worse", file="bots.py"):
    write_files(folder, {file: code})
    return reference_error(reference, folder)


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
def test_a_name_that_is_not_there_is_an_error_until_the_file_is_mended(tmp_path, code, told):
    assert error(tmp_path, code) == f"bots:worse: {told}"
    assert error(tmp_path, "# mended\ndef worse(case): ...\n") is None


@every_row(
    ("reference", "is_there"),
    [("team.bots:worse", True), ("team.bots:better", False), ("json:no_such_function", True)],
)
def test_a_dotted_module_is_a_file_in_its_folder_and_one_elsewhere_is_left_to_the_import(
    tmp_path, reference, is_there
):
    found = error(tmp_path, "def worse(case): ...", reference, "team/bots.py")

    assert (found is None) is is_there


@every_row(
    ("written", "instead"),
    [
        ("bots.worse", "bots:worse"),
        ("team/bots.py:worse", "team.bots:worse"),
        ("bots:worse()", "bots:worse"),
        ("worse", "module:function"),
        ("bots:", "module:function"),
        ("a:b:c", "module:function"),
        ("bots:Bot.worse", "module:function"),
    ],
)
def test_a_reference_of_another_form_is_told_how_to_be_written(tmp_path, written, instead):
    assert reference_error(written, tmp_path) == f'"{written}" is no function; write {instead}'


# Where suites name them ------------------------------------------------------------------------

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
ONE = "one: {provider: anthropic, model: m}"


def test_each_place_that_names_a_function_has_its_error_at_its_line(tmp_path):
    told = errors_of(load_text, tmp_path, SUITE, {"bots.py": BOTS})

    assert [one.replace("bots.py has no ", "") for one in told] == [
        '3: score: bots:scoer: "scoer"; did you mean "score"?',
        '4: format: bots:from: "from"; did you mean "form"?',
        '6: reply.score: bots:mark: "mark"',
        '7: reply.format: bots:frm: "frm"; did you mean "form"?',
        '9: variant "current": function: bots:asnwer: "asnwer"; did you mean "answer"?',
        '11: variant "dotted": function: "bots.answer" is no function; write bots:answer',
    ]


def test_the_functions_of_a_case_file_elsewhere_are_those_beside_the_suite(tmp_path):
    case = '{"input": "a", "score": {"python": "bots:score"}}\n'
    files = {"cases/bots.py": "", "bots.py": BOTS, "cases/a.jsonl": case}

    assert len(load_variants(tmp_path, ONE, cases="cases/*.jsonl", files=files).cases) == 1


# Loaded ----------------------------------------------------------------------------------------

REPLY = "def reply(case): return 'a'\n"


def called(folder, name, code):
    """Write the module *name*, and return what its function ``reply`` replies."""
    write_files(folder, {f"{name}.py": code})
    return load_function(f"{name}:reply", folder)(None)


def test_a_module_beside_the_suite_is_found_without_the_import_path_and_by_later_imports(tmp_path):
    assert called(tmp_path, "reference_beside", REPLY) == "a"

    reply = load_function("reference_beside:reply", tmp_path)
    assert importlib.import_module("reference_beside").reply is reply


def test_a_module_beside_the_suite_imports_what_lies_beside_it_and_leaves_the_path(tmp_path):
    write_files(tmp_path, {"reference_helper.py": "WORD = 'a'\n"})
    path = [*sys.path]

    assert called(
        tmp_path, "reference_pipeline",
        "from reference_helper import WORD\ndef reply(case): return WORD\n",
    ) == "a"  # fmt: skip
    assert sys.path == path


def test_two_suites_never_share_what_lies_beside_one_of_them(tmp_path):
    code = "from reference_shared_name import WORD\ndef reply(case): return WORD\n"
    for name in ("one", "two"):
        write_files(tmp_path / name, {"reference_shared_name.py": f"WORD = {name!r}\n"})
    assert called(tmp_path / "one", "reference_first", code) == "one"

    # The second time as well: nothing of the attempt is left.
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="shared_name is that of another suite"):
            called(tmp_path / "two", "reference_second", code)


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
    code = f"import json\n{imports}\ndef answer(case): pass\n"
    write_files(folder, {"__init__.py": "", "prompts.py": "PROMPT = ''", "pipeline.py": code})

    files = source_files(f"{module}:answer", tmp_path)

    named = {"pipeline.py", "prompts.py", *(["__init__.py"] if "." in module else [])}
    assert {*files} == {folder / name for name in named}
    assert [*files] == sorted(files)


def test_a_relative_import_outside_of_a_package_is_left_to_the_run(tmp_path):
    write_files(tmp_path, {"app.py": "from . import prompts\ndef answer(case): pass\n"})

    assert source_files("app:answer", tmp_path) == (tmp_path / "app.py",)


def test_two_suites_may_each_have_a_module_of_the_same_name(tmp_path):
    codes = {name: REPLY.replace("'a'", repr(name)) for name in ("one", "two")}

    assert [called(tmp_path / name, "reference_twin", code) for name, code in codes.items()] == [
        *codes
    ]


def test_a_module_beside_the_suite_does_not_replace_one_of_its_name_elsewhere(tmp_path):
    write_files(tmp_path, {"json.py": "def dumps(value): return 'mine'\n"})

    assert load_function("json:dumps", tmp_path)(1) == "mine"
    assert json.dumps(1) == "1"
    # Where none lies beside, the installed one is found.
    assert load_function("json:dumps", tmp_path / "elsewhere") is json.dumps


def test_a_module_that_a_test_has_imported_is_the_same_one(tmp_path, monkeypatch):
    code = "VALUE = 'a'\ndef reply(case): return VALUE\n"
    write_files(tmp_path, {"reference_shared.py": code})
    # As pytest imports it with --import-mode=importlib: under the name of its folder too.
    spec = spec_from_file_location("prompts.reference_shared", tmp_path / "reference_shared.py")
    imported = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "prompts.reference_shared", imported)
    spec.loader.exec_module(imported)

    reply = load_function("reference_shared:reply", tmp_path)
    monkeypatch.setattr(imported, "VALUE", "patched")

    assert reply(None) == load_function("reference_shared:reply", tmp_path)(None) == "patched"


def test_a_module_that_broke_is_imported_again_when_it_is_mended(tmp_path):
    with pytest.raises(ConfigurationError, match="breaks"):
        called(tmp_path, "reference_mended", "1 / 0\n")

    assert called(tmp_path, "reference_mended", REPLY) == "a"


@every_row(
    ("name", "code", "message"),
    [
        ("near", "def rply(case): ...", 'has no function "reply"; did you mean "rply"'),
        ("form", "def (\n", "breaks while it is imported: SyntaxError"),
        ("lost", "import no_such_helper",
         r"lost\.py imports what .*'no_such_helper'.*pythonpath = "),
        ("part", "from json import no", "breaks while it is imported: cannot import name 'no'"),
        ("nowhere", None, r"put reference_nowhere\.py beside the suite, or install"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_loaded_is_an_error_that_says_why(tmp_path, name, code, message):
    write_files(tmp_path, {f"reference_{name}.py": code} if code else {})

    with pytest.raises(ConfigurationError, match=message):
        load_function(f"reference_{name}:reply", tmp_path)
