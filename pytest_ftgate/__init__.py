"""A pytest quality gate for prompts and fine-tuned language models."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.ask.provider import Provider
    from pytest_ftgate.ask.reply import Reply
    from pytest_ftgate.errors import Denied, Refused, Transient, Unavailable
    from pytest_ftgate.fixture import Ftgate, UsedSuite
    from pytest_ftgate.gate.verdict import Outcome, Verdict
    from pytest_ftgate.marked.talk import Talk
    from pytest_ftgate.plan.call import Call, Step, ToolCall
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
    **dict.fromkeys(("Call", "Step", "ToolCall"), "plan.call"),
    "Case": "suite.model",
    **dict.fromkeys(("Ftgate", "UsedSuite"), "fixture"),
    **dict.fromkeys(("Outcome", "Verdict"), "gate.verdict"),
    "Provider": "ask.provider",
    "Reply": "ask.reply",
    "Talk": "marked.talk",
    **dict.fromkeys(("Denied", "Refused", "Transient", "Unavailable"), "errors"),
}


def __getattr__(name: str) -> object:
    # On demand: at every start of pytest this module is imported, and nothing of it is needed.
    if name == "__version__":
        return version("pytest-ftgate")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(name)
