"""Model files on workers: sent with their content, found by their hash, on each worker before its first task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from jepa_coffea.encoder.model_files import resolve, shipped_folder
from jepa_coffea.errors import ModelError
from jepa_coffea.files import bytes_hash, file_hash, write_bytes


class ModelPlugin(WorkerPlugin):
    """Puts a model file where embedders on a worker look for it.

    Different files of one name do not replace each other: a folder is named by the hash of its file.

    Parameters
    ----------
    file
        Name of the file.
    content
        Its bytes.
    """

    idempotent = True

    def __init__(self, file: str, content: bytes) -> None:
        self.file = file
        self.content = content
        self.digest = bytes_hash(content)
        self.name = f"{shipped_folder(self.digest)}-{file}"

    def setup(self, worker: Any) -> None:
        """Write the file whole or not at all, and read it back.

        Parameters
        ----------
        worker
            The worker that starts.

        Raises
        ------
        ModelError
            If what is read is not what was sent; the worker then does not start.
        """
        path = _place(worker.local_directory, self.digest, self.file)
        write_bytes(path, self.content)
        found = file_hash(path)
        if found != self.digest:
            msg = f"{path} on worker {worker.address}: expected SHA-256 {self.digest}, got {found}; is its disk sound?"
            raise ModelError(msg)


def ship_model(client: Any, model: str | Path) -> str:
    """Put a model file on all workers of a client, present and future, and check it on those that are there.

    Needed for workers that share no file system with the client; an embedder finds the file by its hash.

    Parameters
    ----------
    client
        Of Dask.
    model
        Path of an ONNX file, or name of a shipped model.

    Returns
    -------
    str
        Its SHA-256.

    Raises
    ------
    ModelError
        If the file cannot be read, or a worker has another one after all.

    Examples
    --------
    >>> from jepa_coffea.clusters import local, ship_model
    >>> with local(1) as client:
    ...     digest = ship_model(client, "pjepa-mini-4")
    >>> len(digest)
    64
    """
    path = resolve(model)
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot read the model file ({error.strerror})"
        raise ModelError(msg) from None
    plugin = ModelPlugin(path.name, content)
    client.register_plugin(plugin)
    found = client.run(_digest_on_worker, plugin.digest, path.name)
    wrong = {worker: other for worker, other in found.items() if other != plugin.digest}
    if wrong:
        msg = f"{path.name}: expected SHA-256 {plugin.digest} on every worker, got {wrong}"
        raise ModelError(msg)
    return plugin.digest


def _place(folder: str, digest: str, file: str) -> Path:
    return Path(folder) / shipped_folder(digest) / file


def _digest_on_worker(digest: str, file: str, dask_worker: Any) -> str:
    return file_hash(_place(dask_worker.local_directory, digest, file))
