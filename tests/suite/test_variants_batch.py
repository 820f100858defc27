"""Batches in a suite file: who may have them, and what the option makes of a suite."""

from __future__ import annotations

import pytest

from pytest_ftgate.errors import SuiteFaults
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.plugins import PluginContributions
from pytest_ftgate.suite.variants import in_batches

MODEL = "provider: anthropic, model: m"


def loaded(folder, *variants):
    """Load a suite whose variants stand one a line from line 4 on."""
    lines = ["cases: [{input: Where is it, expected: here}]", "gates: {accuracy: {min: 0.5}}"]
    lines += ["variants:", *(f"  {one}" for one in variants)]
    path = folder / "s.ftgate.yaml"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return load(path, folder, PluginContributions(providers=["house"]))


def faults(folder, *variants):
    with pytest.raises(SuiteFaults) as caught:
        loaded(folder, *variants)
    return [str(fault).removeprefix("s.ftgate.yaml:") for fault in caught.value.faults]


def test_a_variant_is_asked_in_batches_only_where_it_says_so(tmp_path):
    suite = loaded(tmp_path, f"one: {{{MODEL}}}", f"two: {{{MODEL}, batch: true}}")

    assert [variant.batch for variant in suite.variants.values()] == [False, True]


@pytest.mark.parametrize("provider", ["bedrock", "openai-compatible", "llamacpp", "house"])
def test_a_batch_elsewhere_is_a_fault(tmp_path, provider):
    (fault,) = faults(tmp_path, f"one: {{provider: {provider}, model: m, batch: true}}")

    told = f"batch means nothing to provider {provider}, only to anthropic; remove it"
    assert fault == f'4: variant "one": {told}'


def test_an_inherited_batch_is_left_out_at_another_provider(tmp_path):
    elsewhere = "two: {like: one, provider: bedrock}"

    suite = loaded(tmp_path, f"one: {{{MODEL}, batch: true}}", elsewhere)

    assert not suite.variants["two"].batch


@pytest.mark.parametrize(("own", "line"), [("batch: true", 5), ('tools: ["a:b"]', 5)])
def test_a_batch_with_tools_is_a_fault_at_the_key_that_makes_it_one(tmp_path, own, line):
    other = 'tools: ["a:b"]' if "batch" in own else "batch: true"

    (fault,) = faults(tmp_path, f"one: {{{MODEL}, {other}}}", f"two: {{like: one, {own}}}")

    told = "a batch is sent once, so it has no turns for tools; remove batch or tools"
    assert fault == f'{line}: variant "two": {told}'


def test_the_option_puts_into_batches_what_can_be(tmp_path):
    suite = loaded(
        tmp_path,
        f"plain: {{{MODEL}}}",
        f'agent: {{{MODEL}, tools: ["a:b"]}}',
        "cloud: {provider: bedrock, model: m}",
        "own: {provider: house, model: m}",
    )

    found = in_batches(suite).variants

    assert [name for name, variant in found.items() if variant.batch] == ["plain"]
