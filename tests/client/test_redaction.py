"""No key in error messages, though servers repeat what they received."""

from __future__ import annotations

import pytest

from pytest_ftgate.client.redaction import redact
from pytest_ftgate.errors import ProviderRejected, RetryableError

ENVIRON = {"TEAM_KEY": "sk-very-secret", "HOUSE": "open-sesame", "HOME": "/home/me", "A_KEY": "a"}


def redacted(message: str, key_name: str | None = None) -> str:
    error = ProviderRejected(message)
    redact(error, ENVIRON, key_name)
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
    assert redacted(said) == left


def test_the_variable_that_a_suite_names_is_secret_whatever_it_is_called():
    assert redacted("said open-sesame", "HOUSE") == "said [HOUSE]"
    assert redacted("said open-sesame") == "said open-sesame"


def test_the_attributes_of_an_error_stay():
    error = RetryableError("sk-very-secret", 7.0)
    redact(error, ENVIRON)

    assert (str(error), error.retry_after) == ("[TEAM_KEY]", 7.0)
