"""What lies at a path that a user wrote: nothing, where no file can have such a name.

The methods of ``pathlib`` raise an error for a name that is too long, such as a prompt that was
written in place of its file.
"""

from __future__ import annotations

import os
from pathlib import Path


def exists(path: Path) -> bool:
    """Return True if a file or a folder is at *path*."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def is_file(path: Path) -> bool:
    """Return True if a file is at *path*."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


def is_folder(path: Path) -> bool:
    """Return True if a folder is at *path*."""
    return os.path.isdir(path)  # noqa: PTH112 - see above


def is_link(path: Path) -> bool:
    """Return True if a link is at *path*, whatever it leads to."""
    return os.path.islink(path)  # noqa: PTH114 - see above


def names_beside(path: Path) -> list[str]:
    """Return the names of what lies in the folder of *path*; none if there is no such folder."""
    return [one.name for one in path.parent.iterdir()] if is_folder(path.parent) else []
