"""Whether a cache lies on a network file system, by what Linux tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.cache import cache
from pytest_ftgate.cache.sqlite import MOUNTS, network_filesystem

TABLE = """\
/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/ann/fast ext4 rw 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
me@host:/ /mnt/ssh fuse.sshfs rw 0 0
C:\\134 /mnt/c 9p rw 0 0
/dev/fuse /mnt/ntfs fuse.ntfs-3g rw 0 0
/dev/sdc1 /over ext4 rw 0 0
server:/over /over nfs rw 0 0
broken
"""


@pytest.fixture
def mounts(tmp_path):
    path = tmp_path / "mounts"
    path.write_text(TABLE)
    return path


@every_row(
    ("folder", "kind"),
    [
        ("/srv/project/.ftgate", None),
        ("/home/ann/project/.ftgate", "nfs4"),
        ("/home/ann/fast/project", None),
        ("/homes", None),
        ("/mnt/my share/project", "cifs"),
        ("/mnt/ssh/project", "fuse.sshfs"),
        ("/mnt/c/project", "9p"),
        ("/mnt/ntfs/project", None),
        ("/over", "nfs"),
    ],
)
def test_the_nearest_mount_decides(mounts, folder, kind):
    assert network_filesystem(Path(folder), mounts) == kind


def test_where_nothing_is_told_nothing_is_known(tmp_path):
    assert network_filesystem(Path("/home"), tmp_path / "absent") is None


@pytest.mark.skipif(not MOUNTS.exists(), reason="told by Linux alone")
def test_what_this_machine_tells_is_read():
    assert network_filesystem(Path("/proc")) is None


def test_a_cache_on_a_network_is_told_of_in_one_sentence(open_cache, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "network_filesystem", lambda folder: "nfs4")
    said: list[str] = []
    open_cache(warn=said.append)
    (sentence,) = said
    assert sentence.startswith(
        f"the cache {tmp_path / 'replies.sqlite'} lies on nfs4: SQLite's WAL"
    )
    assert sentence.endswith("name a file on a local disk with ftgate_cache")
