"""What ``jepa-coffea embed`` reads: the section ``embed`` of a YAML document."""

from __future__ import annotations

import glob
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from jepa_coffea import clusters
from jepa_coffea.constituents.layout import Layout
from jepa_coffea.constituents.layouts import layout_named
from jepa_coffea.documents import Section, read_document
from jepa_coffea.embedding.embedder import JEPAEmbedder
from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.processing.dijets import DijetSelection
from jepa_coffea.processing.processor import DijetEmbedder


class EmbedConfigError(JepaCoffeaError, ValueError):
    """A document that does not say what to embed."""


class ClusterConfig(Section):
    """Where to run."""

    kind: Literal["none", "local", "cuda", "slurm", "htcondor", "scheduler"] = "none"
    options: dict[str, Any] = {}
    """For the function of that name in :mod:`jepa_coffea.clusters`, such as ``{jobs: 10, gpus: 1}`` for slurm; for
    ``scheduler``, its ``address``."""


class EmbedConfig(Section):
    """The section ``embed``."""

    model: str
    """ONNX file, or the name of a shipped model."""
    files: dict[str, list[str]] = Field(min_length=1)
    """Dataset to globs or URLs of event files."""
    output: str
    """Folder for embedded events, or URL such as ``root://...``."""
    weights: dict[str, float] = {}
    """Dataset to a factor on its event weights: cross-section times luminosity over the sum of generator weights."""
    format: str = "pfnano"
    """Layout of the files: ``pfnano``, ``nanoaod``, ``delphes``, or one that an installed package brings."""
    treename: str | None = None
    """Tree in the files; default: that of their layout."""
    collection: str = "FatJet"
    selection: DijetSelection = DijetSelection()
    provider: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    chunksize: int = Field(20_000, gt=0)
    skip_bad_files: bool = False
    checkpoints: Path | None = None
    """Folder that keeps finished chunks, so that an interrupted run goes on."""
    cluster: ClusterConfig = ClusterConfig()

    @field_validator("format")
    @classmethod
    def _known_layout(cls, name: str) -> str:
        return layout_named(name).name

    @property
    def layout(self) -> Layout:
        """How the files hold their jets."""
        return layout_named(self.format)

    def fileset(self) -> dict[str, Any]:
        """The files as coffea takes them.

        Raises
        ------
        EmbedConfigError
            If a glob matches nothing, or a weight is of no dataset.
        """
        stray = sorted(set(self.weights) - set(self.files))
        if stray:
            msg = f"embed.weights: {stray} are no datasets; those are {sorted(self.files)}"
            raise EmbedConfigError(msg)
        found = {}
        for dataset, patterns in self.files.items():
            names = [name for pattern in patterns for name in _expand(dataset, pattern)]
            found[dataset] = {"files": names, "metadata": {"weight": self.weights.get(dataset, 1.0)}}
        return found

    def processor(self) -> DijetEmbedder:
        """The processor that selects, embeds and writes."""
        embedder = JEPAEmbedder(self.model, provider=self.provider)
        return DijetEmbedder(embedder, self.output, selection=self.selection, collection=self.collection)

    def connect(self, model: Path) -> Any:
        """A context with a Dask client that has the model on all workers, or with None to run in this process."""
        kind, options = self.cluster.kind, dict(self.cluster.options)
        if kind == "none":
            return nullcontext()
        if kind != "scheduler":
            return getattr(clusters, kind)(models=[model], **options)
        from distributed import Client

        client = Client(options["address"])
        clusters.ship_model(client, model)
        return client


def _expand(dataset: str, pattern: str) -> list[str]:
    if "://" in pattern:
        return [pattern]
    names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  absolute patterns
    if not names:
        msg = f"embed.files: no file of dataset {dataset!r} matches {pattern}"
        raise EmbedConfigError(msg)
    return names


def read_embed_config(path: str | Path) -> EmbedConfig:
    """Read and check the section ``embed`` of a document; relative paths in it are relative to the document.

    Raises
    ------
    EmbedConfigError
        If there is no such file or section, or keys are unknown or wrong, one line each.
    """
    path = Path(path)
    config = read_document(path, EmbedConfig, EmbedConfigError, section="embed")
    return _anchored(config, path.resolve().parent)


def _anchored(config: EmbedConfig, folder: Path) -> EmbedConfig:
    """The same with absolute paths."""
    files = {
        dataset: [pattern if "://" in pattern else str(folder / pattern) for pattern in patterns]
        for dataset, patterns in config.files.items()
    }
    model = str(folder / config.model) if Path(config.model).suffix else config.model
    return config.model_copy(
        update={
            "files": files,
            "model": model,
            "output": config.output if "://" in config.output else str(folder / config.output),
            "checkpoints": config.checkpoints and folder / config.checkpoints,
        }
    )
