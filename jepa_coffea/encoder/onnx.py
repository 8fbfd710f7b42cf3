"""OnnxEncoder: ragged jets in detector quantities in, numpy embeddings out, for files with a model card."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jepa_coffea.encoder.batching import MicroBatch, gather_index, keep_hardest, pad
from jepa_coffea.encoder.card import KEY, ModelError
from jepa_coffea.encoder.engine import Metrics, run
from jepa_coffea.encoder.lanes import Lane
from jepa_coffea.encoder.providers import Provider, choose
from jepa_coffea.encoder.session import Model, Options, file_hash, open_model


class OnnxEncoder:
    """An encoder file, opened on a provider; all instances in a process share one session.

    Parameters
    ----------
    path
        ONNX file with a model card.
    provider
        ``auto`` (CUDA where there is a GPU, else the CPU), ``cuda``, ``tensorrt`` or ``cpu``.
    device_id
        Which GPU.
    threads
        Micro-batches in flight; default 1 on a CPU (a node runs one worker a core), 2 on a GPU.
    digest
        SHA-256 that the file must have; default: whatever it has now.
    cuda_graphs
        Capture a CUDA graph per padded length, which saves launch time for small models.

    Raises
    ------
    ModelError
        If the file is missing, broken, foreign, or not the one that ``digest`` names.
    ProviderError
        If ONNX Runtime or the provider is missing or does not work.
    """

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
        self.digest = digest or file_hash(path)
        self.threads = threads
        self.model, loaded = open_model(path, self.digest, options)
        if self.model.card is None:
            msg = f"{path}: has no {KEY!r} in its metadata; weaver exports load with JEPAEmbedder.from_weaver"
            raise ModelError(msg)
        self.card = self.model.card
        self._widths = contract(
            self.model, self.card.fields, self.card.embedding_dim, len(self.card.class_names), str(path)
        )
        self._counted = Metrics(loads=int(loaded))

    @property
    def provider(self) -> str:
        """The provider in use: ``cuda``, ``tensorrt`` or ``cpu``."""
        return self.model.options.provider

    def metrics(self) -> dict[str, Any]:
        """What this instance did; see :class:`jepa_coffea.encoder.engine.Metrics`."""
        return self._counted.as_dict() | {"provider": self.provider}

    def __call__(self, particles: ArrayLike, counts: ArrayLike, jets: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """Embed jets; the result depends on nothing but the jet itself, beyond float rounding.

        Parameters
        ----------
        particles
            [sum(counts), field], all particles one jet after the other, in the order of ``card.fields``.
        counts
            Particles of each jet, [jet]. More than ``card.max_particles``: the hardest are used.
        jets
            [jet, 4], px py pz energy in GeV.

        Returns
        -------
        dict
            ``embedding`` float32 [jet, dim] and, if the model has classes, ``logits`` float32 [jet, class]. A jet
            without particles or with a non-finite input has NaN.

        Raises
        ------
        TypeError
            If an array is not numeric, or ``counts`` not integer.
        ValueError
            If the shapes do not belong together.
        ProviderError
            If the device has no memory for a single jet.
        """
        begin = time.perf_counter()
        flat, number, axis = checked(particles, counts, jets, len(self.card.fields))
        good = finite_jets(flat, number, axis)
        usable = np.where(good, number, 0)
        starts = np.cumsum(number) - number
        truncated = usable > self.card.max_particles
        if truncated.any():
            keep, number = keep_hardest(self._hardness(flat), number, self.card.max_particles)
            flat = flat[keep]
            starts = np.cumsum(number) - number
            usable = np.where(good, number, 0)

        def feed(batch: MicroBatch, lane: Lane) -> dict[str, NDArray[np.generic]]:
            index, mask = gather_index(starts[batch.jets], usable[batch.jets], batch.length)
            buffer = lane.buffer("particles", index.size * flat.shape[1])
            return {"particles": pad(flat, index, mask, buffer), "mask": mask, "jets": axis[batch.jets]}

        longest = self.card.max_particles
        out = run(self.model, feed, usable, self._widths, longest=longest, threads=self.threads, metrics=self._counted)
        self._counted.add(
            jets=len(number),
            empty=int(np.count_nonzero(number == 0)),
            non_finite=int(np.count_nonzero(~good)),
            truncated=int(np.count_nonzero(truncated)),
            seconds=time.perf_counter() - begin,
        )
        return out

    def _hardness(self, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transverse momentum of each particle."""
        px, py = (flat[:, self.card.fields.index(name)] for name in ("px", "py"))
        return np.hypot(px, py)


def contract(model: Model, fields: tuple[str, ...], dim: int, classes: int, where: str) -> dict[str, int]:
    """The outputs to fetch and their widths, after checking that the graph is what its card says.

    Raises
    ------
    ModelError
        If an input or output is missing, or of another type or size than the card says.
    """
    expected = {
        "particles": ("tensor(float)", len(fields)),
        "mask": ("tensor(bool)", None),
        "jets": ("tensor(float)", 4),
    }
    widths = {"embedding": dim} | ({"logits": classes} if classes else {})
    found = model.inputs
    if set(found) != set(expected):
        msg = f"{where}: expected inputs {sorted(expected)}, found {sorted(found)}; not an encoder of this project"
        raise ModelError(msg)
    outputs = model.outputs
    for name, (kind, width) in (expected | {name: ("tensor(float)", width) for name, width in widths.items()}).items():
        if name not in found | outputs:
            msg = f"{where}: its card promises the output {name!r}, found {sorted(outputs)}"
            raise ModelError(msg)
        got_kind, shape = (found | outputs)[name]
        last = shape[-1] if shape else None
        if got_kind != kind or (width is not None and isinstance(last, int) and last != width):
            msg = f"{where}: {name!r}: expected {kind} with last axis {width}, found {got_kind} {shape}"
            raise ModelError(msg)
    return widths


def checked(
    particles: ArrayLike, counts: ArrayLike, jets: ArrayLike, width: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """The three arrays as contiguous float32, int64, float32, or a TypeError or ValueError that names what is wrong."""
    flat, number, axis = np.asarray(particles), np.asarray(counts), np.asarray(jets)
    for name, array in (("particles", flat), ("jets", axis)):
        if array.dtype.kind not in "fiu":
            msg = f"{name}: expected real numbers, got dtype {array.dtype}"
            raise TypeError(msg)
    if number.dtype.kind not in "iu" and number.size:
        msg = f"counts: expected integers, got dtype {number.dtype}"
        raise TypeError(msg)
    if number.ndim != 1 or (number < 0).any():
        msg = f"counts: expected one number >= 0 per jet, got shape {number.shape}, minimum {number.min(initial=0)}"
        raise ValueError(msg)
    total = int(number.sum())
    if flat.shape != (total, width):
        msg = f"particles: expected shape (sum(counts), fields) = {(total, width)}, got {flat.shape}"
        raise ValueError(msg)
    if axis.shape != (len(number), 4):
        msg = f"jets: expected shape (jets, 4) = {(len(number), 4)}, got {axis.shape}"
        raise ValueError(msg)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is found and counted
        return (
            np.ascontiguousarray(flat, dtype=np.float32),
            number.astype(np.int64),
            np.ascontiguousarray(axis, dtype=np.float32),
        )


def finite_jets(flat: NDArray[np.float32], counts: NDArray[np.int64], jets: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which jets have only finite inputs, their own four-momentum included."""
    good: NDArray[np.bool_] = np.all(np.isfinite(jets), axis=1)
    bad_rows = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    good[np.searchsorted(np.cumsum(counts), bad_rows, side="right")] = False
    return good
