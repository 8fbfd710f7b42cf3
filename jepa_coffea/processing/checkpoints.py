"""Checkpoints of chunks that know which processor and which model made them, and hold no code."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coffea.processor import CheckpointerABC

from jepa_coffea.errors import BadFileError, JepaCoffeaError
from jepa_coffea.files import digest, quoted, read_sealed, versions, write_sealed, writing
from jepa_coffea.processing.embedded_events import PACKAGES, present
from jepa_coffea.processing.fingerprint import fingerprint
from jepa_coffea.processing.stored_output import from_bytes, to_bytes

CHUNK = ("dataset", "filename", "treename", "entrystart", "entrystop", "fileuuid", "version")
"""What coffea says of a chunk (``version``, of the schema, only once it is open); anything else is the user's."""


class NoIdentityError(JepaCoffeaError, TypeError):
    """A processor that does not say what decides its output."""


class Checkpointer(CheckpointerABC):
    """Keeps the output of every chunk, so that a run that was interrupted goes on where it stopped.

    Unlike with coffea's own, an entry is found again only by the same processor with the same configuration and model,
    only for the same file (UUID, size, time), only while the files it wrote are there; it is never half written, has a
    hash, and reading it runs no code.

    Parameters
    ----------
    folder
        Where to keep them, seen by all workers.
    processor
        Whose chunks these are; its ``identity()`` says everything that decides what it gives.

    Raises
    ------
    NoIdentityError
        If the processor has no ``identity()``.
    StorageError
        If the folder cannot be made.
    """

    def __init__(self, folder: str | Path, processor: Any) -> None:
        self.folder = Path(folder).absolute()
        self.key = identity_hash(processor)
        with writing(self.folder / self.key):  # before any work
            (self.folder / self.key).mkdir(exist_ok=True)

    def path(self, metadata: Mapping[str, Any]) -> Path:
        """The file of a chunk.

        Parameters
        ----------
        metadata
            As coffea gives it to processors.

        Returns
        -------
        pathlib.Path
        """
        user = digest({key: value for key, value in metadata.items() if key not in CHUNK})[:8]
        name = f"{metadata['entrystart']}-{metadata['entrystop']}-{user}.chunk"
        parts = (metadata["dataset"], metadata["fileuuid"], metadata["treename"])
        return self.folder.joinpath(self.key, *map(quoted, parts), name)

    def load(self, metadata: Any, processor_instance: Any) -> Any:
        """The output of a chunk.

        Parameters
        ----------
        metadata
            As coffea gives it to processors.
        processor_instance
            Whose ``output`` folder is looked at for the files that the chunk wrote.

        Returns
        -------
        dict or None
            None if the chunk has to be processed: it was not, its files are gone, or its checkpoint is damaged.
        """
        path = self.path(metadata)
        try:
            output = from_bytes(read_sealed(path))
        except FileNotFoundError:
            return None
        except BadFileError as error:
            warnings.warn(f"{error}: its chunk is processed again", stacklevel=2)
            return None
        folder = getattr(processor_instance, "output", None)
        names = {name.rpartition("/")[2] for files in output["out"].get("files", {}).values() for name in files}
        if folder is not None and names - present(folder, metadata["dataset"]):
            return None
        output["out"]["resumed"] = {metadata["dataset"]: 1}
        return output

    def save(self, output: Any, metadata: Any, processor_instance: Any) -> None:  # noqa: ARG002
        """Keep the output of a chunk; the file appears whole or not at all.

        Parameters
        ----------
        output
            Of coffea for this chunk.
        metadata
            As coffea gives it to processors.
        processor_instance
            Not used.

        Raises
        ------
        StorageError
            If the disk is full or must not be written.
        StoredOutputError
            If the output holds what cannot be kept.
        """
        write_sealed(self.path(metadata), to_bytes(output))


def identity_hash(processor: Any) -> str:
    """What decides a processor's output besides the events: code, configuration, model, versions.

    Parameters
    ----------
    processor
        With ``identity()``.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Raises
    ------
    NoIdentityError
        If it has no ``identity()``.
    """
    if not hasattr(processor, "identity"):
        msg = (
            f"{type(processor).__name__} has no identity(): a checkpoint must know the processor's configuration and "
            "model, or it would give stale results when they change. Return both from identity(), as EmbedProcessor."
        )
        raise NoIdentityError(msg)
    code = [_code(kind) for kind in type(processor).__mro__ if kind.__module__ != "builtins"]
    return digest(processor.identity(), code, versions(*PACKAGES))


def _code(kind: type) -> Any:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed at a prompt
        return {name: fingerprint(member) for name, member in vars(kind).items() if inspect.isfunction(member)}
