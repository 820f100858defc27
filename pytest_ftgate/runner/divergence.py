"""Has a tuned model read the replies of its base, and compares their distributions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.divergence import reading_requests
from pytest_ftgate.requests.logprobs import Divergence
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.scoring.logprobs import token_divergence
from pytest_ftgate.suite.model import Gate, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.divergence import CaseDivergence
    from pytest_ftgate.runner.session import Session


def case_divergences(
    session: Session, suite: Suite, variant: Variant, gate: Gate
) -> list[CaseDivergence]:
    """Return how far *variant* is from its base, for each reply of the base that can be read.

    Raises:
        FtgateError: the replies did not come, or the provider gives no log-probabilities.
    """
    base, tuned = session.workloads.base_reply_requests(suite, variant, gate)
    results = session.checked_results([base], None, suite.name)
    reading = reading_requests(base, tuned, results)
    results = session.checked_results([[*chain.from_iterable(reading)]], None, suite.name)
    return [(requests[-1].case, _divergence(requests, results)) for requests in reading]


def _divergence(
    requests: tuple[CaseRequest, ...], results: Mapping[str, Reply | FtgateError]
) -> Divergence | None:
    """Return the divergence at one reply: of the provider, or of the two lists of tokens."""
    replies = [results.get(request.fingerprint) for request in requests]
    logprobs = [reply.logprobs for reply in replies if isinstance(reply, Reply) and reply.logprobs]
    if len(logprobs) < len(requests):
        return None
    if len(logprobs) == 1:
        return logprobs[0].divergence
    return token_divergence(logprobs[0].tokens, logprobs[1].tokens)
