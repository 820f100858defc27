"""Batches in a suite file: who may have them, and what the option makes of a suite."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.variants import with_batching

MODEL = "provider: anthropic, model: m"


def loaded(folder, *variants):
    """Load a suite whose variants stand one a line from line 4 on."""
    lines = ["cases: [{input: Where is it, expected: here}]", "gates: {accuracy: {min: 0.5}}"]
    lines += ["variants:", *(f"  {one}" for one in variants)]
    path = folder / "s.ftgate.yaml"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return load_suite(path, folder, PluginContributions(providers=["house"]))


def errors(folder, *variants):
    with pytest.raises(SuiteError) as caught:
        loaded(folder, *variants)
    return [str(error).removeprefix("s.ftgate.yaml:") for error in caught.value.errors]


def test_a_variant_is_asked_in_batches_only_where_it_says_so(tmp_path):
    suite = loaded(tmp_path, f"one: {{{MODEL}}}", f"two: {{{MODEL}, batch: true}}")

    assert [variant.batch for variant in suite.variants.values()] == [False, True]


@every_row("provider", ["bedrock", "llamacpp", "house"])
def test_a_batch_elsewhere_is_an_error(tmp_path, provider):
    (error,) = errors(tmp_path, f"one: {{provider: {provider}, model: m, batch: true}}")

    readers = "anthropic and openai-compatible"
    told = f"batch means nothing to provider {provider}, only to {readers}; remove it"
    assert error == f'4: variant "one": {told}'


def test_an_inherited_batch_is_left_out_at_another_provider(tmp_path):
    elsewhere = "two: {like: one, provider: bedrock}"

    suite = loaded(tmp_path, f"one: {{{MODEL}, batch: true}}", elsewhere)

    assert not suite.variants["two"].batch


@every_row(("own", "line"), [("batch: true", 5), ('tools: ["a:b"]', 5)])
def test_a_batch_with_tools_is_an_error_at_the_key_that_makes_it_one(tmp_path, own, line):
    other = 'tools: ["a:b"]' if "batch" in own else "batch: true"

    (error,) = errors(tmp_path, f"one: {{{MODEL}, {other}}}", f"two: {{like: one, {own}}}")

    told = "a batch is sent once, so it has no turns for tools; remove batch or tools"
    assert error == f'{line}: variant "two": {told}'


def test_a_batch_with_an_adapter_that_a_run_loads_is_an_error(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "adapter_config.json").write_text("{}")
    (tmp_path / "out" / "adapter_model.safetensors").write_text("")
    served = "provider: openai-compatible, base_url: 'http://h/v1', model: m, adapter: out"

    told = "a batch may outlive the run that loads the adapter; remove batch or adapter"
    assert f'4: variant "one": {told}' in errors(tmp_path, f"one: {{{served}, batch: true}}")


def test_the_option_puts_into_batches_what_can_be(tmp_path):
    suite = loaded(
        tmp_path,
        f"plain: {{{MODEL}}}",
        f'agent: {{{MODEL}, tools: ["a:b"]}}',
        "cloud: {provider: bedrock, model: m}",
        "own: {provider: house, model: m}",
        "chat: {provider: openai-compatible, model: m}",
        "server: {provider: openai-compatible, base_url: 'http://h/v1', model: m}",
        "asked: {like: server, batch: true}",
    )

    found = with_batching(suite).variants

    assert [name for name, variant in found.items() if variant.batch] == ["plain", "chat", "asked"]
