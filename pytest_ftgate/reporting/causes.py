"""Why most regressed cases regressed, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.reporting.number_text import quantity, share_change

#: What a model does to its replies that a lenient reader accepts: if it is new, and if it is not.
_HABITS = {
    "fenced": ("began to fence {}", "fences {}"),
    "preamble": ("began to write before {}", "writes before {}"),
    "trailing text": ("began to write after {}", "writes after {}"),
    "wrong label casing": ("began to change case or marks of {}", "changes case or marks of {}"),
    "invalid syntax": ("began to leave stray commas in {}", "leaves stray commas in {}"),
}
#: What regressed cases have in common, by the value of the statement that counts them.
_CHANGES = {"broken": "broke their format", "cut": "were cut off by max_tokens"}
#: What a reply is, by the format rule that it breaks.
_REPLY_NAMES = {
    "choice": "its labels",
    "json_schema": "its JSON",
    "pydantic": "its JSON",
    "xml": "its XML",
    "csv": "its CSV",
    "markdown": "its tables",
    "code": "its code",
}


def cause(verdict: Verdict) -> str:
    """Return the habit, or the kind of loss, behind most regressed cases; "" if there is none."""
    is_rate = verdict.statement.kind is StatementKind.RATE
    values = verdict.statement.values if is_rate else {}
    if "habit" in values:
        return _habit(values)
    if common := _broken_formats(values):
        return common
    under = verdict.check.under if verdict.check else ""
    kinds = [kind for kind in verdict.loss_kinds if kind.under == under]
    if not kinds:
        return ""
    total = quantity(sum(kind.cases for kind in kinds), "regressed answer")
    return f"{kinds[0].cases} of {total}: {kinds[0].kind}"


def _habit(values: Mapping[str, Any]) -> str:
    """Return in a few words what a model does to its replies that a lenient reader accepts."""
    kind, replies, total = values["habit"], values["replies"], values["of"]
    if_new, if_old = _HABITS[kind]
    habit = (if_new if values["is_new"] else if_old).format(
        _REPLY_NAMES.get(values["rule"], "its replies")
    )
    return f"{kind}: the model {habit}, {replies:,} of {total:,} replies"


def _broken_formats(values: Mapping[str, Any]) -> str:
    """Return what regressed cases have in common, from the values of a statement; "" if nothing."""
    return "; ".join(
        f"{values[change]} of {values['regressed']} regressed cases {what} "
        f"({values[f'{change}_others']} of the other {values['others']})"
        for change, what in _CHANGES.items()
        if change in values
    )


def rest(values: Mapping[str, Any]) -> str:
    """Return what the cases came to that kept their format and were not cut off; "" if few did."""
    if "rest" not in values:
        return ""
    which = "without either" if "broken" in values and "cut" in values else "that kept it"
    which = which if "broken" in values else "that ended as they should"
    rates = share_change(values["rest_before"], values["rest_after"])
    return f"the {values['rest']} {which}: {rates}"
