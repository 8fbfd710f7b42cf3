"""Finding model files: by path, by the name of a shipped model, or where Dask put them on a worker."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from jepa_coffea.encoder.card import ModelError


def shipped() -> dict[str, Path]:
    """The models that come with the package, by name."""
    folder = Path(str(resources.files("jepa_coffea"))) / "models"
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def resolve(model: str | Path) -> Path:
    """The absolute path of a model file; a name without a suffix that is no file means a shipped model.

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
        msg = f"{model}: neither a file nor a shipped model; shipped are: {', '.join(known) or 'none'}"
        raise ModelError(msg)
    return known[str(model)]


def locate(path: Path) -> Path:
    """``path``, or the file of that name in the working directory of the Dask worker that this process is.

    ``client.upload_file(path, load=False)`` puts files there, for workers that share no file system with the client.
    """
    if path.is_file() or "distributed" not in sys.modules:
        return path
    try:
        local = Path(sys.modules["distributed"].get_worker().local_directory) / path.name
    except ValueError:  # not on a worker
        return path
    return local if local.is_file() else path
