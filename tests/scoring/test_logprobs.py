from __future__ import annotations

from dataclasses import replace
from math import exp, inf, log

import numpy as np
import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.requests.logprobs import Logprobs, TokenLogprobs
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.logprobs import label_shares, perplexity, score_margin, token_divergence
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

LABELS = ("change_plan", "change_address", "refund", "order", "order_status")
CASE = Case(
    id="t1",
    location="c.jsonl:1",
    expected="refund",
    score=Rule("margin"),
    format=(Rule("choice", LABELS),),
)


def token(text: str, **top: float) -> TokenLogprobs:
    """Return a token with probabilities in place of log-probabilities."""
    shares = {key.strip("_").replace("0", " "): log(value) for key, value in top.items()}
    return TokenLogprobs(text, shares[text], shares)


def written(*tokens: TokenLogprobs) -> Reply:
    return Reply(text="".join(one.text for one in tokens), logprobs=Logprobs(tokens=tokens))


def test_the_score_is_the_share_of_the_right_label_among_the_labels():
    likelihoods = dict.fromkeys(LABELS, -9.0) | {"refund": -1.0, "order": -2.0}
    reply = Reply(text="anything", logprobs=Logprobs(labels=likelihoods))

    score = score_margin(CASE, reply)

    assert score.value == pytest.approx(exp(-1) / (exp(-1) + exp(-2) + 3 * exp(-9)))
    assert score.reason == ""


def test_of_tokens_those_count_at_which_the_labels_part():
    # The model goes along the common beginning, so the label parts one token later.
    reply = written(
        token("change", change=0.8, re=0.15, ref=0.05),
        TokenLogprobs("_plan", log(0.75), {"_address": log(0.25)}),
        token("end", end=1.0),
    )

    shares = label_shares(LABELS, reply)

    assert shares["change_plan"] == pytest.approx(0.8 * 0.75)
    assert shares["change_address"] == pytest.approx(0.8 * 0.25)
    assert shares["refund"] == pytest.approx(0.2)


def test_a_beginning_that_was_not_written_is_divided_among_its_labels():
    shares = label_shares(LABELS, written(token("refund", refund=0.6, change=0.4)))

    assert shares["change_plan"] == shares["change_address"] == pytest.approx(0.2)


def test_a_label_that_begins_another_ends_where_the_other_goes_on():
    end = TokenLogprobs("<end>", log(0.9), {"_status": log(0.1)})
    shares = label_shares(LABELS, written(token("order", order=1.0), end))

    assert shares["order"] == pytest.approx(0.9)
    assert shares["order_status"] == pytest.approx(0.1)


def test_white_space_before_a_label_does_not_count():
    space = TokenLogprobs(" ", log(0.5), {" refund": log(0.5)})
    shares = label_shares(LABELS, written(space, token("order_s", order_s=1.0)))

    assert shares["refund"] == shares["order_status"] == pytest.approx(0.5)


@every_row(
    ("reply", "message"),
    [
        (Reply(text="refund"),
         ('score: margin: the reply to case "t1" has no log-probabilities; write '
         "score: choice, or request it again with --ftgate-replies=fresh")),
        (Reply(text="refund", thought="hm", logprobs=Logprobs(labels={})),
         ('score: margin: the model thinks before its answer to case "t1", and the labels '
         "are rated without a thought; switch its thinking off, or write score: choice")),
    ],
)  # fmt: skip
def test_a_reply_that_cannot_be_rated_is_an_error_and_not_wrong(reply, message):
    with pytest.raises(ScorerError) as raised:
        score_margin(CASE, reply)

    assert str(raised.value) == message


def test_the_shares_of_several_right_labels_are_added():
    case = replace(CASE, expected=["refund", "order"])
    even = Reply(text="", logprobs=Logprobs(labels=dict.fromkeys(LABELS, -1.0)))
    right = dict.fromkeys(LABELS, -900.0) | {"refund": -1.0, "order": -1.0}

    assert score_margin(case, even) == (
        pytest.approx(2 / 5),
        "the likeliest label is change_plan: 20%",
    )
    assert score_margin(case, Reply(text="", logprobs=Logprobs(labels=right))) == (1.0, "")
    assert score_margin(case, written(token("Sure", Sure=1.0))) == (0.0, "")


