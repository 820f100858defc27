"""Log-probabilities of given texts under a causal language model of Transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pytest_ftgate.requests.logprobs import Divergence, rounded

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


def label_tokens(tokenizer: Any, labels: Sequence[str], end: int) -> list[list[int]]:
    """Return the tokens of each label; with the end token where one label begins with another."""
    tokens: list[list[int]] = [tokenizer(x, add_special_tokens=False).input_ids for x in labels]
    is_ambiguous = any(
        one is not other and other[: len(one)] == one for one in tokens for other in tokens
    )
    return [[*label, end] for label in tokens] if is_ambiguous else tokens


def label_logprobs(
    model: Any, prompts: Sequence[Tokens], labels: Sequence[Tokens], pad: int
) -> list[list[float]]:
    """Return the log-probability of each of *labels* after each of *prompts*.

    The prompts are read once, all together; each label then goes on from there.
    """
    inputs = padded(prompts, pad, model.device)
    read = model(**inputs, use_cache=True, logits_to_keep=1)
    first = read.logits[:, -1].float().log_softmax(-1)
    name = cache_name(read)
    start = inputs["position_ids"][:, -1:] + 1
    found: list[list[float]] = []
    for label in labels:
        sums = first[:, label[0]].clone()
        if len(label) > 1:
            tokens = torch.tensor([label[:-1]], device=model.device).expand(len(prompts), -1)
            ones = torch.ones_like(tokens)
            logits = model(
                input_ids=tokens,
                attention_mask=torch.cat([inputs["attention_mask"], ones], dim=1),
                position_ids=start + torch.arange(len(label) - 1, device=model.device),
                use_cache=True,
                **{name: read[name]},
            ).logits
            following = torch.tensor(label[1:], device=model.device)
            sums += _picked(logits.float().log_softmax(-1), following).sum(-1)
            read[name].crop(1 - len(label))
        found.append(sums.tolist())
    return [list(row) for row in zip(*found, strict=True)]


def cache_name(read: Any) -> str:
    """Return the name that a model's state after some tokens has in its output *read*."""
    # The second is its name before Transformers 5.40.
    return "cache" if "cache" in read else "past_key_values"


def reply_distributions(
    model: Any, prompts: Sequence[Tokens], replies: Sequence[Tokens], pad: int
) -> list[Any]:
    """Return the log-probabilities of all tokens at each token of each reply: (tokens, vocabulary).

    Each prompt is followed by its reply.
    """
    rows = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    longest = max(map(len, replies))
    logits = model(**padded(rows, pad, model.device), logits_to_keep=longest + 1).logits
    # Each position holds the distribution of the token after it.
    return [logits[i, -len(reply) - 1 : -1].float() for i, reply in enumerate(replies)]


def divergence(reply: Tokens, base: Any, tuned: Any) -> Divergence:
    """Return how far the distributions *tuned* are from those of *base* at the tokens of *reply*.

    Both are logits of shape (tokens, vocabulary).
    """
    before, after = base.log_softmax(-1), tuned.log_softmax(-1)
    following = torch.tensor(reply, device=before.device)
    kl = (before.exp() * (before - after)).sum(-1).clamp_min(0.0)
    sums = [
        value.sum().item() for value in (kl, _picked(after, following), _picked(before, following))
    ]
    return Divergence(len(reply), *map(rounded, sums))


def _picked(logprobs: Any, tokens: Any) -> Any:
    """Return the log-probability of each of *tokens*, of shape (n,), in (…, n, vocabulary)."""
    index = tokens.expand(logprobs.shape[:-1])[..., None]
    return logprobs.gather(-1, index)[..., 0]
