"""Code blocks of the README and of the documentation, as they stand there.

A comment right above a block says what a test may do with it besides running it:

``<!-- only checked: it needs a cluster -->``
    Python is compiled and its imports are done; commands are parsed, as all commands are.
``<!-- run -->``
    Commands are executed, not only parsed.

A block ``text`` right below Python that ran is what it prints; ``...`` there stands for anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+|~~~+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"<!--\s*(?P<text>[^>]*?)\s*-->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A code block."""

    page: Path
    line: int
    language: str
    code: str
    note: str
    """The comment right above it."""
    directly: bool
    """Whether only blank lines stand between it and the block before."""

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in order."""
    text = page.read_text()
    found = []
    end = None
    for match in FENCE.finditer(text):
        above = text[: match.start()].rstrip()
        note = COMMENT.search(above)
        directly = end is not None and not text[end : match.start()].strip()
        indent = len(match["indent"])
        body = "\n".join(line[indent:] for line in match["body"].split("\n"))
        found.append(
            Block(
                page,
                text.count("\n", 0, match.start()) + 2,
                match["info"].strip(),
                body,
                note["text"] if note else "",
                directly,
            )
        )
        end = match.end()
    return found


def pages(root: Path) -> list[Path]:
    """The README, the pages of the site, and the notes beside models and examples."""
    own = [path for path in (root / "docs").rglob("*.md") if not {"generated", "_build"} & set(path.parts)]
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted(own)]
