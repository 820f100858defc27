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
    from pytest_ftgate.requests.logprobs import Logprobs
    from pytest_ftgate.requests.reply import Reply
    from pytest_ftgate.requests.request import Request, Step, ToolCall
    from pytest_ftgate.results.run import Report
    from pytest_ftgate.runner.compare_files import CompareResult, compare
    from pytest_ftgate.runner.evaluate import EvaluateResult, evaluate
    from pytest_ftgate.suite.model import Case, Variant

__all__ = [
    "Case",
    "CompareResult",
    "ConfigurationError",
    "Conversation",
    "EvaluateResult",
    "Ftgate",
    "Logprobs",
    "Outcome",
    "Provider",
    "ProviderRejected",
    "Reply",
    "Report",
    "Request",
    "RequestRejected",
    "RetryableError",
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
    "step_line",
]

#: The module of each public name.
_MODULES = {
    "Case": "suite.model",
    "CompareResult": "runner.compare_files",
    "ConfigurationError": "errors",
    "Conversation": "plugin.marked.attempt",
    "EvaluateResult": "runner.evaluate",
    "Ftgate": "plugin.fixture",
    "Logprobs": "requests.logprobs",
    "Outcome": "gates.verdict",
    "Provider": "providers.base",
    "ProviderRejected": "errors",
    "Reply": "requests.reply",
    "Report": "results.run",
    "Request": "requests.request",
    "RequestRejected": "errors",
    "RetryableError": "errors",
    "Step": "requests.request",
    "SuiteHandle": "plugin.fixture",
    "ToolCall": "requests.request",
    "Variant": "suite.model",
    "Verdict": "gates.verdict",
    "compare": "runner.compare_files",
    "evaluate": "runner.evaluate",
    "gate": "plugin.marked.decorator",
    "headline": "reporting.headlines",
    "note_text": "reporting.notes",
    "step_line": "reporting.next_steps",
}


def __getattr__(name: str) -> object:
    # Imported on demand: pytest imports this module at every start and needs none of the names.
    if name == "__version__":
        return version("pytest-ftgate")
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(name)
