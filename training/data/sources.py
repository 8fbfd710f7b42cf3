"""From what a user names (globs, lists, ``name: files``, weights) to open files of jets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from rich.progress import track

from jepa_coffea.errors import BadFileError
from jepa_coffea.files import digest, find_files, unsealed_document
from training.data.checksums import of_samples
from training.data.readers.base import EmptyFileError, JetFile, naming
from training.data.shards import DESCRIPTION, ShardFile, describe_shard

MANIFEST = "manifest.json"


class JetSource(BaseModel):
    """Some files that belong together, and how often an epoch goes through them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: str | tuple[str, ...]
    """Paths and globs."""
    weight: float = Field(default=1.0, gt=0)
    """Passes over these files per epoch: 1 is each jet once, 0.5 each jet once in two epochs, 3 thrice in each."""


Files = str | tuple[str, ...] | dict[str, str | tuple[str, ...] | JetSource]
"""A glob, a list of them, or names of sources with theirs."""


def named(files: Files) -> dict[str, JetSource]:
    """Sources by name.

    Parameters
    ----------
    files
        What a configuration says; without a name they are one source, ``data``.

    Returns
    -------
    dict
    """
    if isinstance(files, str | tuple):
        return {"data": JetSource(files=files)}
    return {name: given if isinstance(given, JetSource) else JetSource(files=given) for name, given in files.items()}


def expand(files: str | Iterable[str]) -> list[str]:
    """Paths of files, each once.

    Parameters
    ----------
    files
        Globs; a folder of shards, or its manifest, stands for the shards in it.

    Returns
    -------
    list of str
        Sorted within a glob.

    Raises
    ------
    BadFileError
        If a glob matches nothing, or a folder is not one of shards.
    """
    found: dict[str, None] = {}
    for pattern in [files] if isinstance(files, str) else files:
        for match in find_files(pattern, "jets"):
            found |= dict.fromkeys(_shards_of(Path(match)) if "://" not in match else [match])
    return list(found)


def missing(files: Files) -> str | None:
    """What is not on this machine of some files.

    Parameters
    ----------
    files
        What a configuration says.

    Returns
    -------
    str or None
        The problem; None when all are here.
    """
    try:
        for source in named(files).values():
            expand(source.files)
    except BadFileError as error:
        return str(error)
    return None


def _shards_of(path: Path) -> list[str]:
    """The shards that ``path`` stands for, or just itself."""
    if path.name == MANIFEST:
        path = path.parent
    if not path.is_dir() or (path / DESCRIPTION).is_file():
        return [str(path)]
    if not (path / MANIFEST).is_file():
        msg = f"{path}: a folder without {MANIFEST}; expected files, a glob, or finished output of training/prepare.py"
        raise BadFileError(msg)
    with naming(str(path / MANIFEST)):
        names = sorted(unsealed_document((path / MANIFEST).read_bytes(), path / MANIFEST)["shards"])
    lost = [name for name in names if not (path / name / DESCRIPTION).is_file()]
    if lost:
        msg = f"{path}: {MANIFEST} names {lost[0]}, which is not there; run training/prepare.py again"
        raise BadFileError(msg)
    return [str(path / name) for name in names]


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

    Parameters
    ----------
    path
        The file, or the folder of a shard.
    reading
        How files of events are read.

    Returns
    -------
    JetFile

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
    """Open all files, a few at a time.

    Parameters
    ----------
    paths
        Files, or folders of shards.
    opener
        Opens one.
    skip_bad
        Whether files that cannot be opened, and copies of others, are left out; empty files always are.
    skipped
        Gets what is left out, with the reason.

    Returns
    -------
    list of JetFile
        In the order of ``paths``.

    Raises
    ------
    BadFileError
        If a file cannot be opened or is a copy of another and ``skip_bad`` is False, or if none is left.
    """

    def _attempt(path: str) -> JetFile | BadFileError:
        try:
            return opener(path)
        except BadFileError as error:
            return error

    opened: list[JetFile] = []
    with ThreadPoolExecutor(4) as pool:
        results: Iterable[JetFile | BadFileError] = pool.map(_attempt, paths)
        if len(paths) > 100:
            results = track(results, f"opening {len(paths)} files", total=len(paths), transient=True)
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, JetFile):
                opened.append(result)
            elif skip_bad or isinstance(result, EmptyFileError):
                skipped[path] = str(result)
            else:
                raise result
    opened = _without_copies(opened, skip_bad=skip_bad, skipped=skipped)
    if not opened:
        msg = f"none of the {len(paths)} files can be used: {'; '.join(list(skipped.values())[:3])}"
        raise BadFileError(msg)
    return opened


def _without_copies(files: list[JetFile], *, skip_bad: bool, skipped: dict[str, str]) -> list[JetFile]:
    """Files that hold other jets than those before them: a copy would count its jets twice."""
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda file: fingerprint(file.path), files))
    first: dict[str, JetFile] = {}
    for file, content in zip(files, contents, strict=True):
        same = first.setdefault(content, file)
        if same is file:
            continue
        msg = f"{file.path}: has the same jets as {same.path}; a copy would count them twice, leave one of them out"
        if not skip_bad:
            raise BadFileError(msg)
        skipped[file.path] = msg
    return list(first.values())


def fingerprint(path: str) -> str:
    """Identity of the jets of a file, found without reading all of it.

    Parameters
    ----------
    path
        File, or folder of a shard.

    Returns
    -------
    str
        Of a shard, from its checksums. Of a file, from its size and stretches of it: header and footer, where ROOT and
        parquet keep unique identifiers, times and sizes, and some between. Of a URL, its text.
    """
    if "://" in path:
        return path
    if Path(path).is_dir():
        shard = describe_shard(Path(path))
        return digest(shard.jets, shard.checksums)
    with naming(path):
        return of_samples(Path(path))


def merge_classes(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """All class names, in the order in which they first appear.

    Parameters
    ----------
    names
        Those of each file.

    Returns
    -------
    tuple of str
    """
    return tuple(dict.fromkeys(name for some in names for name in some))
