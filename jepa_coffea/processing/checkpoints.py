"""Checkpoints of chunks that know which processor and which model made them."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import pickle
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import lz4.frame
from coffea.processor import CheckpointerABC

from jepa_coffea.processing.embedded_events import present, versions

CHUNK = ("dataset", "filename", "treename", "entrystart", "entrystop", "fileuuid", "version")
"""What coffea says of a chunk (``version``, of the schema, only once it is open); anything else is the user's."""


class Checkpointer(CheckpointerABC):
    """Keeps the output of every chunk, so that a run that was interrupted goes on where it stopped.

    Unlike coffea's own, an entry is found again only by the same processor with the same configuration and model, only
    while the files it wrote are there, and is never half written.

    Parameters
    ----------
    folder
        Where to keep them, seen by all workers. Read it only from where you trust: entries are pickles.
    processor
        Whose chunks these are; its ``identity()`` says everything that decides what it gives.

    Raises
    ------
    TypeError
        If the processor has no ``identity()``.
    """

    def __init__(self, folder: str | Path, processor: Any) -> None:
        self.folder = Path(folder).absolute()
        self.key = identity_hash(processor)

    def path(self, metadata: Mapping[str, Any]) -> Path:
        """The file of a chunk."""
        given = {key: value for key, value in metadata.items() if key not in CHUNK}
        user = hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()[:8]
        name = f"{metadata['entrystart']}-{metadata['entrystop']}-{user}.lz4"
        return self.folder / self.key / metadata["dataset"] / metadata["fileuuid"] / metadata["treename"] / name

    def load(self, metadata: Any, processor_instance: Any) -> Any:
        """The output of a chunk, or None if it has to be processed."""
        path = self.path(metadata)
        try:
            output = pickle.loads(lz4.frame.decompress(path.read_bytes()))
        except FileNotFoundError:
            return None
        folder = getattr(processor_instance, "output", None)
        names = {name.rpartition("/")[2] for files in output["out"].get("files", {}).values() for name in files}
        if folder is not None and names - present(folder, metadata["dataset"]):
            return None
        output["out"]["resumed"] = {metadata["dataset"]: 1}
        return output

    def save(self, output: Any, metadata: Any, processor_instance: Any) -> None:  # noqa: ARG002
        """Keep the output of a chunk; the file appears whole or not at all."""
        path = self.path(metadata)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with partial.open("wb") as file:
                file.write(lz4.frame.compress(cloudpickle.dumps(output)))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def identity_hash(processor: Any) -> str:
    """Short hash of what decides a processor's output besides the events: code, configuration, model, versions."""
    if not hasattr(processor, "identity"):
        msg = (
            f"{type(processor).__name__} has no identity(): a checkpoint must know the processor's configuration and "
            "model, or it would give stale results when they change. Return both from identity(), as EmbedProcessor."
        )
        raise TypeError(msg)
    code = [inspect.getsource(kind) for kind in type(processor).__mro__ if kind.__module__ != "builtins"]
    text = json.dumps([processor.identity(), code, versions()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
