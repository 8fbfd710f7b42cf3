"""Small encoder files that obey the contract, and what they compute in numpy."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from jepa_coffea.constituents.record import FIELDS, UNITS
from jepa_coffea.encoder.card import ModelCard, Provenance, write_card

PROVENANCE = Provenance(git_hash="0" * 40, config={}, seed=1, packages={"onnx": onnx.__version__}, created="2026-01-01")
SCALE = 0.01


def weights(fields: int, dim: int, classes: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "w": rng.normal(size=(fields, dim)).astype(np.float32) * SCALE,
        "v": rng.normal(size=(4, dim)).astype(np.float32) * SCALE,
        "c": rng.normal(size=(dim, classes)).astype(np.float32),
    }


def tiny_model(
    *,
    fields: tuple[str, ...] = FIELDS,
    dim: int = 8,
    classes: tuple[str, ...] = (),
    max_particles: int = 128,
    particle_embedding: bool = False,
    **card: object,
) -> onnx.ModelProto:
    """``embedding = mean over particles of tanh(particles w) * their pair mean + jets v``, ``logits = embedding c``.

    The particle embedding is tanh(particles w).
    """
    f = TensorProto.FLOAT
    w = weights(len(fields), dim, len(classes))
    tensors = [numpy_helper.from_array(value, name) for name, value in w.items() if value.size]
    tensors += [
        numpy_helper.from_array(np.array([2], np.int64), "two"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    nodes = [
        helper.make_node("Cast", ["mask"], ["m"], to=f),
        helper.make_node("Unsqueeze", ["m", "two"], ["mask3"]),
        helper.make_node("MatMul", ["particles", "w"], ["x"]),
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Mul", ["t", "mask3"], ["tokens"]),
        helper.make_node("Transpose", ["tokens"], ["tokens_t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["tokens", "tokens_t"], ["pairs"]),
        helper.make_node("MatMul", ["pairs", "tokens"], ["mixed"]),
        helper.make_node("ReduceSum", ["mixed", "one"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["mask3", "one"], ["number"], keepdims=0),
        helper.make_node("Div", ["total", "number"], ["mean"]),
        helper.make_node("MatMul", ["jets", "v"], ["shift"]),
        helper.make_node("Add", ["mean", "shift"], ["embedding"]),
    ]
    outputs = [helper.make_tensor_value_info("embedding", f, ["batch", dim])]
    if classes:
        nodes.append(helper.make_node("MatMul", ["embedding", "c"], ["logits"]))
        outputs.append(helper.make_tensor_value_info("logits", f, ["batch", len(classes)]))
    if particle_embedding:
        nodes.append(helper.make_node("Identity", ["tokens"], ["particle_embedding"]))
        outputs.append(helper.make_tensor_value_info("particle_embedding", f, ["batch", "particle", dim]))
    inputs = [
        helper.make_tensor_value_info("particles", f, ["batch", "particle", len(fields)]),
        helper.make_tensor_value_info("mask", TensorProto.BOOL, ["batch", "particle"]),
        helper.make_tensor_value_info("jets", f, ["batch", 4]),
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    content = {
        "name": "tiny",
        "objective": "none",
        "fields": fields,
        "units": {name: UNITS[name] for name in fields},
        "max_particles": max_particles,
        "embedding_dim": dim,
        "class_names": classes,
        "particle_embedding": particle_embedding,
        "training_data": "none: random weights",
        "provenance": PROVENANCE,
    }
    write_card(model, ModelCard.model_validate(content | card))
    return model


def write_tiny(path: Path, **options: object) -> Path:
    """A tiny model as a file."""
    onnx.save(tiny_model(**options), str(path))
    return path


def tiny_embedding(particles: np.ndarray, counts: np.ndarray, jets: np.ndarray, dim: int = 8) -> np.ndarray:
    """What the tiny model gives, jet by jet in double precision."""
    w = weights(particles.shape[1], dim, 0)
    out = []
    for jet, rows in zip(jets, np.split(particles.astype(float), np.cumsum(counts)[:-1]), strict=True):
        tokens = np.tanh(rows @ w["w"].astype(float))
        out.append((tokens @ tokens.T @ tokens).mean(axis=0) + jet @ w["v"] if len(rows) else np.full(dim, np.nan))
    return np.array(out).reshape(len(counts), dim)


def tiny_tokens(particles: np.ndarray, dim: int = 8) -> np.ndarray:
    """The tiny model's particle embeddings."""
    return np.tanh(particles.astype(float) @ weights(particles.shape[1], dim, 0)["w"].astype(float))


def random_jets(
    rng: np.random.Generator, counts: np.ndarray, fields: tuple[str, ...] = FIELDS
) -> tuple[np.ndarray, ...]:
    """Particles in descending pT with plausible values, counts and jets."""
    total = int(counts.sum())
    owner = np.repeat(np.arange(len(counts)), counts)
    pt = rng.exponential(10.0, total)
    pt = pt[np.lexsort((-pt, owner))]
    eta, phi = rng.normal(0, 0.3, total), rng.normal(1, 0.3, total)
    charge = rng.integers(-1, 2, total)
    values = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "energy": pt * np.cosh(eta),
        "charge": charge,
        "is_charged_hadron": charge != 0,
        "is_photon": charge == 0,
        "d0": rng.normal(0, 0.1, total) * (charge != 0),
        "d0_err": 0.02 * (charge != 0),
    }
    flat = np.stack([np.asarray(values.get(name, np.zeros(total)), np.float32) for name in fields], axis=1)
    jets = np.zeros((len(counts), 4), np.float32)
    np.add.at(jets, owner, flat[:, :4])
    return flat, counts.astype(np.int64), jets
