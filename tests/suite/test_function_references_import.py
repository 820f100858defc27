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


def test_a_module_that_is_nowhere_says_where_to_put_it(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"put no_such_mod\.py beside the suite, or install"
    ):
        load_function("no_such_mod:reply", tmp_path)


def test_a_misspelt_function_is_met_with_the_nearest_one(tmp_path):
    module(tmp_path, "reference_near", "def classify(case): return 'a'\n")

    with pytest.raises(
        ConfigurationError, match='has no function "clasify"; did you mean "classify"'
    ):
        load_function("reference_near:clasify", tmp_path)


def test_a_name_that_is_no_function_is_refused(tmp_path):
    module(tmp_path, "reference_value", "reply = 'a'\n")

    with pytest.raises(ConfigurationError, match='has no function "reply"'):
        load_function("reference_value:reply", tmp_path)


@every_row(("code", "what"), [("def (\n", "SyntaxError"), ("1 / 0\n", "ZeroDivisionError")])
def test_a_module_that_breaks_on_import_is_unavailable_and_says_why(tmp_path, code, what):
    module(tmp_path, f"reference_{what.lower()}", code)

    with pytest.raises(ConfigurationError, match=f"breaks while it is imported: {what}"):
        load_function(f"reference_{what.lower()}:reply", tmp_path)
