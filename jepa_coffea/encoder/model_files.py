"""Finding model files: by path, by the name of a shipped model, or where Dask put them on a worker; their hash."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from jepa_coffea.errors import ModelError, did_you_mean
from jepa_coffea.files import file_hash


def shipped() -> dict[str, Path]:
    """The models that come with the package, by name.

    Returns
    -------
    dict of Path
    """
    folder = Path(str(resources.files("jepa_coffea"))) / "models"
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def resolve(model: str | Path) -> Path:
    """The absolute path of a model file; a name without a suffix that is no file means a shipped model.

    Parameters
    ----------
    model
        Path of an ONNX file, or name of a shipped model.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If there is none.
    """
    path = Path(model)
    if path.is_file():
        return path.absolute()
    if path.suffix:
        msg = f"{model}: no such model file"
        raise ModelError(msg)
    known = shipped()
    if str(model) not in known:
        msg = f"{model}: neither a file nor a shipped model; {did_you_mean(str(model), known)}"
        raise ModelError(msg)
    return known[str(model)]


def shipped_folder(digest: str) -> str:
    """Name of the folder, below the local directory of a Dask worker, of the model file with a hash.

    Parameters
    ----------
    digest
        SHA-256 of the file.

    Returns
    -------
    str
    """
    return f"jepa-coffea-{digest[:32]}"


def locate(path: Path, digest: str = "") -> Path:
    """Where a model file is in this process.

    Parameters
    ----------
    path
        Where it is on the client.
    digest
        Its SHA-256; two files of one name are told apart by it.

    Returns
    -------
    Path
        What :func:`jepa_coffea.clusters.ship_model` put on the Dask worker that this process is, else ``path`` where
        there is such a file, else the file of that name in the worker's directory, where
        ``client.upload_file(path, load=False)`` puts it, else ``path``.
    """
    if "distributed" not in sys.modules:
        return path
    try:
        local = Path(sys.modules["distributed"].get_worker().local_directory)
    except ValueError:  # not on a worker
        return path
    sent = local / shipped_folder(digest) / path.name
    if digest and sent.is_file():
        return sent
    if path.is_file():
        return path
    return local / path.name if (local / path.name).is_file() else path


def model_hash(path: str | Path) -> str:
    """SHA-256 of a model file, hexadecimal.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    str

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        return file_hash(path)
    except OSError as error:
        msg = f"{path}: cannot read the model file ({error.strerror})"
        raise ModelError(msg) from None
