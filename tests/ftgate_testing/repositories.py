"""A repository of git, as somebody would have made it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: Whose commits they are, whatever this machine is configured to.
_OPTIONS = (
    "user.name=Ada", "user.email=a@b.c", "commit.gpgsign=false", "protocol.file.allow=always",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository at *path*."""

    path: Path

    @classmethod
    def made(cls, path: Path) -> Repository:
        """Make the folder *path* a repository on the branch main, without a commit."""
        path.mkdir(exist_ok=True)
        made = cls(path)
        made.git("init", "-q", "-b", "main")
        return made

    @classmethod
    def cloned(cls, origin: Repository, path: Path, *options: str) -> Repository:
        """Clone *origin* to *path*."""
        origin.git("clone", "-q", *options, origin.path.as_uri(), str(path))
        return cls(path)

    def git(self, *arguments: str) -> str:
        """Return what git prints for *arguments*, without the line's end."""
        options = [part for option in _OPTIONS for part in ("-c", option)]
        command = ["git", *options, "-C", str(self.path), *arguments]
        # As outside of a hook, such as one that runs these tests before a push.
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
        return ran.stdout.rstrip("\n")

    def commit(self, *names: str) -> str:
        """Commit *names*, also where git ignores them, or else all that it does not ignore."""
        self.git("add", *(("-f", "--", *names) if names else ("-A",)))
        self.git("commit", "-q", "--allow-empty", "-m", "work")
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str = "x\n") -> Path:
        """Write a file, and its folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path
