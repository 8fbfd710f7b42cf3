"""The check of a model when it is opened: two small jets, run together, one by one, and with more empty slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jepa_coffea.constituents.record import FIELDS, KINEMATICS
from jepa_coffea.encoder.batching import MicroBatch
from jepa_coffea.encoder.card import TOLERANCE
from jepa_coffea.encoder.engine import Jets, Outputs, binding_for, filled_up, out_of_memory, require_rows
from jepa_coffea.encoder.session import AGAIN
from jepa_coffea.errors import ModelError

if TYPE_CHECKING:
    from jepa_coffea.encoder.onnx import RaggedEncoder

COUNTS = (3, 2)
"""Particles of the two jets."""

ROUNDING = 1e-3
"""How far probabilities may be from 0, 1, and from a sum of 1."""


def sees_padding(encoder: RaggedEncoder) -> bool:
    """Run two jets through a model, and tell whether empty slots change what it gives for a jet.

    A graph may have fixed sizes inside although it declares dynamic axes, and its outputs may be of another kind than
    was stated.

    Parameters
    ----------
    encoder
        The open model, with its contract.

    Returns
    -------
    bool
        Whether a jet gives other numbers with more empty slots.

    Raises
    ------
    ModelError
        If it does not run, does not give one row of the expected width for each jet, or gives other numbers for a jet
        beside another one; if its scores are no probabilities, or its logits are probabilities.
    """
    counts = np.minimum(COUNTS, encoder.longest)
    particles, axes = plausible_jets(encoder.fields, counts)
    # No column is 0, which would hide what is done with it.
    others = [place for place, name in enumerate(encoder.fields) if name not in KINEMATICS]
    particles[:, others] = np.random.default_rng(1).uniform(0.1, 1, (len(particles), len(others)))
    jets = Jets(particles, np.cumsum(counts) - counts, counts, axes)
    short = max(int(counts.max()), encoder.shortest)
    precision = encoder.precision
    together = _run(encoder, jets, np.arange(2)[: encoder.fixed], short)
    _require_kinds(together, encoder.kinds, str(encoder.path))
    if precision == "int8":  # activations are scaled batch by batch
        return False
    last = np.arange(2)[: encoder.fixed][-1:]
    alone = _run(encoder, jets, last, short)
    odd = _differ({name: values[last] for name, values in together.items()}, alone, max(2e-2, TOLERANCE[precision]))
    if odd:
        msg = (
            f"{encoder.path}: {odd[0]!r} of a jet depends on the other jets of its batch (a batch normalisation in "
            "training mode, or a softmax over the wrong axis?): expected a row that is the jet's own; export it again "
            "in evaluation mode"
        )
        raise ModelError(msg)
    longer = min(2 * short, encoder.longest)
    return longer > short and bool(_differ(alone, _run(encoder, jets, last, longer), TOLERANCE[precision]))


def _run(encoder: RaggedEncoder, jets: Jets, which: NDArray[np.intp], length: int) -> Outputs:
    """Rows of some of the jets, padded to a length; outputs with rows of particles have those of the slots filled."""
    binding = binding_for(encoder.model)
    batch = MicroBatch(which, length)
    inputs = encoder.feed(batch, binding, jets)
    if encoder.fixed:
        inputs = filled_up(inputs, encoder.fixed)
    inputs = encoder.typed(inputs)
    try:
        outputs = binding.run(inputs, tuple(encoder.widths), shrink=False)
    except Exception as error:
        if out_of_memory(error):
            raise
        why = " ".join(str(error).split())
        msg = f"{encoder.path}: does not run with {len(which)} jets ({why}); was it frozen? {AGAIN}"
        raise ModelError(msg) from None
    encoder.model.idle.append(binding)
    require_rows(outputs, encoder.fixed or len(which), str(encoder.path))
    for name, width in encoder.widths.items():
        shape, slots = outputs[name].shape, length if name in encoder.per_particle else 1
        if outputs[name].size != shape[0] * slots * width:
            msg = f"{encoder.path}: {name!r}: expected {width} numbers a {'slot' if slots > 1 else 'jet'}, got {shape}"
            raise ModelError(msg)
    filled = int(jets.counts[which].min())
    return {
        name: values[: len(which), :filled] if name in encoder.per_particle else values[: len(which)]
        for name, values in outputs.items()
    }


def _differ(one: Outputs, other: Outputs, tolerance: float) -> list[str]:
    """Names of outputs that differ by more than a fraction of their largest value."""
    names = []
    for name, values in one.items():
        scale = np.abs(values[np.isfinite(values)]).max(initial=0)
        if not np.allclose(values, other[name], rtol=0, atol=tolerance * scale, equal_nan=True):
            names.append(name)
    return names


def _require_kinds(outputs: Outputs, kinds: Mapping[str, str], where: str) -> None:
    for name, values in outputs.items():
        finite = values[np.isfinite(values).all(axis=-1)]
        inside = bool(((finite > -ROUNDING) & (finite < 1 + ROUNDING)).all())
        if kinds.get(name) == "scores" and not inside:
            found = f"{finite.min():.3g} to {finite.max():.3g}"
            msg = f"{where}: {name!r} is said to be scores, probabilities of 0 to 1, and gives {found}; is it 'logits'?"
            raise ModelError(msg)
        one = bool(len(finite)) and bool((np.abs(finite.sum(axis=-1) - 1) < ROUNDING).all())
        if kinds.get(name) == "logits" and inside and one and finite.shape[-1] > 1:
            msg = (
                f"{where}: {name!r} is said to be logits, and gives probabilities (not negative, sum 1) of which "
                "another softmax would make nearly equal scores; it is 'scores'"
            )
            raise ModelError(msg)


def plausible_jets(
    fields: tuple[str, ...], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Jets of charged hadrons and photons about an axis, always the same.

    Parameters
    ----------
    fields
        Columns of the particles.
    counts
        Particles of each jet.

    Returns
    -------
    tuple of numpy.ndarray
        Particles [sum(counts), field], and px py pz energy of the jets, [jet, 4]; float32, GeV and mm.
    """
    rng = np.random.default_rng(0)
    jet = np.repeat(np.arange(len(counts)), counts)
    pt = rng.exponential(10, len(jet)) + 1
    eta, phi = rng.normal(0, 0.2, len(jet)), rng.normal(0, 0.2, len(jet))
    charge = rng.integers(-1, 2, len(jet))
    columns = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "energy": pt * np.cosh(eta),
        "charge": charge,
        "is_charged_hadron": charge != 0,
        "is_photon": charge == 0,
        "d0": rng.normal(0, 0.05, len(jet)) * (charge != 0),
        "d0_err": 0.02 * (charge != 0),
        "dz": rng.normal(0, 0.05, len(jet)) * (charge != 0),
        "dz_err": 0.02 * (charge != 0),
    }
    jets = np.zeros((len(counts), 4))
    np.add.at(jets, jet, np.stack([columns[name] for name in FIELDS[:4]], axis=1))
    rows = np.stack([np.asarray(columns.get(name, np.zeros(len(jet))), np.float32) for name in fields], axis=1)
    return rows, jets.astype(np.float32)
