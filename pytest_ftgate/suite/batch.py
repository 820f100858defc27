"""Which variants can be asked in batches."""

from __future__ import annotations

from dataclasses import replace

from pytest_ftgate.suite.declared import DeclaredVariant
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.place import Place
from pytest_ftgate.suite.providers import understands

__all__ = ["check_batch", "in_batches"]


def check_batch(place: Place, merged: DeclaredVariant) -> None:
    """Note a batch whose calls would have to wait for each other's replies."""
    if merged.batch and merged.tools:
        key = "batch" if "batch" in place.own.model_fields_set else "tools"
        place.say(key, "a batch is sent once, so it has no turns for tools; remove batch or tools")


def in_batches(suite: Suite) -> Suite:
    """Return *suite* with every variant in batches that can be; the others stay as they are."""
    variants = {
        name: replace(one, batch=understands(one.provider, "batch") and not one.tools)
        for name, one in suite.variants.items()
    }
    return replace(suite, variants=variants)
