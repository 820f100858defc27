"""Replies that keep to a format, by llguidance: tokens that would break it are not generated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor

from pytest_ftgate.errors import ProviderRejected, RequestRejected
from pytest_ftgate.requests.request import Request


class KeptFormats(LogitsProcessor):  # type: ignore[misc]
    """Allows each row of a batch the tokens alone with which its reply keeps to its constraint.

    *rows* are the indices of the requests whose replies have not ended, in the order of the batch.
    """

    def __init__(
        self,
        tokenizer: Any,
        requests: Sequence[Request],
        width: int,
        ends: Sequence[int],
        rows: Sequence[int],
    ) -> None:
        self._width, self._ends, self._rows = width, [*ends], rows
        self._matchers = {
            row: constraint_matcher(tokenizer, request.constraint)
            for row, request in enumerate(requests)
            if request.constraint
        }

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return *scores* without the tokens that break a format."""
        matchers = [(place, self._matchers.get(row)) for place, row in enumerate(self._rows)]
        for place, matcher in matchers:
            if matcher is None:
                continue
            if input_ids.shape[1] > self._width and not matcher.is_stopped():
                matcher.consume_token(int(input_ids[place, -1]))
            is_allowed = torch.zeros(scores.shape[1], dtype=torch.bool)
            if matcher.is_stopped():
                is_allowed[self._ends] = True
            else:
                allowed = torch.frombuffer(
                    bytearray(matcher.compute_logit_bias()), dtype=torch.uint8
                )
                count = min(len(allowed), len(is_allowed))
                is_allowed[:count] = allowed[:count] > 0
            scores[place, ~is_allowed.to(scores.device)] = float("-inf")
        return scores


def constraint_tokenizer(tokenizer: Any, ends: Sequence[int]) -> Any:
    """Return *tokenizer* as llguidance reads it; this takes a second.

    Raises:
        ProviderRejected: llguidance is missing, or cannot read it.
    """
    try:
        from llguidance import hf
    except ImportError as error:
        raise ProviderRejected(
            'response_schema takes llguidance: pip install "pytest-ftgate[transformers]"'
        ) from error
    try:
        return hf.from_tokenizer(tokenizer, eos_token=[*ends])
    except ValueError as error:
        raise ProviderRejected(
            f"response_schema: llguidance cannot read the model's tokenizer ({error}); remove it"
        ) from error


def constraint_matcher(tokenizer: Any, constraint: Mapping[str, Any]) -> Any:
    """Return what tells the tokens that keep a reply to *constraint*.

    Raises:
        RequestRejected: llguidance cannot enforce it.
    """
    from llguidance import LLMatcher

    if "choice" in constraint:
        labels = " | ".join(map(json.dumps, constraint["choice"]))
        grammar = LLMatcher.grammar_from_lark(f"start: {labels}")
    else:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(constraint["json_schema"]))
    matcher = LLMatcher(tokenizer, grammar, log_level=0)
    if matcher.is_error():
        reason = matcher.get_error().splitlines()[0]
        raise RequestRejected(f"response_schema: llguidance cannot enforce it: {reason}")
    return matcher
