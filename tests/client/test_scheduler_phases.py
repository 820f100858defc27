"""A server of one's own is sent the requests of one model at a time; hosted APIs are not held."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from ftgate_testing.scripted import Scripted, outcome, trouble
from ftgate_testing.tables import every_row

from pytest_ftgate.client.scheduler import Phases
from pytest_ftgate.errors import OutOfBudget, ReplyError
from pytest_ftgate.requests.reply import Reply

OWN, HOSTED = "http://10.0.0.7:8000/v1", "https://api.together.xyz/v1"


@pytest.fixture
def to(call):
    """Make a request to *model* at an address."""

    def make(model: str, text: str, base_url: str | None = OWN, **changes):
        changes = {"provider": "openai-compatible", "base_url": base_url, **changes}
        return call(text, model=model, **changes)

    return make


def names(requests) -> list[str]:
    return [request.messages[0][1] for request in requests]


def test_the_requests_of_one_submission_are_sent_weights_by_weights(to):
    phases = Phases()
    calls = [to(model, f"{model}{n}") for n in range(2) for model in ("base", "tuned")]

    assert names(phases.admit(calls)) == ["base0", "base1"]
    assert phases.finish(calls[0]) == []
    assert names(phases.finish(calls[2])) == ["tuned0", "tuned1"]
    assert phases.finish(calls[1]) == []
    assert phases.finish(calls[3]) == []
    assert names(phases.admit([to("other", "new")])) == ["new"]


def test_a_later_submission_joins_the_last_phase_and_does_not_go_before_it(to):
    phases = Phases()
    phases.admit([to("base", "a"), to("tuned", "b")])

    assert phases.admit([to("base", "c"), to("tuned", "d")]) == []
    assert names(phases.finish(to("base", "a"))) == ["b", "d"]
    assert phases.finish(to("tuned", "b")) == []
    assert names(phases.finish(to("tuned", "d"))) == ["c"]
    assert names(phases.admit([to("base", "e")])) == ["e"]


def test_a_submission_that_goes_first_follows_the_current_phase(to):
    phases = Phases()
    phases.admit([to("base", "a"), to("tuned", "b")])

    urgent = [to("other", "c"), to("base", "d"), to("tuned", "e")]
    assert names(phases.admit(urgent, first=True)) == ["d"]
    order = []
    for text, model in zip("adceb", ("base", "base", "other", "tuned", "tuned"), strict=True):
        order.append(names(phases.finish(to(model, text))))
    assert order == [[], ["c"], ["e"], ["b"], []]


AZURE = "https://team.openai.azure.com/openai/v1"


@every_row(
    "changes",
    [
        *({"base_url": url} for url in (HOSTED, AZURE, None)),
        {"provider": "house"},
        {"batch": True},
    ],
)
def test_nothing_is_held_back_at_hosted_apis_and_other_providers_nor_between_addresses(to, changes):
    requests = [to("base", "a", **changes), to("tuned", "b", **changes)]

    assert Phases().admit(requests) == requests
    own = [to("base", "a"), to("tuned", "b", "http://10.0.0.8:8000/v1")]
    assert Phases().admit(own) == own


def test_the_adapters_of_a_request_are_weights_and_its_other_settings_are_not(to):
    on, off = ({"lora": [{"id": 0, "scale": scale}]} for scale in (1, 0))
    plain = to("m", "a", extra={"top_k": 1})

    others = [to("m", "b"), to("m", "c", extra={"top_k": 2})]
    assert names(Phases().admit([plain, *others])) == [*"abc"]
    assert names(Phases().admit([to("m", "a", extra=off), to("m", "b", extra=on)])) == ["a"]


class Together(Scripted):
    """A provider that notes which models are in flight with its own."""

    def __init__(self, model: str, in_flight: Counter[str]) -> None:
        super().__init__()
        self.model, self.in_flight, self.seen = model, in_flight, set[str]()

    async def generate(self, request) -> Reply:
        self.in_flight[self.model] += 1
        self.seen |= set(+self.in_flight)
        try:
            return await super().generate(request)
        finally:
            self.in_flight[self.model] -= 1


def test_models_of_one_server_are_never_in_flight_together(start, to, providers):
    in_flight = Counter[str]()
    providers |= {name: Together(name, in_flight) for name in ("base", "tuned")}
    calls = [to(model, f"{model} {n}") for n in range(20) for model in ("base", "tuned")]
    answers = outcome(start().wait(calls), calls)

    assert answers == names(calls)
    assert [providers[name].seen for name in ("base", "tuned")] == [{"base"}, {"tuned"}]
    assert providers["base"].most_at_once > 1


def test_a_run_that_ends_settles_what_was_held_back(start, to, providers, soon):
    providers |= {name: Scripted() for name in ("base", "tuned")}
    providers["base"].open.clear()
    calls = [to("base", "a"), to("tuned", "b")]
    engine = start()
    engine.submit(calls)
    soon(lambda: providers["base"].at_once == 1)
    providers["base"].open.set()
    engine.close()

    assert {*engine.results} == {call.fingerprint for call in calls}
    assert providers["tuned"].asked in ([], ["b"])


def test_a_budget_that_is_used_up_ends_what_was_held_back(start, to, providers):
    spent = SimpleNamespace(stop_reason=lambda: "spent")
    calls = [to("m", "a"), to("n", "b")]
    answers = outcome(start(budget=spent).wait(calls), calls)

    assert [type(answer) for answer in answers] == [OutOfBudget] * 2


def test_a_model_that_fails_does_not_keep_the_next_one_waiting(start, to, providers):
    providers["m"].happens = trouble(ReplyError("no"))
    calls = [to("m", "a"), to("n", "b")]
    failed, answered = outcome(start().wait(calls), calls)

    assert str(failed) == "no"
    assert answered == "b"
