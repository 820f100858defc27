"""A pytest quality gate for prompts and fine-tuned language models."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.errors import (
        ConfigurationError,
        ProviderRejected,
        RequestRejected,
        RetryableError,
    )
    from pytest_ftgate.gates.verdict import Outcome, Verdict
    from pytest_ftgate.plugin.fixture import Ftgate, SuiteHandle
    from pytest_ftgate.plugin.marked.attempt import Conversation
    from pytest_ftgate.plugin.marked.decorator import gate
    from pytest_ftgate.providers.base import Provider
    from pytest_ftgate.reporting.headlines import headline
    from pytest_ftgate.reporting.next_steps import step_line
    from pytest_ftgate.reporting.notes import note_text
    from pytest_ftgate.requests.reply import Reply
    from pytest_ftgate.requests.request import Request, Step, ToolCall
    from pytest_ftgate.results.run import Report
    from pytest_ftgate.runner.compare_files import CompareResult, compare
    from pytest_ftgate.runner.evaluate import EvaluateResult, evaluate
    from pytest_ftgate.runner.self_compare import SelfCompareResult, self_compare
    from pytest_ftgate.suite.model import Case, Variant

__all__ = [
    "Case",
    "CompareResult",
    "ConfigurationError",
    "Conversation",
    "EvaluateResult",
    "Ftgate",
    "Outcome",
    "Provider",
    "ProviderRejected",
    "Reply",
    "Report",
    "Request",
    "RequestRejected",
    "RetryableError",
    "SelfCompareResult",
    "Step",
    "SuiteHandle",
    "ToolCall",
    "Variant",
    "Verdict",
    "__version__",
    "compare",
    "evaluate",
    "gate",
    "headline",
    "note_text",
    "self_compare",
    "step_line",
]

#: The public names of each module.
_NAMES = {
    "errors": ("ConfigurationError", "ProviderRejected", "RequestRejected", "RetryableError"),
    "gates.verdict": ("Outcome", "Verdict"),
    "plugin.fixture": ("Ftgate", "SuiteHandle"),
    "plugin.marked.attempt": ("Conversation",),
    "plugin.marked.decorator": ("gate",),
    "providers.base": ("Provider",),
    "reporting.headlines": ("headline",),
    "reporting.next_steps": ("step_line",),
    "reporting.notes": ("note_text",),
    "requests.reply": ("Reply",),
    "requests.request": ("Request", "Step", "ToolCall"),
    "results.run": ("Report",),
    "runner.compare_files": ("CompareResult", "compare"),
    "runner.evaluate": ("EvaluateResult", "evaluate"),
    "runner.self_compare": ("SelfCompareResult", "self_compare"),
    "suite.model": ("Case", "Variant"),
}


def __getattr__(name: str) -> object:
    # Imported on demand: pytest imports this module at every start and needs none of the names.
    if name == "__version__":
        return version("pytest-ftgate")
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(name)
