"""No key in what is told, though servers repeat what they were sent."""

from __future__ import annotations

import pytest

from pytest_ftgate.client.redaction import hide
from pytest_ftgate.errors import Denied, Transient

ENVIRON = {"TEAM_KEY": "sk-very-secret", "HOUSE": "open-sesame", "HOME": "/home/me", "A_KEY": "a"}


def told(said: str, named: str | None = None) -> str:
    error = Denied(said)
    hide(error, ENVIRON, named)
    return str(error)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("no such key: sk-very-secret!", "no such key: [TEAM_KEY]!"),
        ("bad header: Bearer eyJ0eXAi.x1", "bad header: Bearer [hidden]"),
        ("sent {'authorization': 'Basic bWU6cHc0'}", "sent {'authorization': 'Basic [hidden]'}"),
        ("x-api-key: k-0123456789 is wrong", "x-api-key: [hidden] is wrong"),
        ("Bearer authentication is needed", "Bearer authentication is needed"),
        ("a letter is no secret", "a letter is no secret"),
        ("looked in /home/me", "looked in /home/me"),
    ],
)
def test_keys_are_taken_out_and_nothing_else(said, left):
    assert told(said) == left


def test_the_variable_that_a_suite_names_is_secret_whatever_it_is_called():
    assert told("said open-sesame", "HOUSE") == "said [HOUSE]"
    assert told("said open-sesame") == "said open-sesame"


def test_what_else_an_error_knows_is_kept():
    error = Transient("sk-very-secret", 7.0)
    hide(error, ENVIRON)

    assert (str(error), error.retry_after) == ("[TEAM_KEY]", 7.0)
