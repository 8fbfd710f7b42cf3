"""From a trained encoder to the one ONNX file: preprocessing and encoder as a graph, the card in its metadata.

python training/export.py runs/a --output encoder.onnx
"""

from __future__ import annotations

import subprocess
import warnings
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jepa_coffea.constituents.record import UNITS
from jepa_coffea.encoder.card import ModelCard, Parity, Provenance, Reference, write_card
from training.models.encoder import Encoder
from training.models.flops import encoder_macs
from training.models.synthetic import synthetic_jets

OPSET = 20  # the first with a Gelu of its own

INPUTS = {"particles": ("batch", "particle", "field"), "mask": ("batch", "particle"), "jets": ("batch", "component")}
OUTPUTS = {
    "embedding": ("batch", "dim"),
    "logits": ("batch", "class"),
    "particle_embedding": ("batch", "particle", "dim"),
}

TOLERANCE = 1e-4
"""Largest relative difference between file and module that an export in fp32 may show."""

PARITY_BATCHES = ((5, 1, 16, 3), (31, 48, 2), (64,), (7, 7, 0, 9, 1), (128, 90), ())
"""Multiplicities of the jets of the batches that parity is measured on; the last batch is empty."""

REFERENCE_COUNTS = (40, 7, 1, 24)
"""Multiplicities of the reference jets in the card."""


class ExportError(ValueError):
    """An encoder that cannot be exported, or a file that does not do what the encoder does."""


class _Exported(nn.Module):
    """The function that the file computes."""

    def __init__(self, encoder: Encoder, head: nn.Module | None, *, particle_embedding: bool) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.names = ["embedding"]
        if head is not None:
            self.names.append("logits")
        if particle_embedding:
            self.names.append("particle_embedding")

    def forward(self, particles: Tensor, mask: Tensor, jets: Tensor) -> tuple[Tensor, ...]:
        encoded = self.encoder(particles, mask, jets)
        outputs = [encoded.jet]
        if self.head is not None:
            outputs.append(self.head(encoded))
        if "particle_embedding" in self.names:
            outputs.append(torch.where(mask.unsqueeze(-1), encoded.tokens, 0.0))
        return tuple(outputs)


def export_encoder(
    encoder: Encoder,
    path: str | Path,
    *,
    name: str,
    objective: str,
    training_data: str,
    provenance: Provenance,
    head: nn.Module | None = None,
    class_names: tuple[str, ...] = (),
    optional_fields: tuple[str, ...] = (),
    particle_embedding: bool = False,
    results: dict[str, Any] | None = None,
) -> ModelCard:
    """Write ``encoder`` (and ``head``, from its :class:`Encoded` to logits) to the ONNX file ``path``.

    The file is checked against the module before it is kept.

    Raises
    ------
    ExportError
        If the file's outputs differ from the module's by more than ``TOLERANCE``, or class names lack a head.
    """
    if (head is None) == bool(class_names):
        msg = (
            f"class_names: got {list(class_names)} with head {head}; a head needs names for its classes and vice versa"
        )
        raise ExportError(msg)
    path = Path(path)
    config = encoder.config
    module = _Exported(encoder, head, particle_embedding=particle_embedding).cpu().float().eval()
    model = to_onnx(module, fields=len(config.fields))
    parity = measure_parity(model, module, config.max_particles)
    if parity.max_relative > TOLERANCE:
        got = f"{parity.max_relative:.1e}"
        msg = f"{path}: differs from the PyTorch module by {got}, allowed {TOLERANCE:.0e}; not written"
        raise ExportError(msg)
    card = ModelCard(
        name=name,
        objective=objective,
        fields=config.fields,
        optional_fields=optional_fields,
        units={field: UNITS[field] for field in config.fields},
        max_particles=config.max_particles,
        embedding_dim=config.dim,
        class_names=class_names,
        particle_embedding=particle_embedding,
        scaled_to_jet_pt=config.scale_to_jet_pt,
        macs_per_jet={n: encoder_macs(config, n) for n in (16, 32, 64, 128) if n <= config.max_particles},
        training_data=training_data,
        provenance=provenance,
        parity=parity,
        reference=reference_jets(model, fields=len(config.fields), max_particles=config.max_particles),
        results=results or {},
    )
    write_card(model, card)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return card


