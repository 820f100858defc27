"""The most that one case can cost: what a mean of costs may not have seen is at most that."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import CostGate
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.prices import INPUT_KINDS, Tariff, request_price
from pytest_ftgate.suite.providers import provider_spec

_THOUSAND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBound:
    """The most that a thousand requests can cost.

    Attributes:
        most: in USD.
        max_tokens: the longest reply, which allows that; 0 if the gate or the price declares it.
        prompt: the tokens of the longest prompt that was seen.
        is_flat: True if each request costs that, whatever its tokens.
    """

    most: float
    max_tokens: int = 0
    prompt: int = 0
    is_flat: bool = False


def cost_bound(suite: Suite, variant: Variant, scores: VariantScores | None) -> CostBound | None:
    """Return the most that requests of *variant* can cost, or None if nothing limits it.

    It is the smaller of what ``max_tokens`` allows and what the gate declares. The prompts are as
    long as the longest one of *scores*. Without scores, before a run, they cost nothing, so that
    the bound is the least that it will be. Runs that state their cost may cost anything.
    """
    tariff, gate = variant.tariff, suite.gates.get("cost")
    replies = scores.replies if scores else ()
    has_stated = any(reply.stated_cost is not None for reply in replies)
    if tariff.per_1k is not None and not has_stated:
        return CostBound(most=tariff.per_1k, is_flat=True)
    usages = [reply.usage for reply in replies]
    prompt = max((sum(usage.get(k, 0) for k in INPUT_KINDS) for usage in usages), default=0)
    longest, declared = longest_reply(suite, variant) * (not has_stated), None
    if isinstance(gate, CostGate) and gate.max_cost_per_case is not None:
        declared = _THOUSAND * gate.max_cost_per_case
        # What was declared holds where a server is seen not to keep max_tokens.
        longest *= all(usage.get("output", 0) <= longest for usage in usages)
    most = most_usd(tariff, prompt, longest) if longest else None
    if declared is not None and (most is None or declared < most):
        return CostBound(most=declared)
    return None if most is None else CostBound(most=most, max_tokens=longest, prompt=prompt)


def longest_reply(suite: Suite, variant: Variant) -> int:
    """Return the tokens of the longest reply that a server may send, 0 if nothing limits them.

    Recorded replies and those of functions came without a limit of ours. With tools, nothing
    limits what these return, which the next request of the case reads and pays for.
    """
    spec = provider_spec(variant.provider)
    if not spec.prompted or "max_tokens" not in spec.reads or variant.tools:
        return 0
    shared = variant.max_tokens or suite.reply.max_tokens
    return max((case.max_tokens or shared for case in suite.cases), default=shared)


def most_usd(tariff: Tariff, prompt: int, tokens: int) -> float | None:
    """Return the USD of a thousand requests of *prompt* tokens with replies of *tokens*.

    The prompt costs what its dearest kind of tokens does. None if the price is unknown.
    """
    prices = [request_price(tariff, {kind: prompt, "output": tokens}) for kind in INPUT_KINDS]
    return max((float(_THOUSAND * price) for price in prices if price is not None), default=None)


def largest_that(shows: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest number from *low* to below *high* for which *shows*; 0 for none.

    If it shows something, a smaller one does.
    """
    count = bisect_left(range(low, high), x=True, key=lambda number: not shows(number))
    return low + count - 1 if count else 0
