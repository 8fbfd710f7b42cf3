"""Encoders: ragged jets in detector quantities in, checked and cut; numpy embeddings out, in order.

:class:`RaggedEncoder` is what all have in common, :class:`OnnxEncoder` runs files with a model card.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jepa_coffea.encoder.batching import MicroBatch, keep_hardest, pad
from jepa_coffea.encoder.card import KEY, ModelCard
from jepa_coffea.encoder.engine import (
    Binding,
    Inputs,
    Jets,
    Metrics,
    Results,
    Work,
    run,
)
from jepa_coffea.encoder.model_files import model_hash
from jepa_coffea.encoder.proof import sees_padding
from jepa_coffea.encoder.providers import Provider, choose
from jepa_coffea.encoder.session import OpenModel, Options, fixed_batch, input_types, open_model
from jepa_coffea.errors import JepaCoffeaError, ModelError

PARTICLE = "particle_embedding"


class ArrayError(JepaCoffeaError, TypeError, ValueError):
    """Arrays that are no jets: of the wrong kind of numbers, or shapes that do not belong together."""


class Placement(TypedDict, total=False):
    """Where and how a model runs; keyword arguments of every encoder."""

    provider: Provider
    """``auto`` (the default: CUDA where there is a GPU, else the CPU), ``cuda``, ``tensorrt`` or ``cpu``."""
    device_id: int
    """Which GPU; default 0."""
    threads: int | None
    """Micro-batches in flight; default 1 on a CPU (a node runs one worker a core), 2 on a GPU."""
    digest: str | None
    """SHA-256 that the file must have; default: whatever it has now."""
    cuda_graphs: bool
    """Capture a CUDA graph per padded length, which saves launch time for small models; default no."""


class RaggedEncoder(ABC):
    """An open model that takes jets of any multiplicity; all instances in a process share one session.

    Parameters
    ----------
    path
        The ONNX file.
    provider, device_id, threads, digest, cuda_graphs
        See :class:`Placement`.

    Raises
    ------
    ModelError
        If the file is missing, broken, foreign, or not the one that ``digest`` names.
    ProviderError
        If ONNX Runtime or the provider is missing or does not work.
    """

    fields: tuple[str, ...]
    """Meaning and order of the columns of the particles it is called with."""
    longest: int
    """Most particles of a jet that the model takes."""
    shortest: int = 1
    """Fewest slots that it takes."""
    widths: dict[str, int]
    """Outputs to fetch and their widths."""
    per_particle: tuple[str, ...] = ()
    """Those with one row per particle instead of one row per jet."""
    kinds: Mapping[str, str]
    """Outputs that are ``scores`` or ``logits``, and which."""

    def __init__(
        self,
        path: str | Path,
        *,
        provider: Provider = "auto",
        device_id: int = 0,
        threads: int | None = None,
        digest: str | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        options = Options(choose(provider), device_id, cuda_graphs)
        self.path = Path(path)
        self.digest = digest or model_hash(path)
        self.threads = threads
        self.model, loaded = open_model(path, self.digest, options)
        self.types = input_types(self.model, str(path))
        self.fixed = fixed_batch(self.model, str(path))
        self._counted, self._lock = Metrics(loads=int(loaded)), threading.Lock()

    @abstractmethod
    def feed(self, batch: MicroBatch, binding: Binding, jets: Jets) -> Inputs:
        """The model's inputs for a micro-batch, in the buffers of the binding.

        Parameters
        ----------
        batch
            The micro-batch.
        binding
            Where it runs.
        jets
            The chunk.

        Returns
        -------
        dict of numpy.ndarray
        """

    @property
    def precision(self) -> str:
        """Of the numbers that go in and come out; what a file without a card has inside is not known.

        Returns
        -------
        str
            ``fp32`` or ``fp16``.
        """
        kinds = [kind for kind, _ in (self.model.inputs | self.model.outputs).values()]
        return "fp16" if "tensor(float16)" in kinds else "fp32"

    @property
    def provider(self) -> str:
        """The provider in use: ``cuda``, ``tensorrt`` or ``cpu``.

        Returns
        -------
        str
        """
        return self.model.options.provider

    def metrics(self) -> dict[str, Any]:
        """What this instance did; see :class:`jepa_coffea.encoder.engine.Metrics`.

        Returns
        -------
        dict
        """
        return self._counted.as_dict() | {"provider": self.provider}

    def __call__(self, particles: ArrayLike, counts: ArrayLike, jets: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """Embed jets; the result depends on nothing but the jet itself, beyond float rounding.

        With an int8 file it depends on the other jets within the drift that its card names: activations are scaled
        batch by batch.

        Parameters
        ----------
        particles
            [sum(counts), field], all particles one jet after the other, in the order of ``fields``.
        counts
            Particles of each jet, [jet]. More than the model takes: the hardest are used.
        jets
            [jet, 4], px py pz energy in GeV.

        Returns
        -------
        dict
            ``embedding`` float32 [jet, dim] and, if the model has classes, ``logits`` float32 [jet, class]. A jet
            without particles or with a non-finite input has NaN. Outputs with one row per particle are
            [sum(counts), dim], in the order of ``particles``, NaN also for those that the model has no room for.

        Raises
        ------
        ArrayError
            If an array is not numeric, ``counts`` are not integers, or the shapes do not belong together.
        ProviderError
            If the device has no memory for a single jet.
        """
        begin = time.perf_counter()
        if self.model.pid != os.getpid():  # inherited through a fork
            self.model, loaded = open_model(self.path, self.digest, self.model.options)
            self._lock = threading.Lock()
            self._counted = Metrics(loads=int(loaded))
        flat, number, axis = _checked(particles, counts, jets, len(self.fields))
        good = _finite_jets(flat, number, axis)
        truncated = good & (number > self.longest)
        keep = None
        if truncated.any():
            keep, number = keep_hardest(self._hardness(flat), number, self.longest)
            flat = flat[keep]
        chunk = Jets(flat, np.cumsum(number) - number, np.where(good, number, 0), axis)
        results = Results(chunk, self.widths, self.per_particle)
        work = Work(
            model=self.model,
            counts=chunk.counts,
            feed=lambda batch, binding: self.feed(batch, binding, chunk),
            store=results.store,
            outputs=tuple(self.widths),
            typed=self.typed,
            fixed=self.fixed,
            metrics=self._counted,
            lock=self._lock,
        )
        run(work, longest=self.longest, shortest=self.shortest, threads=self.threads)
        if keep is not None:
            for name in self.per_particle:
                results.values[name] = _spread(results.values[name], keep)
        lost = ~np.isfinite(results.values[next(iter(self.widths))]).all(axis=1) & (number > 0)
        with self._lock:
            self._counted.add(
                jets=len(number),
                empty=int(np.count_nonzero(number == 0)),
                non_finite=int(np.count_nonzero(~good | lost)),
                truncated=int(np.count_nonzero(truncated)),
                seconds=time.perf_counter() - begin,
            )
        return results.values

    def typed(self, inputs: Inputs) -> Inputs:
        """Inputs in the types that the model takes them in.

        Parameters
        ----------
        inputs
            Name to array.

        Returns
        -------
        dict of numpy.ndarray
        """
        with np.errstate(over="ignore"):  # beyond half precision is infinite: the result is NaN, and is counted
            return {name: array.astype(self.types[name], copy=False) for name, array in inputs.items()}

    def _sees_padding(self) -> bool:
        """Whether empty slots change the result; two jets prove that and more, once for each model of a process."""
        if self.model.options.cuda_graphs:
            return False
        claim = (self.fields, tuple(self.widths.items()), tuple(self.kinds.items()), self.shortest, self.longest)
        if claim not in self.model.proven:
            self.model.proven[claim] = sees_padding(self)
        return self.model.proven[claim]

    def _hardness(self, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transverse momenta of particles, and what decides among equal ones, whatever their order: pz, then px."""
        px, py, pz = (flat[:, self.fields.index(name)] for name in ("px", "py", "pz"))
        with np.errstate(over="ignore"):
            return np.stack([np.hypot(px, py), pz, px])


