"""The verbs about a suite read what a run would read."""

from __future__ import annotations

import pytest

SUITE = "prompts/s.ftgate.yaml"


def test_power_takes_a_suite_with_a_scorer_and_a_format_of_a_conftest(plugin_suite, run_verb):
    code, printed = run_verb("power", SUITE)

    assert code == 0, printed
    assert "accuracy[current]" in printed
    assert "format[current]" in printed


def test_a_suite_is_found_from_its_own_folder_too(plugin_suite, pytester, run_verb):
    # Without a configuration file pytest takes the folder of the suite for the root directory.
    pytester.makeini("[pytest]")

    assert run_verb("power", plugin_suite.name, folder="prompts")[0] == 0
    assert run_verb("power", SUITE)[0] == 0


def test_the_only_suite_needs_no_name_and_of_several_one_is_to_be_named(
    plugin_suite, pytester, run_verb
):
    assert run_verb("power") == run_verb("power", SUITE)
    pytester.path.joinpath("other.ftgate.yaml").write_text("")

    code, printed = run_verb("power")

    assert code != 0
    assert f"name a suite: other.ftgate.yaml, {SUITE}" in printed
    pytester.mkdir("empty")
    assert "write one with: pytest-ftgate init" in run_verb("power", folder="empty")[1]


def test_selftest_scores_as_the_plugin_does(plugin_suite, pytester, run_verb):
    code, printed = run_verb("selftest", SUITE, "--repeats", "2")

    # All replies are the same and right, by the conftest.py alone.
    row = next(line.split() for line in printed.splitlines() if line.startswith("  accuracy"))
    assert (code, *row[2:4]) == (0, "0.0%", "100.0%"), printed


def test_an_option_of_the_configuration_counts(plugin_suite, pytester, run_verb):
    pytester.makeini("[pytest]\naddopts = --ftgate-cache=build/replies.sqlite\n")

    run_verb("power", SUITE)
    code, printed = run_verb("selftest", SUITE, "--repeats", "2")

    assert code == 0, printed
    assert (pytester.path / "build" / "replies.sqlite").exists()
    assert not (pytester.path / ".ftgate").exists()


def test_a_wrong_value_of_the_configuration_is_an_error(plugin_suite, pytester, run_verb):
    pytester.makeini("[pytest]\nftgate_max_usd = much\n")

    code, printed = run_verb("power", SUITE)

    assert code == 1
    assert printed == "ftgate_max_usd is much; write a number from 0 up, such as 2.5\n"


@pytest.mark.parametrize("args", [("power", SUITE), ("cache", "show")])
def test_a_conftest_that_breaks_is_shown(pytester, plugin_suite, run_verb, args):
    pytester.makeconftest("1 / 0")

    code, printed = run_verb(*args)

    assert code == 1
    assert "ZeroDivisionError" in printed
    assert "pytest does not start here (exit code 4), see above" in printed


def test_warnings_that_are_errors_in_tests_do_not_stop_a_verb(plugin_suite, pytester, run_verb):
    pytester.makeini("[pytest]\nfilterwarnings = error\n")

    assert run_verb("power", SUITE)[0] == 0


def test_the_gate_of_this_name_comes_before_gates_that_end_so(plugin_suite, pytester, run_verb):
    pytester.runpytest_inprocess("--ftgate")
    path = pytester.path / ".ftgate" / "verdicts.jsonl"
    lines = path.read_text("utf-8")
    # As after a run in the folder of the suite, whose root directory was that folder.
    path.write_text(lines + lines.replace('"prompts/s.ftgate.yaml', '"s.ftgate.yaml'), "utf-8")

    assert run_verb("explain", "s.ftgate.yaml::accuracy[current]")[0] == 0
