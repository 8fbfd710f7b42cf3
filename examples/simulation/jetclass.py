"""Jets in the JetClass schema: one jet per entry of ``tree``, displacements in mm."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from examples.simulation.clustering import Jets
from examples.simulation.generate import EventRecord
from examples.simulation.observables import Substructure
from examples.simulation.truth import CLASSES, Truth
from jepa_coffea.files import replacing

PARTICLE_FLAGS = {
    "isChargedHadron": (211,),
    "isNeutralHadron": (130, 1),
    "isPhoton": (22, 2),
    "isElectron": (11,),
    "isMuon": (13,),
}
LABEL_TYPES = {"QCD": np.float32, **dict.fromkeys(CLASSES[1:6], np.bool_), **dict.fromkeys(CLASSES[6:], np.int32)}
"""The types of ``label_*`` differ from class to class in the published files."""


def flags(jets: int, label: str) -> dict[str, ak.Array]:
    """The branches ``label_*`` of JetClass for jets that are all of one class.

    Parameters
    ----------
    jets
        How many.
    label
        Name of the class.

    Returns
    -------
    dict of Array
    """
    return {
        f"label_{name}": ak.Array(np.full(jets, name == label).astype(dtype)) for name, dtype in LABEL_TYPES.items()
    }


def columns(record: EventRecord, jets: Jets, shapes: Substructure, truth: Truth) -> dict[str, ak.Array]:
    """The branches of JetClass without labels.

    ``part_deta`` is multiplied with the sign of the jet's eta, as there. ``aux_truth_match`` is the number of decay
    products of the resonance in the jet, ``aux_genpart_*`` the resonance; all 0 for QCD.

    Parameters
    ----------
    record
        What was generated.
    jets
        Jets of these events.
    shapes
        Substructure of the jets.
    truth
        What the jets hold.

    Returns
    -------
    dict of Array
    """
    p = jets.particles
    side = np.where(jets.eta > 0, 1.0, -1.0)
    part = {
        **{name: p[name] for name in ("px", "py", "pz", "energy")},
        "deta": (p.eta - jets.eta) * side,
        "dphi": np.remainder(p.phi - jets.phi + np.pi, 2 * np.pi) - np.pi,
        "d0val": p.d0,
        "d0err": p.d0_err,
        "dzval": p.dz,
        "dzerr": p.dz_err,
        "charge": p.charge,
    }
    kind = np.abs(p.pdg_id)
    identity = {name: _any_of(kind, codes) for name, codes in PARTICLE_FLAGS.items()}
    particles = {name: ak.values_astype(column, np.float32) for name, column in part.items()}
    particles |= {name: ak.values_astype(column, np.int32) for name, column in identity.items()}
    jet = {
        "pt": jets.pt,
        "eta": jets.eta,
        "phi": jets.phi,
        "energy": jets.energy,
        "nparticles": ak.to_numpy(ak.num(p)),
        "sdmass": shapes.soft_drop_mass,
        **{f"tau{n}": shapes.tau[:, n - 1] for n in range(1, 5)},
    }
    found = truth.row >= 0
    px, py, pz = (np.where(found, axis[truth.row], 0.0) for axis in (record.px, record.py, record.pz))
    pt = np.hypot(px, py)
    aux = {
        "genpart_eta": np.arcsinh(pz / np.where(found, pt, 1.0)),
        "genpart_phi": np.arctan2(py, px),
        "genpart_pid": np.where(found, record.pdg_id[truth.row], 0),
        "genpart_pt": pt,
        "truth_match": truth.matched,
    }
    return {
        "part": ak.zip(particles),
        **{f"jet_{name}": ak.Array(column.astype(np.float32)) for name, column in jet.items()},
        **{f"aux_{name}": ak.Array(column.astype(np.float32)) for name, column in aux.items()},
    }


def write(path: Path, jets: dict[str, ak.Array]) -> None:
    """Write jets as ``tree`` of a new ROOT file that is whole or absent.

    Parameters
    ----------
    path
        ROOT file.
    jets
        Branches by name.
    """
    with replacing(path) as temporary, uproot.recreate(temporary) as file:
        tree = file.mktree("tree", {name: array.type.content for name, array in jets.items()})
        tree.extend(jets)


def _any_of(kind: ak.Array, codes: tuple[int, ...]) -> ak.Array:
    found = kind == codes[0]
    for code in codes[1:]:
        found = found | (kind == code)
    return found
