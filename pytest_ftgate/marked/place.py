"""The marks of one test function: what they may say, and where they stand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from pytest_ftgate.suite.bounds import Count, Margin, Share
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Where

__all__ = ["Mark", "Place"]


class Mark(BaseModel):
    """The arguments of ``@pytest.mark.ftgate``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    suite: str | os.PathLike[str] | None = None
    cases: Any = None
    variants: Any = None
    prompt: str | os.PathLike[str] | None = None
    max_drop: Margin | None = None
    min: Share | None = None
    repeats: Count | None = None
    tags: str | tuple[str, ...] = ()
    evidence: Literal["statistics", "point"] = "statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a marked function stands.

    Attributes:
        name: of the function in its module, with its classes.
        lines: of the arguments of its marks.
    """

    session: pytest.Session
    source: Source
    function: FunctionType
    name: str
    lines: Mapping[Where, int]

    def line(self, *where: str) -> int:
        """Return the line of an argument, or of the nearest mark."""
        return self.lines.get(where, self.lines[()])

    def say(self, key: str, message: str) -> None:
        """Note a fault at one of the arguments."""
        self.source.say(self.line(key), message)

    def found(self, written: str) -> Path:
        """Return the file that *written* names: beside the test file, or from the root."""
        beside, below = (folder / written for folder in (self.folder, self.source.root))
        return below if below.exists() and not beside.exists() else beside

    @property
    def folder(self) -> Path:
        """The folder of the test file."""
        return self.source.path.parent
