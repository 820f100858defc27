"""What a server refuses is left out from then on; what it minds about a value is not."""

from __future__ import annotations

import pytest

from pytest_ftgate.providers.http import UnsupportedParams

SENT = ("temperature", "top_p", "seed")


@pytest.mark.parametrize(
    ("said", "left_out"),
    [
        ("400 temperature: Extra inputs are not permitted", {"temperature"}),
        ("`temperature` and `top_p` are not supported with this model", {"temperature", "top_p"}),
        ("Unsupported parameter: 'seed'", {"seed"}),
    ],
)
def test_a_setting_that_a_refusal_names_is_left_out(said, left_out):
    learned = UnsupportedParams()

    assert learned.learn(said, SENT)
    assert set(learned.supported(dict.fromkeys(SENT, 1))) == set(SENT) - left_out


@pytest.mark.parametrize(
    "said",
    [
        "the prompt is too long",
        "temperature must be at most 1",
        "seed: Input should be less than 100",
        "temperatures are high today",
        "`temperature` may only be set to 1 when thinking is enabled",
        "`temperature` and `top_p` cannot both be specified for this model",
        "set temperature, top_p or neither",
        "Invalid schema for seed",
    ],
)
def test_a_refusal_of_something_else_teaches_nothing(said):
    learned = UnsupportedParams()

    assert not learned.learn(said, SENT)
    assert all(map(learned.supports, SENT))


def test_a_request_that_was_in_flight_meanwhile_learns_the_same_again():
    learned = UnsupportedParams()
    learned.learn("no seed here", SENT)

    assert learned.learn("no seed here", SENT)
