"""The requests that have a model read the replies of its base, for their log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_ftgate.requests.logprobs import GivenReply
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.suite.model import digest
from pytest_ftgate.suite.providers import provider_spec

#: What the provider does with a given reply: it compares both distributions itself, or returns the
#: likeliest tokens of the model that gets the request.
_COMPARES = "full"


def reading_requests(
    base: Sequence[CaseRequest], tuned: Sequence[CaseRequest], results: Mapping[str, object]
) -> list[tuple[CaseRequest, ...]]:
    """Return for each reply of the base the requests that have it read.

    There is one to the tuned model, and one to the base before it if the provider does not compare
    the two itself. *base* and *tuned* are about the same cases; *results* are the replies, by
    fingerprint. Replies without a text, and those after a thought that is not in it, are left out.
    """
    found: list[tuple[CaseRequest, ...]] = []
    for of_base, of_tuned in zip(base, tuned, strict=True):
        reply = results.get(of_base.fingerprint)
        if not isinstance(reply, Reply) or not reply.text.strip() or reply.thought or reply.steps:
            continue
        if provider_spec(of_tuned.request.provider).logprobs == _COMPARES:
            given = GivenReply(reply.text, of_base.request.model)
            found.append((_reading(of_tuned, of_base, given),))
        else:
            given = GivenReply(reply.text)
            found.append(tuple(_reading(side, of_base, given) for side in (of_base, of_tuned)))
    return found


def _reading(side: CaseRequest, of_base: CaseRequest, given: GivenReply) -> CaseRequest:
    fingerprint = digest([side.fingerprint, of_base.fingerprint, "given reply", given.text])
    # No constraint: the reply is not restricted, it is read.
    request = replace(
        side.request, fingerprint=fingerprint, given=given, labels=(), constraint=None, tools=()
    )
    return replace(side, request=request)
