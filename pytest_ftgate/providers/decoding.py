"""Decoding by Transformers: replies that keep to a format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import LogitsProcessor

from pytest_ftgate.errors import ProviderRejected, RequestRejected
from pytest_ftgate.requests.request import Request


@dataclass(slots=True, eq=False)
class PaddedBatch:
    """The requests whose replies are generated together, each prompt *width* tokens with padding.

    *rows* are the indices of those that have not ended; one list, which its readers share.
    *lengths* are the tokens of the replies that did not end by themselves, by row.
    """

    requests: Sequence[Request]
    width: int
    ends: Sequence[int]
    rows: list[int] = field(init=False)
    replies: list[list[int]] = field(init=False)
    lengths: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = [*range(len(self.requests))]
        self.replies = [[] for _ in self.requests]

    def left(self, length: int) -> int:
        """Return how many tokens may follow where *length* of prompt and reply are there."""
        return max(self.requests[row].max_tokens for row in self.rows) - (length - self.width)

    def keep(self, tokens: Any, going: Sequence[int]) -> None:
        """Keep the *tokens* of all rows; those at the places *going* go on."""
        for row, reply in zip(self.rows, tokens[:, self.width :].tolist(), strict=True):
            self.replies[row] = reply[: self.lengths.get(row)]
        self.rows[:] = [self.rows[place] for place in going]


class KeptFormats(LogitsProcessor):  # type: ignore[misc]
    """Allows each row of a batch the tokens alone with which its reply keeps to its constraint."""

    def __init__(self, tokenizer: Any, batch: PaddedBatch) -> None:
        self._batch = batch
        self._matchers = {
            row: constraint_matcher(tokenizer, request.constraint)
            for row, request in enumerate(batch.requests)
            if request.constraint
        }

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return *scores* without the tokens that break a format."""
        for place, row in enumerate(self._batch.rows):
            if row not in self._matchers:
                continue
            matcher = self._matchers[row]
            if input_ids.shape[1] > self._batch.width and not matcher.is_stopped():
                matcher.consume_token(int(input_ids[place, -1]))
            is_allowed = torch.zeros(scores.shape[1], dtype=torch.bool)
            if matcher.is_stopped():
                is_allowed[[*self._batch.ends]] = True
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


Tokens = Sequence[int]


def padded(rows: Sequence[Tokens], pad: int, device: Any) -> dict[str, Any]:
    """Return *rows* as the input of a model, padded on the left, so that all end together."""
    width = max(map(len, rows))
    tokens = [[pad] * (width - len(row)) + [*row] for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    attention = torch.tensor(mask, device=device)
    return {
        "input_ids": torch.tensor(tokens, device=device),
        "attention_mask": attention,
        "position_ids": (attention.cumsum(-1) - 1).clamp_min(0),
    }


def cache_name(read: Any) -> str:
    """Return the name that a model's state after some tokens has in its output *read*."""
    # The second is its name before Transformers 5.40.
    return "cache" if "cache" in read else "past_key_values"