def to_onnx(module: _Exported, *, fields: int) -> onnx.ModelProto:
    """The module as an ONNX graph with dynamic batch and particle axes, without anything that names this machine."""
    particles, mask, jets = synthetic_jets([5, 3, 4])
    batch, particle = torch.export.Dim("batch"), torch.export.Dim("particle")
    with warnings.catch_warnings():
        # The exporter warns of its own internals: axes that it names and then merges, a class it has deprecated itself.
        warnings.filterwarnings("ignore", message=".*axis name.*will not be used", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*treespec", category=FutureWarning)
        program = torch.onnx.export(
            module,
            (particles[..., :fields], mask, jets),
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
    strip(model)
    for values, axes in ((model.graph.input, INPUTS), (model.graph.output, OUTPUTS)):
        for value in values:
            for dim, axis in zip(value.type.tensor_type.shape.dim, axes[value.name], strict=True):
                if axis in ("batch", "particle"):
                    dim.dim_param = axis
    onnx.checker.check_model(model)
    return model


def strip(model: onnx.ModelProto) -> None:
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


def run(model: onnx.ModelProto, inputs: tuple[Tensor, Tensor, Tensor]) -> dict[str, NDArray[np.float32]]:
    """Outputs of ``model`` by name, by onnxruntime on the CPU."""
    return Session(model)(inputs)


class Session:
    """onnxruntime on the CPU, called with the tensors that the module is called with."""

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
def measure_parity(model: onnx.ModelProto, module: _Exported, max_particles: int) -> Parity:
    """Largest ``|onnx - torch| / max |torch|`` of any output over several batch sizes and lengths, one batch empty."""
    session, fields = Session(model), len(module.encoder.config.fields)
    worst, jets = 0.0, 0
    for seed, counts in enumerate(PARITY_BATCHES):
        counts = tuple(min(count, max_particles) for count in counts)
        particles, mask, axis = synthetic_jets(counts, seed=seed, width=None if counts else 4)
        inputs = (particles[..., :fields], mask, axis)
        got, expected = session(inputs), dict(zip(module.names, module(*inputs), strict=True))
        for name, values in expected.items():
            if got[name].shape != values.shape:
                msg = f"output {name}: the file gives shape {got[name].shape}, the module {tuple(values.shape)}"
                raise ExportError(msg)
            if values.numel():
                worst = max(worst, float(np.abs(got[name] - values.numpy()).max() / values.abs().max()))
        jets += len(counts)
    return Parity(max_relative=worst, jets=jets)


def reference_jets(model: onnx.ModelProto, *, fields: int, max_particles: int) -> Reference:
    """Jets of several lengths and what the file itself gives for them."""
    counts = [min(count, max_particles) for count in REFERENCE_COUNTS]
    particles, mask, jets = synthetic_jets(counts, seed=len(PARITY_BATCHES))
    particles = particles[..., :fields]
    outputs = run(model, (particles, mask, jets))
    return Reference(
        counts=counts,
        particles=particles[mask].tolist(),
        jets=jets.tolist(),
        outputs={name: values.tolist() for name, values in outputs.items() if name != "particle_embedding"},
    )


def provenance(config: dict[str, Any], seed: int) -> Provenance:
    """What there is to know of this moment: the commit of the checkout, package versions, the date."""
    root = Path(__file__).parent
    try:
        describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        commit = subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        commit = "unknown"
    packages = {
        package: metadata.version(package) for package in ("torch", "onnx", "onnxruntime", "onnxscript", "numpy")
    }
    return Provenance(
        git_hash=commit,
        config=config,
        seed=seed,
        packages=packages,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
