"""What a server refuses is left out from then on; what it minds about a value is not."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.providers.api import LearningProvider

SENT = ("temperature", "top_p", "seed")


class Learning(LearningProvider):
    schema_setting = "response_format"
    api_names: dict[str, str] = {}  # noqa: RUF012 - it has none

    def payload(self, request):
        return self.supported(request.sampling)

    async def _post(self, payload, request):
        raise NotImplementedError

    async def _fetch_facts(self, model):
        return {}


@pytest.fixture
def sent(call):
    return call(sampling=dict.fromkeys(SENT, 1))


@every_row(
    ("said", "left_out"),
    [
        ("400 temperature: Extra inputs are not permitted", {"temperature"}),
        ("`temperature` and `top_p` are not supported with this model", {"temperature", "top_p"}),
        ("Unsupported parameter: 'seed'", {"seed"}),
    ],
)
def test_a_setting_that_a_refusal_names_is_left_out(sent, said, left_out):
    learned = Learning()

    assert learned.learn_rejection(said, sent, ())
    assert set(learned.payload(sent)) == set(SENT) - left_out


@every_row(
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
def test_a_refusal_of_something_else_teaches_nothing(sent, said):
    learned = Learning()

    assert not learned.learn_rejection(said, sent, ())
    assert all(map(learned.supports, SENT))


def test_a_request_that_was_in_flight_meanwhile_learns_the_same_again(sent):
    learned = Learning()
    learned.learn_rejection("no seed here", sent, ())

    assert learned.learn_rejection("no seed here", sent, ())
