"""One model on several servers: they share the work, and the loss of one loses no reply."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
from ftgate_testing.chat_server import Said, chat_server

FRESH = "--ftgate-replies=fresh"
POOL = """{{provider: openai-compatible, model: m, base_url: ["{0}", "{1}"]}}"""


def host(url: str) -> str:
    return url.removeprefix("http://").removesuffix("/v1")


def label(request) -> Said:
    number = int(request["messages"][-1]["content"].split()[1].rstrip(":"))
    return Said(("billing", "refund")[number % 2])


@pytest.fixture
def evaluated(desk):
    """Evaluate a variant on two servers; return the result, what it printed, and its facts."""

    def evaluate(urls):
        desk.suite_of({"current": POOL.format(*urls)}, "{accuracy: {min: 0.5}}")
        result = desk.run("-n0", "-vv", "--ftgate-json=run.json", "--ftgate-concurrency=4")
        (verdict,) = json.loads(desk.path("run.json").read_text("utf-8"))["verdicts"]
        return result, " ".join(result.stdout.str().split()), verdict["facts"]

    return evaluate


def test_two_servers_share_the_requests_and_the_record_counts_them(evaluated):
    with chat_server(label) as one, chat_server(label) as other:
        result, _, facts = evaluated((one.url, other.url))

    result.assert_outcomes(passed=1)
    served = {host(server.url): len(server.requests) for server in (one, other)}
    assert sum(served.values()) == 100
    assert min(served.values()) > 25
    assert facts["server"] == ", ".join(f"{name} {n}" for name, n in sorted(served.items()))


def test_a_server_that_ends_on_the_way_loses_no_reply_and_is_named(evaluated):
    with chat_server(label) as one, ExitStack() as lost:

        def ends_after_twenty(request):
            if len(other.requests) > 20:
                raise ConnectionResetError
            return label(request)

        other = lost.enter_context(chat_server(ends_after_twenty))
        result, printed, facts = evaluated((one.url, other.url))

    result.assert_outcomes(passed=1)
    assert facts["server"].split(", ")[:2] == sorted(
        [f"{host(one.url)} 80", f"{host(other.url)} 20"]
    )
    assert f"{host(other.url)} failed, and the other servers replied:" in printed


def test_a_server_that_lacks_the_adapter_is_not_hidden_by_the_others(desk):
    def tuned(_) -> Said:
        return Said("billing")

    def of_base(_) -> Said:
        return Said("It depends.")

    with chat_server(tuned) as one, chat_server(of_base) as other, chat_server(of_base) as base:
        desk.suite_of(
            {
                "b": f"{{provider: openai-compatible, model: b, base_url: '{base.url}'}}",
                "tuned": POOL.format(one.url, other.url).replace("m,", "m, base: b,"),
            },
            "{accuracy: {min: 0.2}}",
        )
        result = desk.run("--ftgate-variant=tuned", "-n0")

        printed = " ".join(result.stdout.str().split())
        desk.edit(f', "{other.url}"', "")
        # The first address stands for all in the cache.
        reruns = [desk.run("--ftgate-variant=tuned", "-n0", *more).ret for more in ([], [FRESH])]

    assert (result.ret, reruns) == (1, [1, 0])
    assert f"then run with {FRESH}" in printed
    assert "1 of 1 gate invalid" in printed
    assert f"these are the replies of {host(other.url)}, and those of the other servers" in printed


def test_a_further_server_asks_for_nothing_again(desk, evaluated):
    with chat_server(label) as one, chat_server(label) as other, chat_server(label) as third:
        evaluated((one.url, other.url))
        desk.edit(other.url, third.url)
        result = desk.run("-n0")

    assert third.requests == []
    result.assert_outcomes(passed=1)


def test_another_first_server_is_another_model(desk, evaluated):
    with chat_server(label) as one, chat_server(label) as other:
        evaluated((one.url, other.url))
        before = len(one.requests) + len(other.requests)
        evaluated((other.url, one.url))

    assert len(one.requests) + len(other.requests) == 2 * before
