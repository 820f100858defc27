"""Patterns of an author: found as usual, refused where they are none, and never left to hang."""

from __future__ import annotations

import time

import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.suite import scorers
from pytest_ftgate.suite.scorers import pattern_error, search_pattern


@every_row(
    ("pattern", "text", "found"),
    [
        (r"\d+", "order 17", "17"),
        (r"^\d{4}$", "1984", "1984"),
        ("(?i)yes", "Oh YES", "YES"),
        (r"(?P<word>\w+)!", "¡olé!", "olé!"),
        (r"^a$", "b\na", None),
        ("", "anything", ""),
    ],
)
def test_a_pattern_is_found_where_it_stands_first(pattern, text, found):
    match = search_pattern(pattern, text)

    assert (match.group() if match else None) == found


def test_a_pattern_that_hangs_is_an_error_after_a_second():
    started = time.monotonic()
    with pytest.raises(ScorerError, match="took longer than 1 s on a reply; write it without"):
        search_pattern("(a+)+$", "a" * 5000 + "b")

    assert 1 <= time.monotonic() - started < 30


@every_row("pattern", [r"(?:a|aa)+$", r"^(a|a)*$", r"^(a|aa)+$", r"(.*a){20}\d"])
def test_each_kind_of_pattern_that_hangs_is_ended(monkeypatch, pattern):
    monkeypatch.setattr(scorers, "_PATTERN_TIMEOUT", 0.1)

    with pytest.raises(ScorerError, match=r"took longer than 0\.1 s on a reply"):
        search_pattern(pattern, "a" * 5000 + "x" * 5000 + "!")


@every_row("pattern", ["(", "[a", "a{2,1}", "(?P<a>b)(?P<a", "*a", r"\1"])
def test_a_text_that_is_no_pattern_is_told(pattern):
    assert pattern_error(pattern).startswith(f"{pattern!r} is not a pattern: ")


def test_a_pattern_that_compiles_has_no_error():
    assert pattern_error("^(a|b)$") is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_taken_for_a_pattern_can_be_looked_for(pattern, text):
    if pattern_error(pattern) is None:
        assert search_pattern(pattern, text) is None or search_pattern(pattern, text).end() <= len(
            text
        )
