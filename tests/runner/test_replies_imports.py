"""Libraries are imported in a thread, while the main thread waits for replies."""

from __future__ import annotations

import sys
import threading

import pytest

from pytest_ftgate.runner import replies


@pytest.fixture
def libraries(monkeypatch):
    """Name two libraries that are not imported; return the thread of each import."""
    seen: dict[str, threading.Thread] = {}
    monkeypatch.setattr(replies, "_LIBRARIES", ("first_half", "second_half"))

    def import_module(name):
        seen[name] = threading.current_thread()

    monkeypatch.setattr(replies, "import_module", import_module)
    return seen


def test_libraries_are_imported_in_one_daemon_thread_in_their_order(libraries):
    thread = replies.start_imports()

    thread.join()
    assert [*libraries.items()] == [("first_half", thread), ("second_half", thread)]
    assert thread.daemon
    assert thread.name == "ftgate-imports"
    assert thread is not threading.main_thread()


def test_no_thread_is_started_when_everything_is_imported(libraries, monkeypatch):
    monkeypatch.setitem(sys.modules, "first_half", sys)
    monkeypatch.setitem(sys.modules, "second_half", sys)

    assert replies.start_imports() is None
    assert libraries == {}


def test_an_import_that_fails_is_left_to_the_code_that_needs_it(libraries, monkeypatch):
    def import_module(name):
        if name == "first_half":
            raise ImportError("no such library")
        libraries[name] = threading.current_thread()

    monkeypatch.setattr(replies, "import_module", import_module)
    escaped = []
    monkeypatch.setattr(threading, "excepthook", escaped.append)

    replies.start_imports().join()

    assert [*libraries] == ["second_half"]
    assert escaped == []
