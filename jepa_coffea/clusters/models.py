"""Model files on workers: sent by value, checked by hash, there before the first task, on late joiners as well."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from jepa_coffea.encoder.card import ModelError
from jepa_coffea.encoder.session import file_hash


class ModelPlugin(WorkerPlugin):
    """Puts a model file into the local directory of every worker, where embedders look for it.

    Parameters
    ----------
    path
        The file on the client.
    """

    idempotent = True

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self.content = path.read_bytes()
        self.digest = hashlib.sha256(self.content).hexdigest()
        self.name = f"jepa-coffea-{self.file}"

    def setup(self, worker: Any) -> None:
        """Write the file whole or not at all, and read it back.

        Raises
        ------
        ModelError
            If what is read is not what was sent; the worker then does not start.
        """
        path = Path(worker.local_directory) / self.file
        partial = path.with_name(f".{self.file}.part")
        partial.write_bytes(self.content)
        partial.replace(path)
        found = file_hash(path)
        if found != self.digest:
            msg = f"{path} on worker {worker.address}: expected SHA-256 {self.digest}, got {found}; is its disk full?"
            raise ModelError(msg)


def ship_model(client: Any, path: str | Path) -> str:
    """Put a model file on all workers of a client, present and future, and check it on those that are there.

    Needed for workers that share no file system with the client; an embedder finds the file by its name.

    Returns
    -------
    str
        Its SHA-256.

    Raises
    ------
    ModelError
        If the file cannot be read, or a worker has another one after all.
    """
    path = Path(path)
    digest = file_hash(path)
    client.register_plugin(ModelPlugin(path))
    found = client.run(_digest_on_worker, path.name)
    wrong = {worker: other for worker, other in found.items() if other != digest}
    if wrong:
        msg = f"{path.name}: expected SHA-256 {digest} on every worker, got {wrong}"
        raise ModelError(msg)
    return digest


def _digest_on_worker(name: str, dask_worker: Any) -> str:
    return file_hash(os.path.join(dask_worker.local_directory, name))  # noqa: PTH118
