"""Deferred imports: after the requests are sent, without interruption and without hooks."""

from __future__ import annotations

import signal
import sys
from types import SimpleNamespace

import pytest

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.runner import imports
from pytest_ftgate.runner.imports import without_pytest_hooks


def test_pytests_hook_is_removed_and_comes_back_in_its_place():
    before = [*sys.meta_path]
    added = SimpleNamespace(find_spec=lambda *told: None)

    with without_pytest_hooks():
        inside = [*sys.meta_path]
        sys.meta_path.append(added)
    after = [*sys.meta_path]
    sys.meta_path.remove(added)

    hooks = [hook for hook in before if type(hook).__module__ == "_pytest.assertion.rewrite"]
    assert hooks
    assert inside == [hook for hook in before if hook not in hooks]
    assert after == [*before, added]


def test_a_hook_added_in_front_stays_there_and_a_removed_hook_stays_away():
    first, gone = (SimpleNamespace(find_spec=lambda *told: None) for _ in range(2))
    before = [*sys.meta_path]
    sys.meta_path.append(gone)

    with without_pytest_hooks():
        sys.meta_path.insert(0, first)
        sys.meta_path.remove(gone)
    after = [*sys.meta_path]
    sys.meta_path.remove(first)

    assert after == [first, *before]


@pytest.fixture
def imported(monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(imports, "_modules_of", lambda gates: ("first_half", "second_half"))
    monkeypatch.setattr(imports, "import_module", seen.append)
    return seen


def test_requests_are_sent_before_gates_are_imported(imported):
    flying = iter(range(4))

    def progress():
        assert imported == []
        return Progress(planned=3, in_flight=next(flying))

    imports.import_gates([], progress)

    assert imported == ["first_half", "second_half"]
    assert next(flying, None) is None


def test_requests_that_wait_for_long_do_not_delay_the_import(imported, monkeypatch):
    monkeypatch.setattr(imports, "_MAX_WAIT", 0.02)

    imports.import_gates([], lambda: Progress(planned=3))

    assert imported == ["first_half", "second_half"]


def test_ctrl_c_does_not_interrupt_an_import(imported, monkeypatch):
    def interrupted_import(name):
        signal.raise_signal(signal.SIGINT)
        imported.append(name)

    monkeypatch.setattr(imports, "import_module", interrupted_import)

    with pytest.raises(KeyboardInterrupt):
        imports.import_gates([], Progress)

    assert imported == ["first_half", "second_half"]
