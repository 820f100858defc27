"""Whether a variant is what it claims to be, before anything it says is scored.

The commonest silent failure of fine-tune evaluation is that the base model answered. A tuned
variant must therefore differ from its base, in free text, more than the base differs from
itself. Short or constrained replies prove nothing: two models may agree on a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.numbers.proportion import mcnemar_midp
from pytest_ftgate.gate.verdict import Outcome
from pytest_ftgate.plan.call import Ask

__all__ = ["FEWEST", "Answers", "Identity", "prove", "prove_unlike"]

#: Fewer replies than this show nothing.
FEWEST = 30
_PROVEN = 0.01

Answers = Mapping[str, Reply | FtgateError]


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of a variant: ``passed`` (proven), ``inconclusive`` (said) or ``invalid``."""

    outcome: Outcome
    sentence: str


def prove(probes: Sequence[Sequence[Ask]], answers: Answers) -> Identity:
    """Compare a tuned variant's free-text replies with its base's, and the base with itself.

    Even greedy replies differ from run to run, since batched decoding turns on the last bit and
    the texts part ways some words later. So what counts is how far two replies run alike: where
    the variant leaves the base's reply sooner than the base leaves its own, and where later. An
    adapter without effect does both equally often (sign test, one-sided).

    Args:
        probes: the same cases put to the variant, to its base, and to its base a second time.
        answers: what became of the calls.
    """
    texts = [_texts(asks, answers) for asks in probes]
    cases = sorted(set(texts[0]) & set(texts[1]) & set(texts[2]))
    n = len(cases)
    if n < FEWEST:
        return Identity(
            Outcome.INCONCLUSIVE, f"adapter not proven: {n} replies, {FEWEST} are needed"
        )
    tuned, base, again = ([text[case] for case in cases] for text in texts)
    agree, own = _same(tuned, base), _same(again, base)
    told = f"{agree} of {n} replies are the base model's; the base repeats itself on {own} of {n}"
    apart = [_alike(t, b) - _alike(a, b) for t, b, a in zip(tuned, base, again, strict=True)]
    later, sooner = sum(d > 0 for d in apart), sum(d < 0 for d in apart)
    if mcnemar_midp(later, sooner) <= _PROVEN:
        return Identity(Outcome.PASSED, f"tuned model proven: {told}")
    if 2 * own < n:
        # A base that says something else most times, as a sampled one does, can hide a change.
        return Identity(Outcome.INCONCLUSIVE, f"tuned model not proven: {told}")
    return Identity(Outcome.INVALID, f"replies no different from the base model's: {told}")


def prove_unlike(probes: Sequence[Sequence[Ask]], answers: Answers) -> Identity:
    """Compare a tuned variant's replies with recorded ones of its base, which is asked no more.

    How far the base agrees with itself is not known, so that nothing is proven; but a variant that
    says the same throughout is the base.

    Args:
        probes: the same cases put to the variant, and recorded of its base.
        answers: what became of the calls.
    """
    tuned, base = (_texts(asks, answers) for asks in probes)
    cases = set(tuned) & set(base)
    agree = sum(tuned[case] == base[case] for case in cases)
    told = f"{agree} of {len(cases)} replies are those recorded of the base"
    if len(cases) >= FEWEST and agree == len(cases):
        return Identity(Outcome.INVALID, f"replies no different from the base model's: {told}")
    return Identity(Outcome.INCONCLUSIVE, f"tuned model not proven, its base is recorded: {told}")


def _texts(asks: Sequence[Ask], answers: Answers) -> dict[str, str]:
    came = {ask.case.id: answers.get(ask.call.fingerprint) for ask in asks}
    return {key: reply.text.strip() for key, reply in came.items() if isinstance(reply, Reply)}


def _same(these: Sequence[str], those: Sequence[str]) -> int:
    return sum(one == other for one, other in zip(these, those, strict=True))


def _alike(one: str, other: str) -> int:
    return len(commonprefix([one, other]))  # noqa: RUF071 - by characters, as is meant
