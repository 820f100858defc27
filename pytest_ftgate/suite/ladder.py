"""The ladder of a suite: which rung each variant is, what its calls take, and when one is worth it.

Plain values: the loader fills them, the advice rests on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ftgate.suite.prices import price

if TYPE_CHECKING:
    from pytest_ftgate.suite.model import Variant

__all__ = ["DAYS_A_MONTH", "RUNGS", "Economics", "Spend", "Thresholds", "laddered", "rung_of"]

#: The rungs in the order of their effort, least first.
RUNGS = (
    *("no-model", "smaller-model", "prompt", "few-shot", "stronger-model"),
    *("structured-output", "rag", "tools", "fine-tuned"),
)
#: By which a volume a day becomes one a month.
DAYS_A_MONTH = 30
#: Tokens that two prices are compared by.
_A_CALL = {"input": 500, "output": 50}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a variant takes besides the price of its calls; keys as in the suite file.

    Attributes:
        training_usd: paid once, and again at each retraining.
        hosting_usd_per_month: of a server or of provisioned throughput, or None.
        adapters_on_server: how many adapters share that server, and its price.
        retrainings_per_year: how often it must be trained again, as at each new base.
        evaluation_usd: what evaluating it once costs; None for what this run's replies cost.
        evaluations_per_month: how often that is done.
        batched: the share of its calls that can wait for a batch, at half the price.
        cached: the share of what it reads that comes from a cache.
    """

    training_usd: float = 0.0
    hosting_usd_per_month: float | None = None
    adapters_on_server: int = 1
    retrainings_per_year: float = 0.0
    evaluation_usd: float | None = None
    evaluations_per_month: float = 0.0
    batched: float = 0.0
    cached: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Economics:
    """What the product asks of its model, and what that is worth.

    Attributes:
        calls_per_day: the volume.
        wrong_usd: what a wrong reply costs, or None where nobody has said.
        spend: by variant what it takes besides its calls.
    """

    calls_per_day: float
    wrong_usd: float | None = None
    spend: Mapping[str, Spend] = field(default_factory=dict)

    @property
    def calls_per_month(self) -> float:
        """The volume of thirty days."""
        return self.calls_per_day * DAYS_A_MONTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where the rules of the advice draw their lines; keys as in the suite file, docs/ladder.md."""

    worth: float = 0.05
    fewest_examples: int = 200
    wanted_examples: int = 500
    most_changes: int = 6
    long_prompt: int = 1_000
    costly_prompt: int = 3_000
    form_faults: float = 0.05
    knowledge: float = 0.5
    payback_days: float = 180.0
    retirement_days: int = 90
    tokens_per_word: float = 2.0
    local_only: bool = False


def rung_of(variant: Variant, baseline: Variant) -> str:
    """Return the rung that *variant* stands on: what it declares, or the highest that it uses."""
    signs = {
        "fine-tuned": variant.tuned,
        "tools": bool(variant.tools),
        "rag": variant.retrieve is not None,
        "structured-output": variant.constrained or variant.schema is not None,
        "no-model": variant.provider == "classical",
    }
    found = next((rung for rung, shows in signs.items() if shows), "")
    return variant.rung or found or _by_model(variant, baseline)


def _by_model(variant: Variant, baseline: Variant) -> str:
    if variant.model != baseline.model:
        mine, its = (price(one.tariff, _A_CALL) for one in (variant, baseline))
        cheaper = mine is not None and its is not None and mine < its
        return "smaller-model" if cheaper else "stronger-model"
    return "few-shot" if variant.shots or variant.pool else "prompt"


def laddered(variants: Mapping[str, Variant], baseline: str) -> list[tuple[str, Variant]]:
    """Return the variants with their rungs, by their effort, then in the order of the file."""
    found = [(rung_of(one, variants[baseline]), one) for one in variants.values()]
    return sorted(found, key=lambda one: RUNGS.index(one[0]))
