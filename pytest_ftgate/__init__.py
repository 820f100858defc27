"""A pytest quality gate for prompts and fine-tuned language models."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.errors import Denied, Refused, Transient, Unavailable
    from pytest_ftgate.gates.verdict import Outcome, Verdict
    from pytest_ftgate.plugin.fixture import Ftgate, UsedSuite
    from pytest_ftgate.plugin.marked.attempt import Talk
    from pytest_ftgate.providers.base import Provider
    from pytest_ftgate.requests.reply import Reply
    from pytest_ftgate.requests.request import Call, Step, ToolCall
    from pytest_ftgate.suite.model import Case

__all__ = [
    "Call",
    "Case",
    "Denied",
    "Ftgate",
    "Outcome",
    "Provider",
    "Refused",
    "Reply",
    "Step",
    "Talk",
    "ToolCall",
    "Transient",
    "Unavailable",
    "UsedSuite",
    "Verdict",
    "__version__",
]

_HOMES = {
    **dict.fromkeys(("Call", "Step", "ToolCall"), "requests.request"),
    "Case": "suite.model",
    **dict.fromkeys(("Ftgate", "UsedSuite"), "plugin.fixture"),
    **dict.fromkeys(("Outcome", "Verdict"), "gates.verdict"),
    "Provider": "providers.base",
    "Reply": "requests.reply",
    "Talk": "plugin.marked.attempt",
    **dict.fromkeys(("Denied", "Refused", "Transient", "Unavailable"), "errors"),
}


def __getattr__(name: str) -> object:
    # On demand: at every start of pytest this module is imported, and nothing of it is needed.
    if name == "__version__":
        return version("pytest-ftgate")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(name)
