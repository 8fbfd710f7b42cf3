"""JEPAEmbedder: events in, jets with embeddings and scores out, in every mode that NanoEvents has.

What a model takes and returns is known from its file alone (:class:`Interface`), which is enough for typetracers and
empty chunks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.layout import Layout, find_layout, layout_named
from jepa_coffea.constituents.ragged import JetArrays, Ragged, arrays_of
from jepa_coffea.constituents.read import as_given, ragged_of
from jepa_coffea.constituents.record import SUBJET, LayoutError
from jepa_coffea.embedding.interface import Interface, WeaverFiles, card_interface, weaver_interface
from jepa_coffea.encoder.engine import Metrics
from jepa_coffea.encoder.model_files import locate, model_hash, resolve
from jepa_coffea.encoder.onnx import OnnxEncoder, RaggedEncoder
from jepa_coffea.encoder.outputs import Kind, softmax
from jepa_coffea.encoder.providers import Provider, require_known
from jepa_coffea.encoder.weaver import WeaverEncoder
from jepa_coffea.encoder.weaver_inputs import parse_preprocess, renamed
from jepa_coffea.errors import ModelError

_opening = threading.Lock()


def _renew_lock() -> None:
    # Another thread of the parent may have held it at the moment of the fork.
    global _opening
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


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
    With ``events`` from ``NanoEventsFactory``, and one of the models that the package ships:

    >>> from jepa_coffea import JEPAEmbedder
    >>> embedder = JEPAEmbedder("pjepa-mini-4", provider="cpu")
    >>> events["FatJet"] = embedder(events)
    >>> print(events.FatJet.jepa_embedding.type)
    60 * var * 192 * float32
    >>> embedder.metrics()["truncated"]  # jets with more particles than the model takes
    0
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
        self._weaver: WeaverFiles | None = None
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
        require_known(options.get("provider", "auto"))
        self.path = resolve(model)
        self.digest = model_hash(self.path)
        self.prefix = prefix
        # By value: workers know the layouts of installed packages only, not those of a notebook.
        self.layout = layout_named(layout) if isinstance(layout, str) else layout
        self._options = options
        self._encoder: RaggedEncoder | None = None
        # Known from now on: neither an empty chunk nor a worker opens the file for it.
        if self._weaver is None:
            self.interface = card_interface(self.path, self.digest)
        else:
            self.interface = weaver_interface(self.path, self.digest, self._weaver)

    @classmethod
    def from_weaver(
        cls,
        model: str | Path,
        preprocess: str | Path,
        *,
        outputs: Mapping[str, Kind] | None = None,
        rename: Mapping[str, str] | None = None,
        **options: Any,
    ) -> JEPAEmbedder:
        """An embedder for a model that weaver-core exported to ONNX, such as ParT, ParticleNet or Sophon.

        Its classes become ``<prefix>_score_<class>``, an embedding ``<prefix>_embedding``, a regression
        ``<prefix>_<output>``.

        Parameters
        ----------
        model
            The ONNX file.
        preprocess
            The preprocess.json that weaver wrote beside it. weaver does not write down how it padded: an input that
            was wrapped needs ``"pad_mode": "wrap"`` added to its entry.
        outputs
            What the outputs are, by their names in the graph: ``scores`` (probabilities), ``logits``, ``regression`` or
            ``embedding``; others are left alone. Needed unless every output is made by a softmax, or called
            ``embedding`` or ``logits``.
        rename
            Names of variables in preprocess.json to those of JetClass with the same meaning and units (GeV, mm):
            ``{"pfcand_pt_log": "part_pt_log"}``.
        **options
            As for :class:`JEPAEmbedder`.

        Returns
        -------
        JEPAEmbedder

        Raises
        ------
        ModelError
            If a file is missing or broken, they do not belong together, or a variable is not known.
        """
        embedder = cls.__new__(cls)
        text = _read_text(preprocess)
        if rename:
            text = renamed(text, rename, str(preprocess))
        embedder._weaver = WeaverFiles(text, None if outputs is None else tuple(outputs.items()))
        embedder._set(model, **options)
        return embedder

    def __repr__(self) -> str:
        model = self.interface
        gives = [f"{model.embedding_dim} numbers per jet"] if model.embedding_dim else []
        gives += [f"scores of {len(model.class_names)} classes"] if model.class_names else []
        gives += [f"scale {model.scale}"] if model.scale else []
        provider = self._encoder.provider if self._encoder is not None else self._options.get("provider", "auto")
        return f"<JEPAEmbedder {model.name}: {', '.join(gives)}, provider {provider}>"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_encoder": None}

    def metrics(self) -> dict[str, Any]:
        """What this object did since it was made or unpickled.

        Jets, micro-batches, particles, padding, seconds, loads (sessions that it opened; others were found open), and
        so on as in :class:`jepa_coffea.encoder.engine.Metrics`, and the provider in use (None before the first jet).
        All numbers add up over chunks and workers.

        Returns
        -------
        dict
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
            with one jet per entry the entries themselves are the jets.
        collection
            Name of the jet collection.
        jets
            A selection of its jets, ``events.FatJet[mask]``; default: all. Corrected or varied momenta (JES, JER,
            JMS) do not change the embedding: the model gets the four-momentum that the file has, to which the
            constituents belong. For an embedding that varies, vary the constituents. Jets that were assigned into the
            events, ``events["FatJet"] = corrected``, are those of the file for all that can be known: embed first,
            or leave the events as they are and give ``jets=corrected``.
        prefix
            Of the new fields, instead of the embedder's.

        Returns
        -------
        ak.Array
            The jets, nested as they were.

        Raises
        ------
        LayoutError
            If the events have no constituents, or not the fields that the model needs.
        ModelError, ProviderError
            If the model cannot run here.
        """
        if not hasattr(events, "fields"):
            msg = f"events: expected the array that NanoEventsFactory gives, got {type(events).__name__}"
            raise LayoutError(msg)
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

        Parameters
        ----------
        events, collection, jets
            As for calling the embedder; not for dask arrays.

        Returns
        -------
        dict of ak.Array
        """
        table = self.inputs(events, collection=collection, jets=jets)
        rows = self.embed(table)
        nested = {name: table.nesting.nest(ak.from_numpy(row, regulararray=True)) for name, row in rows.items()}
        return {name: as_given(column, events) for name, column in nested.items()}

    def inputs(self, events: ak.Array, *, collection: str = "FatJet", jets: ak.Array | None = None) -> Ragged:
        """What the model is given: jets and their constituents, as flat columns of the fields that it takes.

        Parameters
        ----------
        events, collection, jets
            As for calling the embedder; not for dask arrays.

        Returns
        -------
        Ragged

        Raises
        ------
        LayoutError
            If the events have no constituents, or not the fields that the model needs.
        """
        form = find_layout(events, self.layout)
        fields = fields_to_read(self.interface, form, self.path.name)
        return ragged_of(events, collection, jets=jets, layout=form, fields=fields)

    def embed(self, jets: Ragged) -> dict[str, NDArray[np.float32]]:
        """Embeddings and scores of jets given as flat columns.

        Parameters
        ----------
        jets
            As :meth:`inputs` gives them; fields that they lack are 0 for the model.

        Returns
        -------
        dict of numpy.ndarray
            ``embedding`` [jet, dim], ``score_<class>`` [jet] for each class of the model, and regressions by their
            name; float32.

        Raises
        ------
        ModelError, ProviderError
            If the model cannot run here.
        """
        interface = self.interface
        arrays = arrays_of(jets, interface.fields)
        outputs = self._run(arrays) if len(arrays.counts) else empty_outputs(interface)
        return named(outputs, interface)

    def _attach(self, events: ak.Array, jets: ak.Array | None, collection: str, prefix: str) -> ak.Array:
        columns = self.columns(events, collection=collection, jets=jets)
        if jets is None and find_layout(events, self.layout).single:
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
        with _opening:  # threads that come at once share one encoder, so that all of their jets are counted
            if self._encoder is None:
                self._encoder = self._open()
        return self._encoder(*arrays)

    def _open(self) -> RaggedEncoder:
        path = locate(self.path, self.digest)
        if self._weaver is None:
            return OnnxEncoder(path, digest=self.digest, **self._options)
        preprocess = parse_preprocess(self._weaver.preprocess, str(path))
        stated = None if self._weaver.outputs is None else dict(self._weaver.outputs)
        return WeaverEncoder(path, preprocess, stated, digest=self.digest, **self._options)


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise ModelError(msg) from None


