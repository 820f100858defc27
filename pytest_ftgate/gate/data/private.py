"""Secrets and personal data in training files, by well-known patterns; never quoted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pytest_ftgate.gate.data.finding import Finding, Item, Severity
from pytest_ftgate.gate.words import counted

__all__ = ["private"]

#: What keys look like, by those who give them out; a model repeats what it was trained on.
_SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY",
    "an Anthropic key": r"\bsk-ant-[\w-]{20,}",
    "an OpenAI key": r"\bsk-(?!ant-)(?:proj-)?[\w-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_\w{36,}|github_pat_\w{22,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a Google key": r"\bAIza[\w-]{35}\b",
    "a Stripe key": r"\b[rs]k_live_\w{20,}",
    "an npm token": r"\bnpm_\w{36}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password": r"(?i)\b(?:password|passwd|api[_-]?key|secret|access[_-]?token)\b[\"']?\s*[:=]\s*"
    r"[\"']?(?=\S*\d)[^\s\"',;]{8,}",
}
_PERSONAL = {
    "an e-mail address": r"\b[\w.+-]+@(?!example\.|test\.)[\w-]+\.[\w.-]*\w",
    "a telephone number": r"(?<![\w.])(?:\+\d{1,3}[ -]?)(?:\(?\d{1,4}\)?[ -]?){2,5}\d{2,4}\b",
    "a bank account": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "a card number": r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])",
    "a social security number": r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])",
}
_BASE = 36


def private(items: Sequence[Item]) -> Iterator[Finding]:
    """Yield the rows with what looks like a secret, and those with personal data."""
    yield from _found(items, "secret", Severity.ERROR, _SECRETS, _NEXT["secret"])
    yield from _found(items, "personal", Severity.WARNING, _PERSONAL, _NEXT["personal"])


_NEXT = {
    "secret": "revoke it and take it out: a model gives away what it was trained on",
    "personal": "replace it by invented data, unless you may train on it",
}


def _found(
    items: Sequence[Item], kind: str, severity: Severity, patterns: dict[str, str], step: str
) -> Iterator[Finding]:
    each = {name: re.compile(pattern) for name, pattern in patterns.items()}
    lines = defaultdict[str, list[int]](list)
    for item in items:
        text = "\n".join(item.texts)
        for name, pattern in each.items():
            if any(_holds(name, one.group()) for one in pattern.finditer(text)):
                lines[name].append(item.line)
    if lines:
        told = ", ".join(f"{name} ({len(own):,})" for name, own in lines.items())
        rows = sorted({line for own in lines.values() for line in own})
        verb = "seems" if len(rows) == 1 else "seem"
        yield Finding(
            kind=kind,
            severity=severity,
            told=f"{counted(len(rows), 'row')} {verb} to hold {told}",
            count=len(rows),
            lines=tuple(rows),
            next=step,
        )


def _holds(name: str, found: str) -> bool:
    """Tell whether the check digits are right, where a number has such."""
    if name == "a card number":
        return _luhn([int(one) for one in found if one.isdigit()])
    if name == "a bank account":
        plain = found.replace(" ", "")
        turned = plain[4:] + plain[:4]
        return int("".join(str(int(one, _BASE)) for one in turned)) % 97 == 1
    return True


def _luhn(digits: list[int]) -> bool:
    doubled = [sum(divmod(2 * one, 10)) for one in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
