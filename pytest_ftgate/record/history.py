"""How accepted records have come along: read from git, where there is one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from pytest_ftgate.record.accepted import Kept, record_from_json
from pytest_ftgate.record.run import Past

__all__ = ["git", "history"]

#: More points than this no chart shows.
_MOST = 50
_SECONDS = 20


def git(folder: Path, *words: str) -> str:
    """Return what git says in *folder*; "" where there is none, or nothing to be said."""
    command = ("git", "-C", str(folder), *words)
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def history(path: Path) -> tuple[Past, ...]:
    """Return the accepted records that were committed at *path*, the oldest first."""
    told = git(path.parent, "log", f"-n{_MOST}", "--format=%H%x09%cI%x09%s", "--", f"./{path.name}")
    lines = [line.split("\t", maxsplit=2) for line in told.splitlines()]
    found = (_past(path, *line) for line in reversed(lines))
    return tuple(one for past in found for one in past)


def _past(path: Path, commit: str, at: str, subject: str) -> Iterator[Past]:
    text = git(path.parent, "show", f"{commit}:./{path.name}")
    try:
        variants = record_from_json(text).variants
    except ValidationError:
        return  # deleted there, or of another format
    yield Past(
        at=at,
        commit=commit[:10],
        subject=subject,
        accuracy=_means(variants, "correct"),
        form=_means(variants, "valid"),
    )


def _means(variants: Mapping[str, Mapping[str, Kept]], what: str) -> dict[str, float]:
    found = {
        name: [value for one in cells.values() if (value := getattr(one, what)) is not None]
        for name, cells in variants.items()
    }
    return {name: sum(own) / len(own) for name, own in found.items() if own}
