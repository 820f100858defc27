"""Scores and measures from log-probabilities: the share of a label, and the divergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, inf, log

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.requests.logprobs import Divergence, TokenLogprobs
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import ContentScore
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import choice_labels

#: The least probability that is compared: what lies below is as good as 0.
_LEAST = 1e-12


def score_margin(case: Case, reply: Reply) -> ContentScore:
    """Return the probability of the right label of *case* as a share of that of all labels.

    Raises:
        ScorerError: the reply has no log-probabilities, or follows a thought.
    """
    if reply.logprobs is None:
        raise ScorerError(
            f'score: margin: the reply to case "{case.id}" has no log-probabilities; write '
            "score: choice, or request it again with --ftgate-replies=fresh"
        )
    if reply.thinks:
        raise ScorerError(
            f'score: margin: the model thinks before its answer to case "{case.id}", and the '
            "labels are rated without a thought; switch its thinking off, or write score: choice"
        )
    shares = label_shares(choice_labels(case.format), reply)
    right = {str(answer) for answer in case.answers}
    value = sum(share for label, share in shares.items() if label in right)
    likeliest = max(shares, key=lambda label: shares[label])
    is_wrong = likeliest not in right and shares[likeliest] > 0.0
    reason = f"the likeliest label is {likeliest}: {shares[likeliest]:.0%}" if is_wrong else ""
    return ContentScore(min(1.0, value), reason)


def label_shares(labels: Sequence[str], reply: Reply) -> dict[str, float]:
    """Return the probability of each label as a share of that of all; zeros if none is known."""
    logprobs = reply.logprobs
    if logprobs and logprobs.labels:
        known = {label: logprobs.labels[label] for label in labels}
        most = max(known.values())
        masses = {label: exp(value - most) for label, value in known.items()}
    else:
        masses = _label_masses(labels, logprobs.tokens if logprobs else ())
    total = sum(masses.values())
    return {label: mass / total if total else 0.0 for label, mass in masses.items()}


def _label_masses(labels: Sequence[str], tokens: Sequence[TokenLogprobs]) -> dict[str, float]:
    """Return the probability of the tokens at which each label parts from the others.

    Only likely tokens are known. Of a token with which several labels begin, and which the model
    did not write, each has an equal part.
    """
    masses, written, logprob = dict.fromkeys(labels, 0.0), "", 0.0
    for token in tokens:
        goes_on = False
        for text, value in {**token.top, token.text: token.logprob}.items():
            begun = (written + text).lstrip()
            fitting = _fitting_labels(labels, begun)
            if text == token.text and (len(fitting) > 1 or not begun):
                goes_on = True
                continue
            for label in fitting:
                masses[label] += exp(logprob + value) / len(fitting)
        if not goes_on:
            return masses
        written, logprob = written + token.text, logprob + token.logprob
    return masses


def _fitting_labels(labels: Sequence[str], begun: str) -> list[str]:
    """Return the labels that *begun* is the beginning of, or the longest that begins it."""
    if not begun:
        return []
    # Of such labels each begins the next one.
    complete = sorted(label for label in labels if begun.startswith(label))
    return [label for label in labels if label.startswith(begun)] or complete[-1:]


def token_divergence(
    base: Sequence[TokenLogprobs], tuned: Sequence[TokenLogprobs]
) -> Divergence | None:
    """Return the divergence of a model from its base at the same tokens; None for other tokens.

    Of each distribution only the likeliest tokens are known. Those that both lists have are
    compared one by one, all others as one: that is the most that the lists can show, and at most
    the divergence of the whole distributions (the data processing inequality).
    """
    if not base or [token.text for token in base] != [token.text for token in tuned]:
        return None
    parts = [_top_divergence(one.top, other.top) for one, other in zip(base, tuned, strict=True)]
    return Divergence(
        tokens=len(base),
        kl=sum(kl for kl, _ in parts),
        logprob=sum(token.logprob for token in tuned),
        base_logprob=sum(token.logprob for token in base),
        left_out=sum(rest for _, rest in parts),
    )


def _top_divergence(base: Mapping[str, float], tuned: Mapping[str, float]) -> tuple[float, float]:
    """Return the divergence over the shared tokens and all others as one, and the base's others."""
    shared = base.keys() & tuned.keys()
    pairs = [(exp(base[key]), exp(tuned[key])) for key in shared]
    rest, tuned_rest = (max(0.0, 1.0 - sum(pair[side] for pair in pairs)) for side in (0, 1))
    kl = sum(p * log(p / max(q, _LEAST)) for p, q in [*pairs, (rest, tuned_rest)] if p > _LEAST)
    return max(0.0, kl), rest


def perplexity(logprob: float, tokens: int) -> float:
    """Return the perplexity of a text of *tokens* tokens with the log-probability *logprob*."""
    return exp(min(-logprob / tokens, 700.0)) if tokens else inf
