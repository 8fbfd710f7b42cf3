"""What ``jepa-coffea embed`` reads: the section ``embed`` of a YAML document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from jepa_coffea.clusters.registry import ClusterConfig
from jepa_coffea.constituents.layout import Layout, known, layout_named
from jepa_coffea.documents import Energy, LocalPath, Location, Section, anchored, read_document
from jepa_coffea.embedding.embedder import JEPAEmbedder
from jepa_coffea.errors import JepaCoffeaError, did_you_mean
from jepa_coffea.files import find_files
from jepa_coffea.processing.dijets import DijetSelection
from jepa_coffea.processing.processor import DijetEmbedder


class EmbedConfigError(JepaCoffeaError, ValueError):
    """A document that does not say what to embed."""


def _model(text: str, info: ValidationInfo) -> str:
    """A path belongs to the document; a name without a suffix is that of a shipped model."""
    return anchored(text, (info.context or {}).get("folder")) if Path(text).suffix or "/" in text else text


def _several(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


class EmbedConfig(Section):
    """The section ``embed``."""

    model: Annotated[str, AfterValidator(_model)]
    """ONNX file, or the name of a shipped model."""
    files: dict[str, Annotated[list[Location], BeforeValidator(_several), Field(min_length=1)]] = Field(min_length=1)
    """Dataset to a glob or URL of event files, or several."""
    output: Location
    """Folder for embedded events, or URL such as ``root://...``."""
    weights: dict[str, float] = {}
    """Dataset to a factor on its event weights: cross-section times luminosity over the sum of generator weights."""
    sqrt_s: Energy | None = None
    """Centre-of-mass energy of the collisions, GeV; written into the files, so that a hunt need not be told."""
    format: str = "pfnano"
    """Layout of the files: ``pfnano``, ``nanoaod``, ``delphes``, or one that an installed package brings. Events need
    ``run``, ``luminosityBlock`` and ``event``, which Delphes does not write by itself."""
    treename: str | None = None
    """Tree in the files; default: that of their layout."""
    collection: str = "FatJet"
    """Jets to embed; for AK4 jets ``Jet``."""
    selection: DijetSelection = DijetSelection()
    provider: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    """Hardware of the model; ``auto``: CUDA where it works, else the CPU."""
    chunksize: int = Field(20_000, gt=0)
    """Events that a worker has in memory at a time; 50 000 for a GPU."""
    skipbadfiles: bool = False
    """Go on without files that cannot be read, and list them; coffea's name for it."""
    checkpoints: LocalPath | None = None
    """Folder that keeps finished chunks, so that an interrupted run goes on."""
    cluster: ClusterConfig = ClusterConfig()

    @field_validator("format")
    @classmethod
    def _known_layout(cls, name: str) -> str:
        if name not in known():
            msg = f"no layout {name!r}; {did_you_mean(name, known())}"
            raise ValueError(msg)
        return name

    @property
    def layout(self) -> Layout:
        """How the files hold their jets.

        Returns
        -------
        Layout
        """
        return layout_named(self.format)

    def fileset(self) -> dict[str, Any]:
        """The files as coffea takes them.

        Returns
        -------
        dict
            Dataset to ``files`` and ``metadata``, which has the weight.

        Raises
        ------
        EmbedConfigError
            If a weight is of no dataset, or a file is given with its tree.
        BadFileError
            If a glob matches nothing.
        """
        stray = sorted(set(self.weights) - set(self.files))
        if stray:
            msg = f"embed.weights: no dataset {stray[0]!r}; {did_you_mean(stray[0], self.files)}"
            raise EmbedConfigError(msg)
        found = {}
        for dataset, patterns in self.files.items():
            where = f"embed.files of dataset {dataset!r}"
            named = [pattern for pattern in patterns if Path(pattern.rpartition(":")[0]).is_file()]
            if named and not Path(named[0]).exists():
                file, _, tree = named[0].rpartition(":")
                msg = f"{where}: no such file {named[0]}; {file} is one, and its tree is named apart: treename: {tree}"
                raise EmbedConfigError(msg)
            names = find_files(patterns, where)
            found[dataset] = {"files": names, "metadata": {"weight": self.weights.get(dataset, 1.0)}}
        return found

    def processor(self) -> DijetEmbedder:
        """The processor that selects, embeds and writes.

        Returns
        -------
        DijetEmbedder
        """
        embedder = JEPAEmbedder(self.model, provider=self.provider)
        return DijetEmbedder(
            embedder, self.output, selection=self.selection, collection=self.collection, sqrt_s=self.sqrt_s
        )


def read_embed_config(path: str | Path) -> EmbedConfig:
    """Read and check the section ``embed`` of a document.

    Parameters
    ----------
    path
        Of the document; relative paths in it are relative to it.

    Returns
    -------
    EmbedConfig

    Raises
    ------
    EmbedConfigError
        If there is no such file or section, or keys are unknown or wrong, one line each.
    """
    return read_document(Path(path), EmbedConfig, EmbedConfigError, section="embed")
