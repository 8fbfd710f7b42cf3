"""Files of the JetClass schema with made-up jets of realistic multiplicity, so that timings need no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

CLASSES = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
"""In the order and with the types of the branches ``label_*`` of JetClass."""

PROCESSES = dict(
    zip(
        CLASSES,
        ("ZJetsToNuNu", "HToBB", "HToCC", "HToGG", "HToWW4Q", "HToWW2Q1L", "ZToQQ", "WToQQ", "TTBar", "TTBarLep"),
        strict=True,
    )
)
"""JetClass names files by process."""

MULTIPLICITY = (42.0, 17.0)
"""Mean and standard deviation of the number of particles, about those of JetClass."""


def jet_arrays(rng: np.random.Generator, counts: NDArray[np.int64], label: str) -> dict[str, Any]:
    """All branches of jets with ``counts`` particles each. The physics is crude, types, sizes and ranges are right.

    Parameters
    ----------
    rng
        Random numbers.
    counts
        Particles of each jet.
    label
        Name of their class, one of ``CLASSES``.

    Returns
    -------
    dict
        Branch to array; ``part`` holds the branches of particles.
    """
    jets, total = len(counts), int(counts.sum())
    jet = np.repeat(np.arange(jets), counts)
    pt, eta, phi = rng.uniform(500, 1000, jets), rng.uniform(-2, 2, jets), rng.uniform(-np.pi, np.pi, jets)
    share = rng.exponential(size=total) ** 2
    share /= np.bincount(jet, share, minlength=jets)[jet]
    order = np.lexsort((-share, jet))
    part_pt = (share * pt[jet])[order]
    deta, dphi = rng.laplace(0, 0.12, total), rng.laplace(0, 0.12, total)
    part_eta, part_phi = eta[jet] + deta, phi[jet] + dphi
    kind = rng.choice(5, total, p=[0.55, 0.12, 0.30, 0.02, 0.01])
    charged = (kind == 0) | (kind >= 3)
    error = np.where(charged, rng.gamma(2.0, 0.01, total), 0)
    momenta = {"px": part_pt * np.cos(part_phi), "py": part_pt * np.sin(part_phi), "pz": part_pt * np.sinh(part_eta)}
    momenta["energy"] = np.sqrt(part_pt**2 + momenta["pz"] ** 2 + np.where(charged, 0.1396, 0) ** 2)
    floats = momenta | {
        "deta": deta * np.sign(eta[jet]),
        "dphi": dphi,
        "d0val": error * rng.standard_t(3, total),
        "d0err": error,
        "dzval": error * rng.standard_t(3, total),
        "dzerr": error,
        "charge": charged * rng.choice([-1.0, 1.0], total),
    }
    flags = ("isChargedHadron", "isNeutralHadron", "isPhoton", "isElectron", "isMuon")
    part = {name: values.astype(np.float32) for name, values in floats.items()}
    part |= {name: (kind == k).astype(np.int32) for k, name in enumerate(flags)}
    energy = np.bincount(jet, momenta["energy"], minlength=jets)
    scalars = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "energy": energy,
        "nparticles": counts,
        "sdmass": rng.gamma(4, 20, jets),
    }
    scalars |= {f"tau{n}": rng.gamma(2, 0.2 / n, jets) for n in (1, 2, 3, 4)}
    arrays: dict[str, Any] = {"part": ak.unflatten(ak.zip(part), counts)}
    arrays |= {f"jet_{name}": values.astype(np.float32) for name, values in scalars.items()}
    for name in CLASSES:
        kind_of = np.float32 if name == "QCD" else np.int32 if name in CLASSES[6:] else np.bool_
        arrays[f"label_{name}"] = np.full(jets, name == label, kind_of)
    return arrays


def write_tree(path: Path, arrays: dict[str, Any], *, cluster: int = 10_000, compression: Any = None) -> None:
    """Write the branches as the tree ``tree``, ``cluster`` entries in each basket.

    Parameters
    ----------
    path
        The file.
    arrays
        From :func:`jet_arrays`.
    cluster
        Entries in a basket.
    compression
        For uproot; by default zlib, level 1.
    """
    with uproot.recreate(path, compression=compression or uproot.ZLIB(1)) as file:
        tree = file.mktree("tree", {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in arrays.items()})
        for start in range(0, len(arrays["part"]), cluster):
            tree.extend({name: values[start : start + cluster] for name, values in arrays.items()})


def write_jetclass(path: Path, jets: int, *, seed: int, label: str = "QCD", cluster: int = 10_000) -> dict[str, Any]:
    """A file of ``jets`` jets of one class; returns its branches.

    Parameters
    ----------
    path
        The file.
    jets
        How many jets.
    seed
        Of the random numbers.
    label
        Name of their class, one of ``CLASSES``.
    cluster
        Entries in a basket.

    Returns
    -------
    dict
        Branch to array.
    """
    rng = np.random.default_rng(seed)
    counts = np.clip(rng.normal(*MULTIPLICITY, jets), 2, 128).astype(np.int64)
    arrays = jet_arrays(rng, counts, label)
    write_tree(path, arrays, cluster=cluster)
    return arrays
