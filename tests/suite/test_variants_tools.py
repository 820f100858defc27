"""Tools in a suite file: errors that can be seen before any function is imported."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite

CASE = "{input: Where is it, expected: lookup}"
MODEL = "provider: anthropic, model: m"


def loaded(folder, *variants, case=CASE, score="tool_call"):
    """Load a suite whose variants stand one a line from line 5 on, and whose case in line 1."""
    lines = [f"cases: [{case}]", f"reply: {{score: {score}}}", "gates: {accuracy: {min: 0.5}}"]
    lines += ["variants:", *(f"  {one}" for one in variants)]
    path = folder / "s.ftgate.yaml"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return load_suite(path, folder)


def errors(folder, *variants, **more):
    with pytest.raises(SuiteError) as caught:
        loaded(folder, *variants, **more)
    return [str(error).removeprefix("s.ftgate.yaml:") for error in caught.value.errors]


def agent(tools, more=MODEL):
    return f"agent: {{{more}, tools: {tools}}}"


def test_a_variant_has_the_tools_that_it_declares_and_eight_turns(tmp_path):
    suite = loaded(tmp_path, agent('["shop:lookup", "pkg.shop:refund"]'))

    found = suite.variants["agent"]
    assert (found.tools, found.max_turns) == (("shop:lookup", "pkg.shop:refund"), 8)


def test_tools_and_turns_are_inherited(tmp_path):
    one = agent('["shop:lookup"], max_turns: 3')

    found = loaded(tmp_path, one, "two: {like: agent, model: n}").variants["two"]

    assert (found.tools, found.max_turns) == (("shop:lookup",), 3)


@every_row("written", ["lookup", "shop.lookup", "shop:", ":lookup", "a:b:c", "a:b-c"])
def test_a_tool_that_names_no_function_is_an_error(tmp_path, written):
    (error,) = errors(tmp_path, agent(f'["{written}"]'))

    assert error.startswith(f'5: variant "agent": tools: "{written}" is no function; write ')


def test_two_tools_of_one_name_are_an_error(tmp_path):
    (error,) = errors(tmp_path, agent('["shop:lookup", "other:lookup"]'))

    told = "tools: 2 have the name lookup; rename one, since models call by name"
    assert error == f'5: variant "agent": {told}'


def test_a_tool_called_none_is_an_error(tmp_path):
    (error,) = errors(tmp_path, agent('["shop:none", "shop:lookup"]'))

    assert "a tool cannot be called none, which cases expect where none is called" in error


def test_turns_without_tools_are_an_error_where_they_stand(tmp_path):
    found = errors(tmp_path, f"one: {{{MODEL}, max_turns: 2}}", "two: {like: one}")

    told = "max_turns without tools: without tools there is one turn; remove it"
    assert found == [f'5: variant "one": {told}']


@every_row("provider", ["python, function: 'a:b'", "recorded, replies: r.jsonl"])
def test_tools_mean_nothing_to_a_provider_without_a_model(tmp_path, provider):
    (tmp_path / "r.jsonl").write_text("", "utf-8")

    (error,) = errors(tmp_path, agent('["shop:lookup"]', f"provider: {provider}"))

    assert "tools means nothing to provider" in error


# What cases expect ---------------------------------------------------------------------------

LOOKUP = agent('["shop:lookup"]')


@every_row(
    "expected",
    [
        "lookup",
        "none",
        "{name: none}",
        "{name: lookup, arguments: {a: 1}}",
        "[none, {name: lookup}]",
    ],
)
def test_a_case_may_expect_a_tool_or_none(tmp_path, expected):
    assert loaded(tmp_path, LOOKUP, case=f"{{input: a, expected: {expected}}}").cases


@every_row("expected", ["lokup", "{name: lokup}", "[none, lokup]"])
def test_a_case_that_expects_a_tool_that_no_variant_has_is_an_error(tmp_path, expected):
    (error,) = errors(tmp_path, LOOKUP, case=f"{{input: a, expected: {expected}}}")

    assert error == '1: expected "lokup" is a tool of no variant; did you mean "lookup"?'


def test_where_no_variant_has_tools_any_may_be_expected(tmp_path):
    assert loaded(tmp_path, f"one: {{{MODEL}}}").cases[0].expected == "lookup"


def test_a_tool_that_names_no_function_is_not_missed_by_cases_as_well(tmp_path):
    (error,) = errors(tmp_path, agent('["shop.lookup"]'))

    assert "is no function" in error


@every_row("score", ["exact", "contains", "numeric"])
def test_a_call_is_expected_with_no_other_score(tmp_path, score):
    (error,) = errors(tmp_path, LOOKUP, case="{input: a, expected: {name: b}}", score=score)

    told = f"expected is a mapping, which only score: tool_call and fields read, not {score}"
    assert error == f"1: {told}"


def test_a_number_is_no_tool(tmp_path):
    (error,) = errors(tmp_path, LOOKUP, case="{input: a, expected: 3}")

    assert error == '1: expected is the number 3, but tool_call reads text: write "3"'


def test_an_example_of_a_call_cannot_be_shown(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"input": "b", "expected": "lookup"}\n', "utf-8")

    (error,) = errors(tmp_path, agent('["shop:lookup"], examples: {from: t.jsonl}'))

    assert "examples cannot show a tool call, which cases expect; remove them" in error
