"""The suite of a marked function: the file that its mark names, or what the mark declares."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import SuiteFaults
from pytest_ftgate.marked.lines import SUITE
from pytest_ftgate.marked.place import Mark, Place
from pytest_ftgate.run.offered import offered
from pytest_ftgate.run.suites import prepared, suite_at
from pytest_ftgate.suite.loader import resolved
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.rules import Rule
from pytest_ftgate.suite.yaml import Document

__all__ = ["named_suite"]


def named_suite(place: Place, mark: Mark) -> Suite | None:
    """Return the suite that *mark* names or declares, or None with its faults noted."""
    try:
        return _of_file(place, mark) if mark.suite is not None else _in_place(place, mark)
    except SuiteFaults as error:
        place.source.faults.extend(error.faults)
        return None


def _of_file(place: Place, mark: Mark) -> Suite | None:
    written = os.fspath(mark.suite or "")
    for key in ("cases", "prompt"):
        if getattr(mark, key) is not None:
            place.say(key, f"{key}: {written} names its own; remove {key}=, or the file")
    if not (mark.variants is None or isinstance(mark.variants, str | list | tuple)):
        told = f'variants: {written} declares them; name those to judge: variants=["current"]'
        place.say("variants", told)
    elif mark.variants is not None and not mark.variants:
        place.say("variants", "variants: the list is empty; name a variant, or leave it out")
    path = place.found(written)
    if not path.is_file():
        folder = place.source.name(place.folder)
        looked = "" if folder == "." else f"{folder}/ and in "
        place.say(SUITE, f"{written} does not exist (looked in {looked}{place.source.root})")
        return None
    return suite_at(place.session, path.resolve())


def _in_place(place: Place, mark: Mark) -> Suite | None:
    for key, example in (("cases", '"refunds.cases.jsonl"'), ("variants", '{"current": {...}}')):
        if getattr(mark, key) is None:
            told = f"the mark names no suite file, so it needs {key}, such as {key}={example}"
            place.say(key, told)
    if mark.cases is None or mark.variants is None:
        return None
    value = {
        "cases": _rows(place, mark.cases),
        "variants": _plain(mark.variants),
        "reply": {"score": Rule("marked")},
        "gates": {"accuracy": {}},
    }
    value |= {"prompt": _relative(place, mark.prompt)} if mark.prompt is not None else {}
    document = Document(place.source.name(place.source.path), value, place.lines, {})
    source = replace(place.source, offers=offered(place.session, place.source.path))
    suite = resolved(source, document)
    # Told from those of other functions of the module, whose cases and variants are others.
    return prepared(place.session.config, replace(suite, name=f"{suite.name}::{place.name}"))


def _rows(place: Place, cases: Any) -> Any:
    if isinstance(cases, str | os.PathLike):
        return _relative(place, cases)
    return [_plain(one) for one in cases] if isinstance(cases, Sequence) else cases


def _plain(value: Any) -> Any:
    """Return what YAML would have made of *value*: mappings and lists of plain values."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _relative(place: Place, written: str | os.PathLike[str]) -> str:
    """Return *written* as seen from the test file's folder."""
    pattern = os.fspath(written)
    root = place.source.root
    if (
        Path(pattern).is_absolute()
        or any(place.folder.glob(pattern))
        or not any(root.glob(pattern))
    ):
        return pattern
    return os.path.relpath(root / pattern, place.folder)
