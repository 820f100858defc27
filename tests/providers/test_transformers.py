"""The provider of Transformers without the packages that it needs; the rest is in tests/nightly."""

from __future__ import annotations

import sys

import pytest

from pytest_ftgate import ConfigurationError, Request
from pytest_ftgate.providers.base import open_provider


def test_without_torch_the_provider_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "pytest_ftgate.providers.transformers", raising=False)
    request = Request(
        fingerprint="0", provider="transformers", model="org/base",
        messages=(("user", "hello"),), max_tokens=8, sampling={},
    )  # fmt: skip

    with pytest.raises(ConfigurationError, match=r'pip install "pytest-ftgate\[transformers\]"'):
        open_provider([request], {}, {})
