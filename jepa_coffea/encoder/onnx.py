"""OnnxEncoder: ragged jets in detector quantities in, numpy embeddings out, for files with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from jepa_coffea.encoder.batching import MicroBatch, pad
from jepa_coffea.encoder.bindings import Binding, Inputs
from jepa_coffea.encoder.card import KEY, ModelCard, ModelError
from jepa_coffea.encoder.engine import Jets
from jepa_coffea.encoder.ragged_encoder import Placement, RaggedEncoder
from jepa_coffea.encoder.session import OpenModel

PARTICLE = "particle_embedding"


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
        :class:`jepa_coffea.encoder.ragged_encoder.Placement`.

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
    >>> encoder = OnnxEncoder(resolve("pjepa-mini"), provider="cpu")
    >>> particles = np.zeros((4, len(encoder.fields)), np.float32)
    >>> for name, value in {"px": 100, "pz": 50, "energy": 112, "is_photon": 1}.items():
    ...     particles[:, encoder.fields.index(name)] = value
    >>> jets = np.array([[300, 0, 150, 336], [100, 0, 50, 112]])
    >>> encoder(particles, [3, 1], jets)["embedding"].shape
    (2, 64)
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
        self._prove()

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
