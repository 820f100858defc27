"""Functions named as module:function, found beside the suite first."""

from __future__ import annotations

import importlib
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.suite.function_references import load_function, source_files


def module(folder, name, code):
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    return path


def test_a_module_beside_the_suite_is_found_without_the_import_path(tmp_path):
    path = module(tmp_path, "reference_beside", "def reply(case): return 'a'\n")

    assert load_function("reference_beside:reply", tmp_path)(None) == "a"
    assert source_files("reference_beside:reply", tmp_path) == (path,)


def test_what_a_module_imports_from_beside_it_is_a_source_too(tmp_path):
    path = module(tmp_path, "reference_front", "from reference_back import reply\n")
    back = module(tmp_path, "reference_back", "import json\ndef reply(case): return 'a'\n")

    assert source_files("reference_front:reply", tmp_path) == tuple(sorted((path, back)))


def test_a_dotted_module_is_found_in_its_folder(tmp_path):
    path = module(tmp_path, "reference_pkg/inner", "def reply(case): return 'a'\n")

    assert source_files("reference_pkg.inner:reply", tmp_path) == (path,)


def test_two_suites_may_each_have_a_module_of_the_same_name(tmp_path):
    for name in ("one", "two"):
        module(tmp_path / name, "reference_twin", f"def reply(case): return {name!r}\n")

    found = [
        load_function("reference_twin:reply", tmp_path / name)(None) for name in ("one", "two")
    ]

    assert found == ["one", "two"]


def test_a_module_beside_the_suite_does_not_replace_one_of_its_name_elsewhere(tmp_path):
    module(tmp_path, "json", "def dumps(value): return 'mine'\n")

    assert load_function("json:dumps", tmp_path)(1) == "mine"
    assert json.dumps(1) == "1"


def test_a_module_that_a_test_has_imported_is_the_same_one(tmp_path, monkeypatch):
    file = module(tmp_path, "reference_shared", "VALUE = 'a'\ndef reply(case): return VALUE\n")
    # As pytest imports it with --import-mode=importlib: under the name of its folder too.
    spec = spec_from_file_location("prompts.reference_shared", file)
    imported = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "prompts.reference_shared", imported)
    spec.loader.exec_module(imported)

    reply = load_function("reference_shared:reply", tmp_path)
    monkeypatch.setattr(imported, "VALUE", "patched")

    assert reply(None) == load_function("reference_shared:reply", tmp_path)(None) == "patched"


def test_a_module_is_found_by_tests_that_import_it_later(tmp_path, monkeypatch):
    module(tmp_path, "reference_later", "def reply(case): return 'a'\n")

    reply = load_function("reference_later:reply", tmp_path)

    assert importlib.import_module("reference_later").reply is reply


def test_a_module_that_broke_is_imported_again_when_it_is_mended(tmp_path):
    module(tmp_path, "reference_mended", "1 / 0\n")
    with pytest.raises(ConfigurationError, match="breaks"):
        load_function("reference_mended:reply", tmp_path)
    module(tmp_path, "reference_mended", "def reply(case): return 'mended'\n")

    assert load_function("reference_mended:reply", tmp_path)(None) == "mended"


def test_an_installed_module_is_found_where_none_lies_beside(tmp_path):
    assert load_function("json:dumps", tmp_path) is json.dumps


@every_row(
    ("name", "code", "message"),
    [
        ("near", "def classify(case): ...", 'has no function "clasify"; did you mean "classify"'),
        ("value", "clasify = 'a'\n", 'has no function "clasify"'),
        ("form", "def (\n", "breaks while it is imported: SyntaxError"),
        ("broken", "1 / 0\n", "breaks while it is imported: ZeroDivisionError"),
        ("nowhere", None, r"put reference_nowhere\.py beside the suite, or install"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_an_error_that_says_why(tmp_path, name, code, message):
    if code:
        module(tmp_path, f"reference_{name}", code)

    with pytest.raises(ConfigurationError, match=message):
        load_function(f"reference_{name}:clasify", tmp_path)
