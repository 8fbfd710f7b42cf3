"""JEPAEmbedder: events in, jets with embeddings and scores out, in every mode that NanoEvents has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents import constituents_of, jets_of
from jepa_coffea.constituents.layout import Layout, find_layout
from jepa_coffea.constituents.record import LayoutError
from jepa_coffea.embedding.arrays import JetArrays, arrays_of
from jepa_coffea.embedding.shape import Shape
from jepa_coffea.embedding.signature import (
    Interface,
    card_interface,
    empty_outputs,
    fields_to_read,
    named,
    weaver_interface,
)
from jepa_coffea.encoder.card import ModelError
from jepa_coffea.encoder.metrics import Metrics
from jepa_coffea.encoder.model_files import locate, resolve
from jepa_coffea.encoder.onnx import OnnxEncoder
from jepa_coffea.encoder.providers import Provider
from jepa_coffea.encoder.ragged import RaggedEncoder
from jepa_coffea.encoder.session import file_hash
from jepa_coffea.encoder.weaver import WeaverEncoder
from jepa_coffea.encoder.weaver_inputs import parse_preprocess


class JEPAEmbedder:
    """Attaches a model's embedding and class scores to jets.

    Holds a path, a hash and options: it pickles small, opens nothing until there are jets, and shares one session a
    process with every other embedder of the same model, however often a processor is unpickled.

    Parameters
    ----------
    model
        Path of an ONNX file with a model card, or the name of a model that the package ships.
    provider, device_id, threads, cuda_graphs
        As for :class:`jepa_coffea.encoder.OnnxEncoder`.
    prefix
        Of the new fields: ``<prefix>_embedding`` (``var * dim * float32``) and ``<prefix>_score_<class>``.
    layout
        How the events hold constituents; default: recognised from their fields.

    Raises
    ------
    ModelError
        If the model file is missing, broken or foreign.

    Examples
    --------
    >>> embedder = JEPAEmbedder("encoder.onnx")
    >>> events["FatJet"] = embedder(events)
    >>> events.FatJet.jepa_embedding
    """

    def __init__(
        self,
        model: str | Path,
        *,
        provider: Provider = "auto",
        device_id: int = 0,
        threads: int | None = None,
        cuda_graphs: bool = False,
        prefix: str = "jepa",
        layout: str | Layout | None = None,
    ) -> None:
        self._weaver: str | None = None
        self._set(
            model,
            provider=provider,
            device_id=device_id,
            threads=threads,
            cuda_graphs=cuda_graphs,
            prefix=prefix,
            layout=layout,
        )

    def _set(
        self, model: str | Path, *, prefix: str = "jepa", layout: str | Layout | None = None, **options: Any
    ) -> None:
        self.path = resolve(model)
        self.digest = file_hash(self.path)
        self.prefix = prefix
        self.layout = layout
        self._options = options
        self._encoder: RaggedEncoder | None = None
        self._interface()

    @classmethod
    def from_weaver(cls, model: str | Path, preprocess: str | Path, **options: Any) -> JEPAEmbedder:
        """An embedder for a model that weaver-core exported to ONNX, such as ParT, ParticleNet or Sophon.

        Its classes become ``<prefix>_score_<class>``, a second output ``<prefix>_embedding``.

        Parameters
        ----------
        model
            The ONNX file.
        preprocess
            The preprocess.json that weaver wrote beside it. weaver does not write down how it padded: an input that
            was wrapped needs ``"pad_mode": "wrap"`` added to its entry.
        options
            As for :class:`JEPAEmbedder`.

        Raises
        ------
        ModelError
            If a file is missing or broken, they do not belong together, or a variable is not known.
        """
        embedder = cls.__new__(cls)
        embedder._weaver = read_text(preprocess)
        embedder._set(model, **options)
        return embedder

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_encoder": None}

    def metrics(self) -> dict[str, Any]:
        """What this object did since it was made or unpickled.

        Jets, micro-batches, particles, padding, seconds, loads (sessions that it opened; others were found open), and
        so on as in :class:`jepa_coffea.encoder.metrics.Metrics`, and the provider in use (None before the first jet).
        All numbers add up over chunks and workers.
        """
        if self._encoder is None:
            return Metrics().as_dict() | {"provider": None}
        return self._encoder.metrics()

    def __call__(
        self, events: ak.Array, *, collection: str = "FatJet", jets: ak.Array | None = None, prefix: str | None = None
    ) -> ak.Array:
        """The jets of ``collection``, or ``jets``, with the new fields.

        Parameters
        ----------
        events
            NanoEvents (eager, virtual, dask), or plain awkward records with the fields of a known layout. For files
            with one jet an entry the entries themselves are the jets.
        collection
            Name of the jet collection.
        jets
            A selection of its jets, ``events.FatJet[mask]``; default: all.
        prefix
            Of the new fields, instead of the embedder's.

        Raises
        ------
        LayoutError
            If the events have no constituents, or not the fields that the model needs.
        ModelError, ProviderError
            If the model cannot run here.
        """
        if type(events).__module__.startswith("dask_awkward"):
            return self._lazily(events, collection, jets, prefix)
        return self._attach(events, jets, collection, prefix or self.prefix)

    def _lazily(self, events: Any, collection: str, jets: Any, prefix: str | None) -> Any:
        import dask_awkward

        return dask_awkward.map_partitions(
            self._attach, events, jets, collection, prefix or self.prefix, label="jepa-embed"
        )

    def columns(
        self, events: ak.Array, *, collection: str = "FatJet", jets: ak.Array | None = None
    ) -> dict[str, ak.Array]:
        """The new columns alone, by name (``embedding``, ``score_<class>``), nested as the jets are.

        Parameters and errors as for calling the embedder; not for dask arrays.
        """
        return self.embed(*self.inputs(events, collection=collection, jets=jets))

    def inputs(
        self, events: ak.Array, *, collection: str = "FatJet", jets: ak.Array | None = None
    ) -> tuple[ak.Array, ak.Array]:
        """What the model is given: constituents (the fields that it takes) and four-momenta, nested as the jets are.

        Parameters and errors as for calling the embedder; not for dask arrays.
        """
        form = find_layout(events, self.layout)
        fields = fields_to_read(self._interface(), form, self.path.name)
        particles = constituents_of(events, collection, jets=jets, layout=form, fields=fields)
        return particles, jets_of(events, collection, jets=jets, layout=form)

    def embed(self, particles: ak.Array, momenta: ak.Array) -> dict[str, ak.Array]:
        """Columns of jets given by their constituents and four-momenta, as :meth:`inputs` gives them.

        Parameters
        ----------
        particles
            ``... * jets * particles`` of canonical records; fields that they lack are 0 for the model.
        momenta
            ``... * jets`` of records ``px py pz energy`` in GeV.

        Raises
        ------
        ModelError, ProviderError
            If the model cannot run here.
        """
        interface = self._interface()
        lazy = ak.backend(particles) == "typetracer"
        if lazy:
            particles, momenta = (ak.typetracer.length_zero_if_typetracer(array) for array in (particles, momenta))
        shape = Shape(particles)
        arrays = arrays_of(shape.flat(particles), shape.flat(momenta), interface.fields)
        outputs = self._run(arrays) if len(arrays.counts) else empty_outputs(interface)
        columns = {name: shape.restore(column) for name, column in named(outputs, interface).items()}
        if not lazy:
            return columns
        return {name: ak.Array(column.layout.to_typetracer(forget_length=True)) for name, column in columns.items()}

    def _attach(self, events: ak.Array, jets: ak.Array | None, collection: str, prefix: str) -> ak.Array:
        columns = self.columns(events, collection=collection, jets=jets)
        if jets is None and find_layout(events, self.layout).depth == 2:
            jets = events
        elif jets is None and collection in events.fields:
            jets = events[collection]
        elif jets is None:
            msg = f"the events have no record {collection!r} to attach fields to; use embedder.columns(events)"
            raise LayoutError(msg)
        for name, column in columns.items():
            jets = ak.with_field(jets, column, f"{prefix}_{name}")
        return jets

    def _run(self, arrays: JetArrays) -> dict[str, NDArray[np.float32]]:
        if self._encoder is None:
            self._encoder = self._open()
        return self._encoder(*arrays)

    def _open(self) -> RaggedEncoder:
        path = locate(self.path, self.digest)
        if self._weaver is None:
            return OnnxEncoder(path, digest=self.digest, **self._options)
        return WeaverEncoder(path, parse_preprocess(self._weaver, str(path)), digest=self.digest, **self._options)

    def _interface(self) -> Interface:
        if self._weaver is None:
            return card_interface(locate(self.path, self.digest), self.digest)
        return weaver_interface(locate(self.path, self.digest), self.digest, self._weaver)


def read_text(path: str | Path) -> str:
    """Content of a text file.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise ModelError(msg) from None
