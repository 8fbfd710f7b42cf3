"""What a hunt has done already, so that an interruption costs little: finished pseudo-experiments and stages."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from jepa_coffea.hunt.config import HuntError


class Ledger:
    """Results by key, one JSON line each, appended as they come; in memory only when there is no file.

    A line cut short by an interruption is left out and its experiment done again.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._entries: dict[str, Any] = {}
        if path is None or not path.is_file():
            return
        whole = path.read_text().split("\n")
        for number, line in enumerate(whole, 1):
            if not line:
                continue
            try:
                key, value = json.loads(line)
            except (json.JSONDecodeError, ValueError, TypeError):
                if number == len(whole):
                    # The last line has no end: the interruption fell into it. Without it, appending starts a new line.
                    path.write_text("\n".join(whole[:-1]) + ("\n" if whole[:-1] and whole[-2] else ""))
                    break
                msg = f"hunt: line {number} of {path} is broken; delete the file to do its experiments again"
                raise HuntError(msg) from None
            self._entries[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def add(self, key: str, value: Any) -> None:
        """Keep a result; it is on disk when this returns."""
        self._entries[key] = value
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps([key, value]) + "\n")


def digest(*parts: Any) -> str:
    """Sixteen characters that change when any of the parts does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