def test_labels_that_are_not_known_have_no_share():
    assert label_shares(LABELS, Reply(text="refund")) == dict.fromkeys(LABELS, 0.0)
    assert label_shares(LABELS, written()) == dict.fromkeys(LABELS, 0.0)


def test_the_most_likely_label_may_be_very_unlikely():
    unlikely = dict.fromkeys(LABELS, -2000.0) | {"refund": -1000.0}
    shares = label_shares(LABELS, Reply(text="", logprobs=Logprobs(labels=unlikely)))

    assert shares == dict.fromkeys(LABELS, 0.0) | {"refund": 1.0}


def lists(shares: np.ndarray, top: int) -> TokenLogprobs:
    order = np.argsort(-shares)[:top]
    return TokenLogprobs("t", -1.0, {str(i): float(np.log(shares[i])) for i in order})


def test_the_divergence_of_top_lists_is_a_lower_bound_that_whole_lists_reach():
    rng = np.random.default_rng(3)
    for _ in range(200):
        base, tuned = rng.dirichlet(np.full(30, 0.3), 2) + 1e-9
        base, tuned = base / base.sum(), tuned / tuned.sum()
        kl = float(np.sum(base * np.log(base / tuned)))
        whole, top = (
            token_divergence([lists(base, size)], [lists(tuned, size)]) for size in (30, 8)
        )
        assert whole.kl == pytest.approx(kl, abs=1e-6)
        assert whole.left_out == pytest.approx(0.0, abs=1e-9)
        assert 0.0 <= top.kl <= kl + 1e-9
        assert 0.0 < top.left_out <= 1.0


def test_the_divergence_of_a_text_is_the_sum_over_its_tokens():
    base = [
        TokenLogprobs("a", log(0.5), {"a": log(0.5), "b": log(0.25)}),
        TokenLogprobs("c", log(0.9), {"c": log(0.9), "d": log(0.1)}),
    ]
    tuned = [
        TokenLogprobs("a", log(0.25), {"a": log(0.25), "b": log(0.25), "x": log(0.1)}),
        TokenLogprobs("c", log(0.4), {"c": log(0.4), "y": log(0.3)}),
    ]

    found = token_divergence(base, tuned)

    first = 0.5 * log(2.0) + 0.25 * log(0.25 / 0.5)
    second = 0.9 * log(0.9 / 0.4) + 0.1 * log(0.1 / 0.6)
    assert found.tokens == 2
    assert found.kl == pytest.approx(first + second)
    assert found.logprob == pytest.approx(log(0.25 * 0.4))
    assert found.base_logprob == pytest.approx(log(0.5 * 0.9))
    assert found.left_out == pytest.approx(0.25 + 0.1)


def test_what_the_tuned_model_never_writes_diverges_by_a_finite_amount():
    base = TokenLogprobs("t", log(0.5), {"t": log(0.5), "u": log(0.5)})
    tuned = TokenLogprobs("t", 0.0, {"t": 0.0, "u": -1000.0})

    found = token_divergence([base], [tuned])

    assert found.kl == pytest.approx(0.5 * log(0.5) + 0.5 * log(0.5 / 1e-12))
    # A token that the base never writes adds nothing.
    assert token_divergence([tuned], [base]).kl == pytest.approx(log(2.0))


def test_other_tokens_are_not_compared():
    assert token_divergence([TokenLogprobs("a", -1.0)], [TokenLogprobs("b", -1.0)]) is None
    assert token_divergence([], []) is None
    same = [TokenLogprobs("a", log(0.7), {"a": log(0.7), "b": log(0.2)})]
    assert token_divergence(same, same).kl == 0.0


def test_perplexity_is_that_of_the_mean_token():
    assert perplexity(-2.0 * log(8.0), 2) == pytest.approx(8.0)
    assert perplexity(0.0, 0) == inf
    assert perplexity(-1e6, 1) == exp(700.0)
    assert perplexity(-700.5, 1) == exp(700.0)
