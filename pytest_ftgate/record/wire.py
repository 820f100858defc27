"""Parts of a run as lines of JSON, the form in which they travel between processes."""

from __future__ import annotations

from functools import cache

from pydantic import TypeAdapter

from pytest_ftgate.advise.advice import Advice
from pytest_ftgate.record.run import SuiteRun

__all__ = ["advice_from_json", "advice_to_json", "suite_from_json", "suite_to_json"]


# Built on first use, as it takes milliseconds.
@cache
def _suites() -> TypeAdapter[SuiteRun]:
    return TypeAdapter(SuiteRun)


@cache
def _advices() -> TypeAdapter[Advice]:
    return TypeAdapter(Advice)


def suite_to_json(suite: SuiteRun) -> str:
    """Return what one process knows of a suite as one line."""
    return _suites().dump_json(suite).decode()


def suite_from_json(text: str) -> SuiteRun:
    """Read what *suite_to_json* wrote."""
    return _suites().validate_json(text)


def advice_to_json(advice: Advice) -> str:
    """Return what is advised on a suite as one line."""
    return _advices().dump_json(advice).decode()


def advice_from_json(text: str) -> Advice:
    """Read what *advice_to_json* wrote."""
    return _advices().validate_json(text)
