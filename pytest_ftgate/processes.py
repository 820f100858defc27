"""Programs that run in a folder of their own: the folder, and the end of the whole group."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import mkdtemp


@contextmanager
def temporary_folder() -> Iterator[str]:
    """Make a folder, and remove it at the end."""
    folder = mkdtemp(prefix="ftgate-")
    try:
        yield folder
    finally:
        with suppress(OSError):
            _empty(folder)
            Path(folder).rmdir()


def _empty(top: str) -> None:
    """Remove what *top* contains. Folders may be nested so deeply that no path reaches them.

    So each folder is moved into *top* before it is emptied.
    """
    folders = [top]
    while folders:
        folder = folders.pop()
        for entry in [*entries_of(folder)]:
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
                continue
            # Without the right to write, a folder cannot be moved.
            Path(entry.path).chmod(0o700)
            folders.append(str(Path(top, token_hex())))
            Path(entry.path).rename(folders[-1])
        if folder != top:
            Path(folder).rmdir()


def entries_of(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of *folder*, even if a program took the right to read away."""
    try:
        entries = os.scandir(folder)
    except PermissionError:
        Path(folder).chmod(0o700)
        entries = os.scandir(folder)
    with entries:
        yield from entries


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its whole group, and so the processes that it left behind."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