def empty_outputs(interface: Interface) -> dict[str, NDArray[np.float32]]:
    """Outputs of a model for no jets.

    Parameters
    ----------
    interface
        Of the model.

    Returns
    -------
    dict of numpy.ndarray
        ``embedding`` [0, dim] and ``scores`` [0, class].
    """
    widths = {"embedding": interface.embedding_dim or 0, "scores": len(interface.class_names)}
    widths |= dict(interface.regressions)
    return {name: np.zeros((0, width), dtype=np.float32) for name, width in widths.items()}


def named(outputs: Mapping[str, NDArray[np.float32]], interface: Interface) -> dict[str, NDArray[np.float32]]:
    """Outputs of a model as columns: ``embedding`` [jet, dim], ``score_<class>`` [jet], and regressions by their name.

    Parameters
    ----------
    outputs
        ``embedding`` [jet, dim], and ``scores`` or ``logits`` [jet, class].
    interface
        Of the model.

    Returns
    -------
    dict of numpy.ndarray
    """
    columns = {} if interface.embedding_dim is None else {"embedding": outputs["embedding"]}
    if interface.class_names:
        scores = outputs["scores"] if "scores" in outputs else softmax(outputs["logits"])
        columns |= {f"score_{name}": scores[:, i] for i, name in enumerate(interface.class_names)}
    for name, width in interface.regressions:
        columns[name] = outputs[name][:, 0] if width == 1 else outputs[name]
    return columns


def fields_to_read(interface: Interface, layout: Layout, file: str) -> list[str]:
    """All fields that the model in ``file`` needs, less those that it may do without and the layout lacks.

    Parameters
    ----------
    interface
        Of the model.
    layout
        Of the events.
    file
        Name of the model file, for errors.

    Returns
    -------
    list of str

    Raises
    ------
    LayoutError
        If the layout lacks one that the model cannot do without.
    """
    lacking = [name for name in interface.fields if name not in (*layout.fields, SUBJET)]
    needed = [name for name in lacking if name not in interface.optional_fields]
    if needed:
        msg = (
            f"layout {layout.name!r} cannot give {needed}, which the model {interface.name!r} ({file}) "
            f"needs; it may only do without {list(interface.optional_fields)}"
        )
        raise LayoutError(msg)
    return [name for name in interface.fields if name not in lacking]
