"""Log-probabilities of a reply, in nats: what a request asks for, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

#: Decimals of a log-probability; a reply has one or more for each of its tokens.
_DECIMALS = 5
#: The number of likeliest tokens in a request. Most servers allow 20 at most.
TOP_TOKENS = 20
#: Stands for the log-probability of what is impossible: JSON has no infinity.
_LEAST = -1e4


def rounded(logprob: float) -> float:
    """Return a log-probability as providers return it, so that the cache takes little room."""
    return round(logprob, _DECIMALS) if isfinite(logprob) else _LEAST


@dataclass(frozen=True, slots=True)
class GivenReply:
    """A reply whose log-probabilities are requested; the model writes none of its own.

    Attributes:
        text: the reply.
        base: the model that wrote it, if the provider compares both distributions itself; "" to
            get the likeliest tokens alone.
    """

    text: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """One token of a reply.

    Attributes:
        text: the token.
        logprob: its log-probability after the tokens before it.
        top: the log-probabilities of the likeliest tokens in its place, by their text.
    """

    text: str
    logprob: float
    top: Mapping[str, float] = field(default_factory=dict)


class Divergence(NamedTuple):
    """How far a model's distributions are from those of its base, summed over a reply's tokens.

    Attributes:
        tokens: the number of tokens.
        kl: the Kullback-Leibler divergence KL(base || model).
        logprob, base_logprob: the log-probability of the reply under the model, and its base.
        left_out: the probability of the base for tokens that were not compared one by one.
    """

    tokens: int
    kl: float
    logprob: float
    base_logprob: float
    left_out: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Logprobs:
    """The log-probabilities that came with a reply; only those that its request wants.

    Attributes:
        tokens: the tokens of the reply, with the likeliest ones in their place.
        labels: the log-probability of each label as the whole reply.
        divergence: how a given reply is distributed, under the model and its base.
    """

    tokens: tuple[TokenLogprobs, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict)
    divergence: Divergence | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return the fields as values of JSON, without empty ones."""
        plain = {
            "tokens": [[token.text, token.logprob, dict(token.top)] for token in self.tokens],
            "labels": dict(self.labels),
            "divergence": [*(self.divergence or ())],
        }
        return {name: value for name, value in plain.items() if value}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Logprobs:
        """Return what `to_plain` has written.

        Raises:
            TypeError, ValueError, AttributeError: it is something else.
        """
        divergence: Sequence[float] = plain.get("divergence", ())
        return cls(
            tokens=tuple(
                TokenLogprobs(str(text), float(logprob), dict(top))
                for text, logprob, top in plain.get("tokens", ())
            ),
            labels=dict(plain.get("labels", {})),
            divergence=Divergence(int(divergence[0]), *divergence[1:]) if divergence else None,
        )
