"""The callback without the packages that it needs."""

from __future__ import annotations

import sys

import pytest


def test_without_transformers_the_callback_names_what_to_install(monkeypatch):
    # None makes an import fail, whether or not the package is installed.
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "pytest_ftgate.training.callback", raising=False)

    with pytest.raises(ImportError, match=r'pip install "pytest-ftgate\[transformers\]"'):
        from pytest_ftgate.training import GateCallback  # noqa: F401
