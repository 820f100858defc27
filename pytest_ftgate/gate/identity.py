"""Whether a variant is what it claims to be, before anything it says is scored.

The commonest silent failure of fine-tune evaluation is that the base model answered. A tuned
variant must therefore differ from its base, in free text, more than the base differs from
itself. Short or constrained replies prove nothing: two models may agree on a label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.proportion import mcnemar_midp
from pytest_ftgate.gate.verdict import Outcome
from pytest_ftgate.plan import Ask

__all__ = ["BEGINNING", "FEWEST", "STEADY", "Answers", "Identity", "prove", "served_model"]

#: Fewer replies than this show nothing.
FEWEST = 30
#: Characters of a reply that are compared: batched decoding turns on the last bit, and the
#: further a greedy reply runs, the likelier that has sent it another way.
BEGINNING = 24
#: A base that agrees with itself less often than this is too noisy to be compared by its words.
STEADY = 0.6
_PROVEN = 0.01

Answers = Mapping[str, Reply | FtgateError]


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of a variant: ``passed`` (proven), ``inconclusive`` (said) or ``invalid``."""

    outcome: Outcome
    sentence: str


def prove(probes: Sequence[Sequence[Ask]], answers: Answers) -> Identity:
    """Compare a tuned variant's free-text replies with its base's, and the base with itself.

    Args:
        probes: the same cases put to the variant, to its base, and to its base a second time.
        answers: what became of the calls.
    """
    texts = [_texts(asks, answers) for asks in probes]
    cases = sorted(set(texts[0]) & set(texts[1]) & set(texts[2]))
    same = [texts[0][case] == texts[1][case] for case in cases]
    itself = [texts[1][case] == texts[2][case] for case in cases]
    n, agree, own = len(cases), sum(same), sum(itself)
    if n < FEWEST:
        return Identity(
            Outcome.INCONCLUSIVE, f"adapter not proven: {n} replies, {FEWEST} are needed"
        )
    told = f"{agree} of {n} replies are the base model's; the base repeats itself on {own} of {n}"
    gains = sum(s and not i for s, i in zip(same, itself, strict=True))
    losses = sum(i and not s for s, i in zip(same, itself, strict=True))
    if mcnemar_midp(gains, losses) <= _PROVEN:
        return Identity(Outcome.PASSED, f"tuned model proven: {told}")
    if own < STEADY * n:
        return Identity(Outcome.INCONCLUSIVE, f"tuned model not proven: {told}")
    # A few replies always differ, since batched decoding may turn on the last bit.
    return Identity(Outcome.INVALID, f"replies no different from the base model's: {told}")


def _texts(asks: Sequence[Ask], answers: Answers) -> dict[str, str]:
    came = {ask.case.id: answers.get(ask.call.fingerprint) for ask in asks}
    replies = {key: reply for key, reply in came.items() if isinstance(reply, Reply)}
    return {key: reply.text.strip()[:BEGINNING] for key, reply in replies.items()}


def _undated(model: str) -> str:
    return re.sub(r"-(20\d{6}|latest)$", "", model)


def served_model(asks: Sequence[Ask], answers: Answers) -> Identity:
    """Hold the model that the server says has answered against the declared one.

    A dated name (``…-20251001``) answers for the undated one. A server that says nothing, as
    local ones may, is taken at its word.

    Args:
        asks: of one model.
        answers: what became of the calls.
    """
    declared = asks[0].call.model
    replies = [answers.get(ask.call.fingerprint) for ask in asks]
    served = {r.model for r in replies if isinstance(r, Reply) and r.model}
    if not declared:
        return Identity(Outcome.PASSED, "no model is declared")
    strangers = sorted(name for name in served if _undated(name) != _undated(declared))
    if strangers:
        return Identity(
            Outcome.INVALID, f"another model answered: {strangers[0]}, declared {declared}"
        )
    return Identity(Outcome.PASSED, f"served model: {', '.join(sorted(served)) or 'not stated'}")
