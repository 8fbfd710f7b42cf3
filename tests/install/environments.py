"""Fresh environments, and what a reader types in them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

ENDLESS = 3600
"""Seconds after which a command hangs; an installation over a slow network takes many minutes."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and the folder in which its user stands."""

    folder: Path
    place: Path

    @classmethod
    def new(cls, folder: Path, place: Path) -> Environment:
        """An empty one, of the Python that runs the tests."""
        venv.create(folder, with_pip=shutil.which("uv") is None, clear=True)
        return cls(folder, place)

    def run(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A line in the shell of somebody who has activated the environment; what it printed is in ``stdout``.

        ``pip`` is uv where uv is found: it resolves the same requirements and takes a fifth of the time.
        """
        if command.startswith("pip ") and shutil.which("uv") is not None:
            command = "uv " + command
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "VIRTUAL_ENV": str(self.folder), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.place,
            env=clean | own | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=ENDLESS,
            check=False,
        )

    def do(self, command: str) -> str:
        """A line that must work; what it printed."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout


def checkout(folder: Path) -> Path:
    """A clone with what is not committed yet."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def wheel(source: Path, folder: Path) -> Path:
    """The wheel of a checkout."""
    builder = Environment.new(folder / "builder", source)
    builder.do("pip install build")
    builder.do(f"python -m build --wheel --outdir {shlex.quote(str(folder))}")
    return next(folder.glob("*.whl"))