def _spread(rows: NDArray[np.float32], keep: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The rows where ``keep`` is True, NaN elsewhere."""
    out = np.full((len(keep), rows.shape[1]), np.nan, dtype=np.float32)
    out[keep] = rows
    return out


def _checked(
    particles: ArrayLike, counts: ArrayLike, jets: ArrayLike, width: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """The three arrays as contiguous float32, int64, float32, or an ArrayError that names what is wrong."""
    flat, number, axis = np.asarray(particles), np.asarray(counts), np.asarray(jets)
    for name, array in (("particles", flat), ("jets", axis)):
        if array.dtype.kind not in "fiu":
            msg = f"{name}: expected real numbers, got dtype {array.dtype}"
            raise ArrayError(msg)
    if number.dtype.kind not in "iu" and number.size:
        msg = f"counts: expected integers, got dtype {number.dtype}"
        raise ArrayError(msg)
    if number.ndim != 1 or (number < 0).any():
        msg = f"counts: expected one number >= 0 per jet, got shape {number.shape}, minimum {number.min(initial=0)}"
        raise ArrayError(msg)
    if number.max(initial=0) > len(flat):
        msg = f"counts: a jet of {number.max()} particles, and particles has {len(flat)} rows altogether"
        raise ArrayError(msg)
    total = int(number.sum())
    if flat.shape != (total, width):
        msg = f"particles: expected shape (sum(counts), fields) = {(total, width)}, got {flat.shape}"
        raise ArrayError(msg)
    if axis.shape != (len(number), 4):
        msg = f"jets: expected shape (jets, 4) = {(len(number), 4)}, got {axis.shape}"
        raise ArrayError(msg)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is found and counted
        return (
            np.ascontiguousarray(flat, dtype=np.float32),
            number.astype(np.int64),
            np.ascontiguousarray(axis, dtype=np.float32),
        )


def _finite_jets(flat: NDArray[np.float32], counts: NDArray[np.int64], jets: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which jets have only finite inputs, their own four-momentum included."""
    good: NDArray[np.bool_] = np.all(np.isfinite(jets), axis=1)
    bad_rows = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    good[np.searchsorted(np.cumsum(counts), bad_rows, side="right")] = False
    return good


class OnnxEncoder(RaggedEncoder):
    """An encoder file, opened on a provider; all instances in a process share one session.

    Parameters
    ----------
    path
        ONNX file with a model card.
    particle_embedding
        Also give the embedding of every particle: ``particle_embedding``, float32 [sum(counts), dim].
    **placement
        ``provider``, ``device_id``, ``threads``, ``digest``, ``cuda_graphs``: see
        :class:`jepa_coffea.encoder.onnx.Placement`.

    Raises
    ------
    ModelError
        If the file is missing, broken, foreign, not the one that ``digest`` names, or has no particle embeddings but
        should give them.
    ProviderError
        If ONNX Runtime or the provider is missing or does not work.

    Examples
    --------
    Two jets, of three particles and of one, all of them photons:

    >>> import numpy as np
    >>> from jepa_coffea.encoder import OnnxEncoder
    >>> from jepa_coffea.encoder.model_files import resolve
    >>> encoder = OnnxEncoder(resolve("pjepa-mini-4"), provider="cpu")
    >>> particles = np.zeros((4, len(encoder.fields)), np.float32)
    >>> for name, value in {"px": 100, "pz": 50, "energy": 112, "is_photon": 1}.items():
    ...     particles[:, encoder.fields.index(name)] = value
    >>> jets = np.array([[300, 0, 150, 336], [100, 0, 50, 112]])
    >>> encoder(particles, [3, 1], jets)["embedding"].shape
    (2, 192)
    """

    def __init__(self, path: str | Path, *, particle_embedding: bool = False, **placement: Unpack[Placement]) -> None:
        super().__init__(path, **placement)
        if self.model.card is None:
            msg = f"{path}: has no {KEY!r} in its metadata; weaver exports load with JEPAEmbedder.from_weaver"
            raise ModelError(msg)
        self.card = self.model.card
        if particle_embedding and not self.card.particle_embedding:
            msg = f"{path}: has no particle embeddings; export it again with --particle-embedding"
            raise ModelError(msg)
        self.fields, self.longest = self.card.fields, self.card.max_particles
        self.per_particle = (PARTICLE,) if particle_embedding else ()
        self.widths, slots = _contract(self.model, self.card, str(path), *self.per_particle)
        if slots is not None:
            self.longest = self.shortest = slots
        self.kinds = {"logits": "logits"} if self.card.class_names else {}
        if self._sees_padding():
            msg = (
                f"{path}: what it gives for a jet changes with the empty slots beside its particles. Is the mask the "
                "right way round (true where there is a particle), and used wherever particles meet or add up?"
            )
            raise ModelError(msg)

    @property
    def precision(self) -> str:
        """Of the numbers inside, as the card says.

        Returns
        -------
        str
            ``fp32``, ``fp16`` or ``int8``.
        """
        return self.card.precision

    def feed(self, batch: MicroBatch, binding: Binding, jets: Jets) -> Inputs:
        """Particles, mask and jets of a micro-batch.

        Parameters
        ----------
        batch
            The micro-batch.
        binding
            Where it runs.
        jets
            The chunk.

        Returns
        -------
        dict of numpy.ndarray
        """
        index, mask = jets.index(batch)
        buffer = binding.buffer("particles", index.size * jets.particles.shape[1])
        inputs = {"particles": pad(jets.particles, index, mask, buffer), "mask": mask, "jets": jets.axes[batch.jets]}
        return {name: inputs[name] for name in self.types}


def _contract(model: OpenModel, card: ModelCard, where: str, *others: str) -> tuple[dict[str, int], int | None]:
    """The outputs to fetch and their widths, and a fixed number of slots, after checking the graph against its card.

    ``others`` are outputs as wide as the embedding that are wanted as well.

    Raises
    ------
    ModelError
        If an input or output is missing, or of another type or size than the card says.
    """
    numbers = ("tensor(float)", "tensor(float16)")
    inputs = {"particles": (numbers, len(card.fields)), "mask": (("tensor(bool)",), None), "jets": (numbers, 4)}
    widths = dict.fromkeys(("embedding", *others), card.embedding_dim)
    if card.class_names:
        widths["logits"] = len(card.class_names)
    found, made = model.inputs, model.outputs
    # An exporter drops an input that the network does not use; without the mask it would take padding for particles.
    if not {"particles", "mask"} <= set(found) <= set(inputs):
        msg = (
            f"{where}: expected inputs {sorted(inputs)} (without 'jets' if they are not used), found {sorted(found)}; "
            "not an encoder of this project. `jepa-coffea wrap` makes one of another encoder"
        )
        raise ModelError(msg)
    lacking = sorted(set(widths) - set(made))
    if lacking:
        msg = f"{where}: its card promises the output {lacking[0]!r}, found {sorted(made)}"
        raise ModelError(msg)
    for name, (kinds, width) in (inputs | {name: (numbers, width) for name, width in widths.items()}).items():
        if name not in found | made:
            continue
        kind, shape = (found | made)[name]
        last = shape[-1] if shape else None
        if kind not in kinds or (width is not None and isinstance(last, int) and last != width):
            msg = f"{where}: {name!r}: expected {kinds[0]} with last axis {width}, found {kind} {shape}"
            raise ModelError(msg)
    slots = {found[name][1][1] for name in ("particles", "mask") if isinstance(found[name][1][1], int)}
    if len(slots) > 1:
        msg = f"{where}: its particles and its mask have different fixed numbers of slots, {sorted(slots)}"
        raise ModelError(msg)
    return widths, next(iter(slots), None)
