"""OnnxEncoder: ragged jets in detector quantities in, numpy embeddings out, for files with a model card."""

from __future__ import annotations

from pathlib import Path

from jepa_coffea.encoder.batching import MicroBatch, gather_index, pad
from jepa_coffea.encoder.card import KEY, ModelError
from jepa_coffea.encoder.lanes import Inputs, Lane
from jepa_coffea.encoder.providers import Provider, choose
from jepa_coffea.encoder.ragged import Jets, RaggedEncoder
from jepa_coffea.encoder.session import Model, Options, file_hash, open_model


class OnnxEncoder(RaggedEncoder):
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
        model, loaded = open_model(path, self.digest, options)
        if model.card is None:
            msg = f"{path}: has no {KEY!r} in its metadata; weaver exports load with JEPAEmbedder.from_weaver"
            raise ModelError(msg)
        self.card = card = model.card
        super().__init__(
            model,
            fields=card.fields,
            longest=card.max_particles,
            shortest=1,
            widths=contract(model, card.fields, card.embedding_dim, len(card.class_names), str(path)),
            threads=threads,
            loaded=loaded,
        )

    def feed(self, batch: MicroBatch, lane: Lane, jets: Jets) -> Inputs:
        """Particles, mask and jets of a micro-batch."""
        index, mask = gather_index(jets.starts[batch.jets], jets.counts[batch.jets], batch.length)
        buffer = lane.buffer("particles", index.size * jets.particles.shape[1])
        return {"particles": pad(jets.particles, index, mask, buffer), "mask": mask, "jets": jets.axes[batch.jets]}


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
