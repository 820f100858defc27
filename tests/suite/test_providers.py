"""The facts about each provider, and that the package's modules agree with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

import pytest_ftgate
from pytest_ftgate import Provider
from pytest_ftgate.providers.base import open_provider
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.declaration import DeclaredVariant
from pytest_ftgate.suite.providers import PLUGIN_PROVIDER, PROVIDERS, ProviderSpec, provider_spec

#: Modules that providers share.
SHARED = {
    *("__init__", "answers", "api", "base", "decoding", "generation", "http"),
    "served",
}
ENVIRONMENT = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "d"}


def opened(provider: str, **fields) -> Provider:
    request = Request(
        fingerprint="f",
        provider=provider,
        model="m",
        messages=(),
        max_tokens=1,
        sampling={},
        **fields,
    )
    return open_provider([request], ENVIRONMENT, {})


def test_each_provider_has_a_module_and_each_module_a_provider():
    folder = Path(pytest_ftgate.__file__).parent / "providers"
    modules = {path.stem for path in folder.glob("*.py")}
    named = {name for spec in PROVIDERS.values() for name in (spec.module, spec.batch_module)}

    assert named - {""} == modules - SHARED
    assert all(spec.module for spec in PROVIDERS.values())


@every_row("spec", [*PROVIDERS.values(), PLUGIN_PROVIDER])
def test_a_provider_reads_keys_of_a_variant_and_those_of_what_it_can_do(spec):
    assert {*spec.required, *spec.reads} <= set(DeclaredVariant.model_fields)
    assert ("batch" in spec.reads) == bool(spec.batch_module)
    assert ("adapter" in spec.reads) == bool(spec.adapter)


def test_a_provider_of_a_plugin_has_the_defaults():
    assert provider_spec("house") is provider_spec(None) is PLUGIN_PROVIDER == ProviderSpec()
    assert (Provider.concurrency, Provider.max_concurrency) == (16, 0)


@pytest.mark.slow
@every_row("provider", ["anthropic", "openai-compatible"])
def test_an_open_provider_has_the_concurrency_of_its_entry(provider, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    found = opened(provider)

    spec = PROVIDERS[provider]
    assert (found.concurrency, found.max_concurrency) == (spec.concurrency, spec.max_concurrency)


def test_a_function_has_the_concurrency_of_its_entry_or_that_of_plugins_if_async(tmp_path):
    (tmp_path / "two_functions.py").write_text(
        "def f(case): ...\nasync def g(case): ...\n", "utf-8"
    )

    found = [opened("python", function=f"two_functions:{name}", folder=tmp_path) for name in "fg"]

    expected = [PROVIDERS["python"].concurrency, PLUGIN_PROVIDER.concurrency]
    assert [provider.concurrency for provider in found] == expected
