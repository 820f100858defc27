"""What is imported late: after calls are sent, and whole."""

from __future__ import annotations

import signal
import sys
from types import SimpleNamespace

import pytest

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.runner import imports
from pytest_ftgate.runner.imports import unhooked


def test_pytests_hook_is_laid_aside_and_comes_back_where_it_was():
    before = [*sys.meta_path]
    added = SimpleNamespace(find_spec=lambda *told: None)

    with unhooked():
        inside = [*sys.meta_path]
        sys.meta_path.append(added)
    after = [*sys.meta_path]
    sys.meta_path.remove(added)

    hooks = [one for one in before if type(one).__module__ == "_pytest.assertion.rewrite"]
    assert hooks
    assert inside == [one for one in before if one not in hooks]
    assert after == [*before, added]


def test_what_lays_itself_before_all_hooks_stays_there_and_what_left_stays_away():
    first, gone = (SimpleNamespace(find_spec=lambda *told: None) for _ in range(2))
    before = [*sys.meta_path]
    sys.meta_path.append(gone)

    with unhooked():
        sys.meta_path.insert(0, first)
        sys.meta_path.remove(gone)
    after = [*sys.meta_path]
    sys.meta_path.remove(first)

    assert after == [first, *before]


@pytest.fixture
def imported(monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(imports, "_judges", lambda gates: ("first_half", "second_half"))
    monkeypatch.setattr(imports, "import_module", seen.append)
    return seen


def test_calls_are_sent_before_what_judges_is_imported(imported):
    flying = iter(range(4))

    def progress():
        assert imported == []
        return Progress(planned=3, flying=next(flying))

    imports.import_judges([], progress)

    assert imported == ["first_half", "second_half"]
    assert next(flying, None) is None


def test_calls_that_must_wait_for_long_hold_up_no_import(imported, monkeypatch):
    monkeypatch.setattr(imports, "_PATIENCE", 0.02)

    imports.import_judges([], lambda: Progress(planned=3))

    assert imported == ["first_half", "second_half"]


def test_an_import_is_never_cut_in_two_by_ctrl_c(imported, monkeypatch):
    def pressed(name):
        signal.raise_signal(signal.SIGINT)
        imported.append(name)

    monkeypatch.setattr(imports, "import_module", pressed)

    with pytest.raises(KeyboardInterrupt):
        imports.import_judges([], Progress)

    assert imported == ["first_half", "second_half"]
