"""From what a user names (globs, lists, ``name: files``, weights) to open files of jets."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from rich.progress import track

from jepa_coffea.errors import BadFileError
from training.data.readers.base import JetFile, naming
from training.data.shards import DESCRIPTION, ShardFile

MANIFEST = "manifest.json"


class Source(BaseModel):
    """Some files that belong together, and how often an epoch goes through them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: str | tuple[str, ...]
    """Paths and globs."""
    weight: float = Field(default=1.0, gt=0)
    """Passes over these files per epoch: 1 is each jet once, 0.5 each jet once in two epochs, 3 thrice in each."""


Files = str | tuple[str, ...] | dict[str, str | tuple[str, ...] | Source]
"""A glob, a list of them, or names of sources with theirs."""


def named(files: Files) -> dict[str, Source]:
    """Sources by name; files given without a name are one source, ``data``."""
    if isinstance(files, str | tuple):
        return {"data": Source(files=files)}
    return {name: given if isinstance(given, Source) else Source(files=given) for name, given in files.items()}


def expand(files: str | Iterable[str]) -> list[str]:
    """Paths that the globs match, sorted within a glob, each once. A folder of shards stands for the shards in it.

    Raises
    ------
    BadFileError
        If a glob matches nothing, or a folder is not one of shards.
    """
    found: dict[str, None] = {}
    for pattern in [files] if isinstance(files, str) else files:
        matches = [pattern] if "://" in pattern else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  absolute patterns, too
        if not matches:
            msg = f"{pattern}: no such file (nothing matches)"
            raise BadFileError(msg)
        for match in matches:
            found |= dict.fromkeys(_shards_of(Path(match)) if "://" not in match else [match])
    return list(found)


def _shards_of(path: Path) -> list[str]:
    """The shards that ``path`` stands for, or just itself."""
    if path.name == MANIFEST:
        path = path.parent
    if not path.is_dir() or (path / DESCRIPTION).is_file():
        return [str(path)]
    if not (path / MANIFEST).is_file():
        msg = f"{path}: a folder without {MANIFEST}; expected files, a glob, or finished output of training/prepare.py"
        raise BadFileError(msg)
    return sorted(str(found.parent) for found in path.glob(f"[!.]*/{DESCRIPTION}"))


@dataclass(frozen=True)
class Reading:
    """How files of events are read; the same for all of a run."""

    layout: str | None = None
    """Name of a layout of ``jepa_coffea.constituents``; None finds out."""
    collection: str = "FatJet"
    """Collection of jets in files of events."""
    subjets: bool = False
    """Whether particles carry the index of their subjet."""


def open_jets(path: str, reading: Reading) -> JetFile:
    """Open a file of jets of whatever kind.

    Raises
    ------
    BadFileError
        If it is none, or damaged.
    """
    if Path(path).is_dir():
        return ShardFile(path)
    file = _open_jets(path, reading)
    if not reading.subjets:
        return file
    from training.data.readers.subjets import WithSubjets

    return WithSubjets(file)


def _open_jets(path: str, reading: Reading) -> JetFile:
    # Readers are imported when they are needed: with prepared shards a machine without them can train.
    if path.endswith(".parquet"):
        from training.data.readers.jetclass_parquet import JetClassParquet

        return JetClassParquet(path)
    from jepa_coffea.constituents import layouts
    from training.data.readers.jetclass_root import TREE, JetClassRoot
    from training.data.readers.trees import tree_name

    with naming(path):
        trees = dict.fromkeys((TREE, *(layout.tree for layout in layouts().values())))
        tree = tree_name(path, tuple(trees))
    if tree == TREE:
        return JetClassRoot(path)
    from training.data.readers.events import EventFile

    return EventFile(path, tree, reading.collection, reading.layout)


def open_all(
    paths: list[str], opener: Callable[[str], JetFile], *, skip_bad: bool, skipped: dict[str, str]
) -> list[JetFile]:
    """Open all files, a few at a time; with ``skip_bad`` those that cannot be opened go to ``skipped``.

    Raises
    ------
    BadFileError
        If a file cannot be opened and ``skip_bad`` is False, or if none is left.
    """

    def attempt(path: str) -> JetFile | BadFileError:
        try:
            return opener(path)
        except BadFileError as error:
            return error

    opened: list[JetFile] = []
    with ThreadPoolExecutor(4) as pool:
        results: Iterable[JetFile | BadFileError] = pool.map(attempt, paths)
        if len(paths) > 100:
            results = track(results, f"opening {len(paths)} files", total=len(paths), transient=True)
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, JetFile):
                opened.append(result)
            elif skip_bad:
                skipped[path] = str(result)
            else:
                raise result
    if not opened:
        msg = f"none of the {len(paths)} files can be used: {'; '.join(list(skipped.values())[:3])}"
        raise BadFileError(msg)
    return opened


def merge_classes(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """All class names, in the order in which they first appear."""
    return tuple(dict.fromkeys(name for some in names for name in some))
