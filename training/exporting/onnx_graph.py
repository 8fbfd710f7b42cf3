"""An encoder as an ONNX graph, and the checks that it does what the PyTorch module does."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jepa_coffea.encoder.card import Parity, Reference
from jepa_coffea.errors import JepaCoffeaError
from training.exporting.inference_form import InferenceEncoder
from training.models.encoder import Encoder
from training.models.encoders import AnyEncoder
from training.models.preprocess import FIELDS, SUBJET
from training.models.synthetic import synthetic_jets

OPSET = 20  # the first with a Gelu of its own

INPUTS = {"particles": ("batch", "particle", "field"), "mask": ("batch", "particle"), "jets": ("batch", "component")}
OUTPUTS = {
    "embedding": ("batch", "dim"),
    "logits": ("batch", "class"),
    "particle_embedding": ("batch", "particle", "dim"),
}

PARITY_BATCHES = ((5, 1, 16, 3), (31, 48, 2), (64,), (7, 7, 0, 9, 1), (128, 90), ())
"""Multiplicities of the jets of the batches that parity is measured on; the last batch is empty."""

REFERENCE_COUNTS = (40, 7, 1, 24)
"""Multiplicities of the reference jets in the card."""


class ExportError(JepaCoffeaError, ValueError):
    """An encoder that cannot be exported, or a file that does not do what the encoder does."""


class Exported(nn.Module):
    """The function that the file computes.

    Parameters
    ----------
    encoder
        What gives the embedding.
    head
        From what the encoder gives to logits [batch, class]; None for a file without classes.
    particle_embedding
        Whether an embedding of each particle is an output, too.
    """

    def __init__(
        self, encoder: AnyEncoder | InferenceEncoder, head: nn.Module | None, *, particle_embedding: bool
    ) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.names = ["embedding"]
        if head is not None:
            self.names.append("logits")
        if particle_embedding:
            self.names.append("particle_embedding")

    def forward(self, particles: Tensor, mask: Tensor, jets: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the file, in the order of ``names``.

        Parameters
        ----------
        particles
            Fields of each particle, float32 [B, N, field]; 0 where there is none.
        mask
            Which particles there are, bool [B, N].
        jets
            Four-momenta of the jets (px, py, pz, energy in GeV), float32 [B, 4].

        Returns
        -------
        tuple of Tensor
            Embedding [B, D]; logits [B, class] and particle embeddings [B, N, D] where the file has them.
        """
        encoded = self.encoder(particles, mask, jets)
        outputs = [encoded.jet]
        if self.head is not None:
            outputs.append(self.head(encoded))
        if "particle_embedding" in self.names:
            outputs.append(torch.where(mask.unsqueeze(-1), encoded.tokens, 0.0))
        return tuple(outputs)


def example_jets(
    counts: Sequence[int], fields: tuple[str, ...], *, seed: int = 0, width: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Made-up jets with the fields of a model.

    Parameters
    ----------
    counts
        Number of particles of each jet.
    fields
        What the model needs of a particle.
    seed
        Of the random numbers.
    width
        Padded length N; the largest count if None.

    Returns
    -------
    tuple of Tensor
        Particles float32 [B, N, field], mask bool [B, N], jets float32 [B, 4].
    """
    particles, mask, jets = synthetic_jets(counts, seed=seed, width=width, subjets=True)
    columns = [(*FIELDS, SUBJET).index(field) for field in fields]
    return particles[..., columns], mask, jets


def to_onnx(module: Exported, fields: tuple[str, ...]) -> onnx.ModelProto:
    """The module as an ONNX graph with dynamic batch and particle axes, without anything that names this machine.

    Parameters
    ----------
    module
        What the file shall compute, on the CPU and in evaluation mode.
    fields
        What the encoder needs of a particle.

    Returns
    -------
    onnx.ModelProto
        Opset 20, no external data, no metadata.
    """
    inputs = example_jets([5, 3, 4], fields)
    if isinstance(module.encoder, Encoder):
        each = "particle_embedding" in module.names
        module = Exported(InferenceEncoder(module.encoder), module.head, particle_embedding=each).eval()
    batch, particle = torch.export.Dim("batch"), torch.export.Dim("particle")
    # Operators of torchvision, which the exporter would translate too, are no loss.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns of its own internals: axes that it names and then merges, a class it has deprecated itself.
        warnings.filterwarnings("ignore", message=".*axis name.*will not be used", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*treespec", category=FutureWarning)
        program = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=module.names,
            dynamic_shapes={"particles": {0: batch, 1: particle}, "mask": {0: batch, 1: particle}, "jets": {0: batch}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip(model)
    for values, axes in ((model.graph.input, INPUTS), (model.graph.output, OUTPUTS)):
        for value in values:
            for dim, axis in zip(value.type.tensor_type.shape.dim, axes[value.name], strict=True):
                if axis in ("batch", "particle"):
                    dim.dim_param = axis
    onnx.checker.check_model(model)
    return model


def _strip(model: onnx.ModelProto) -> None:
    """Remove source paths, stack traces and intermediate shapes, which no runtime needs."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    model.doc_string = model.graph.doc_string = ""
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""


class Session:
    """ONNX Runtime on the CPU, called with the tensors that the module is called with.

    Parameters
    ----------
    model
        What to run.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, inputs: tuple[Tensor, ...]) -> dict[str, NDArray[np.float32]]:
        feed = dict(zip(INPUTS, (tensor.numpy() for tensor in inputs), strict=True))
        return dict(zip(self.names, self.session.run(None, feed), strict=True))


@torch.no_grad()
def measure_parity(model: onnx.ModelProto, module: Exported, max_particles: int) -> Parity:
    """How far a file is from the module: largest ``|onnx - torch| / max |torch|`` of any output.

    Parameters
    ----------
    model
        The file.
    module
        What it was exported from.
    max_particles
        Most particles of a jet.

    Returns
    -------
    Parity
        Over several batch sizes and lengths, one batch empty.

    Raises
    ------
    ExportError
        If an output has another shape.
    """
    session, fields = Session(model), module.encoder.config.fields
    worst, jets = 0.0, 0
    for seed, counts in enumerate(PARITY_BATCHES):
        counts = tuple(min(count, max_particles) for count in counts)
        inputs = example_jets(counts, fields, seed=seed, width=None if counts else 4)
        got, expected = session(inputs), dict(zip(module.names, module(*inputs), strict=True))
        for name, values in expected.items():
            if got[name].shape != values.shape:
                msg = f"output {name}: the file gives shape {got[name].shape}, the module {tuple(values.shape)}"
                raise ExportError(msg)
            if values.numel():
                worst = max(worst, float(np.abs(got[name] - values.numpy()).max() / values.abs().max()))
        jets += len(counts)
    return Parity(max_relative=worst, jets=jets)


def reference_jets(model: onnx.ModelProto, *, fields: tuple[str, ...], max_particles: int) -> Reference:
    """Jets of several lengths and what the file itself gives for them.

    Parameters
    ----------
    model
        The file.
    fields
        What it needs of a particle.
    max_particles
        Most particles of a jet.

    Returns
    -------
    Reference
        For the card, from which any machine can check that the file still does what it did.
    """
    counts = [min(count, max_particles) for count in REFERENCE_COUNTS]
    particles, mask, jets = example_jets(counts, fields, seed=len(PARITY_BATCHES))
    outputs = Session(model)((particles, mask, jets))
    return Reference(
        counts=counts,
        particles=particles[mask].tolist(),
        jets=jets.tolist(),
        outputs={name: values.tolist() for name, values in outputs.items() if name != "particle_embedding"},
    )
