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
        self.widths = _contract(self.model, self.card, str(path), *self.per_particle)

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
        return {"particles": pad(jets.particles, index, mask, buffer), "mask": mask, "jets": jets.axes[batch.jets]}


def _contract(model: OpenModel, card: ModelCard, where: str, *others: str) -> dict[str, int]:
    """The outputs to fetch and their widths, after checking that the graph is what its card says.

    ``others`` are outputs as wide as the embedding that are wanted as well.

    Raises
    ------
    ModelError
        If an input or output is missing, or of another type or size than the card says.
    """
    expected = {
        "particles": ("tensor(float)", len(card.fields)),
        "mask": ("tensor(bool)", None),
        "jets": ("tensor(float)", 4),
    }
    widths = dict.fromkeys(("embedding", *others), card.embedding_dim)
    if card.class_names:
        widths["logits"] = len(card.class_names)
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
