"""Whether a folder lies on a network file system, where the platform tells it cheaply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["MOUNTS", "network_of"]

#: Where Linux tells what is mounted.
MOUNTS = Path("/proc/self/mounts")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|davfs|"
    r"fuse\.(sshfs|glusterfs|ceph\S*|s3fs|rclone|gcsfuse|goofys|blobfuse2?|davfs\d?|juicefs)",
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def network_of(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the kind of network file system that *folder* lies on; None where it lies on none.

    Args:
        folder: an absolute path.
        mounts: the list of what is mounted; where it cannot be read nothing is known.
    """
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    # Of several mounts over one another the last is in force.
    deepest = max(_over(folder, lines), key=lambda mount: len(mount[0].parts), default=None)
    return deepest[1] if deepest and _NETWORK.fullmatch(deepest[1]) else None


def _over(folder: Path, lines: list[str]) -> Iterator[tuple[Path, str]]:
    for line in reversed(lines):
        match line.split():
            case [_, where, kind, *_]:
                point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), where))
                if folder.is_relative_to(point):
                    yield point, kind
