"""weaver-core's loader, set up to deliver the ParticleTransformer features of JetClass files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.synthetic import CLASSES, PROCESSES

FEATURES = {
    "part_pt_log": [1.7, 0.7],
    "part_e_log": [2.0, 0.7],
    "part_logptrel": [-4.7, 0.7],
    "part_logerel": [-4.7, 0.7],
    "part_deltaR": [0.2, 4.0],
    "part_charge": None,
    "part_isChargedHadron": None,
    "part_isNeutralHadron": None,
    "part_isPhoton": None,
    "part_isElectron": None,
    "part_isMuon": None,
    "part_d0": None,
    "part_d0err": [0, 1, 0, 1],
    "part_dz": None,
    "part_dzerr": [0, 1, 0, 1],
    "part_deta": None,
    "part_dphi": None,
}
"""The 17 features of ParticleTransformer (arXiv:2202.03772) with weaver's (subtract, multiply, minimum, maximum)."""


def weaver_config() -> dict[str, Any]:
    """The data configuration that weaver-core needs to deliver FEATURES, four-momenta and a mask.

    Returns
    -------
    dict
        Sections of weaver's YAML.
    """

    def _inputs(variables: list[Any]) -> dict[str, Any]:
        return {"length": 128, "pad_mode": "constant", "vars": variables}

    return {
        "treename": "tree",
        "new_variables": {
            "part_mask": "ak.ones_like(part_energy)",
            "part_pt": "np.hypot(part_px, part_py)",
            "part_pt_log": "np.log(part_pt)",
            "part_e_log": "np.log(part_energy)",
            "part_logptrel": "np.log(part_pt/jet_pt)",
            "part_logerel": "np.log(part_energy/jet_energy)",
            "part_deltaR": "np.hypot(part_deta, part_dphi)",
            "part_d0": "np.tanh(part_d0val)",
            "part_dz": "np.tanh(part_dzval)",
        },
        "preprocess": {"method": "manual", "data_fraction": 0.5},
        "inputs": {
            "pf_features": _inputs([[name, *scale] if scale else [name, None] for name, scale in FEATURES.items()]),
            "pf_vectors": _inputs([[f"part_{name}", None] for name in ("px", "py", "pz", "energy")]),
            "pf_mask": _inputs([["part_mask", None]]),
        },
        "labels": {"type": "simple", "value": [f"label_{name}" for name in CLASSES]},
    }


def weaver_batches(folder: Path, *, batch_size: int, processes: int, fetch: str) -> Iterator[int]:
    """Sizes of the batches of an epoch of weaver-core's loader; ``fetch`` is how it goes through the files.

    Parameters
    ----------
    folder
        With files of JetClass.
    batch_size
        Jets.
    processes
        Workers of the loader.
    fetch
        ``files``: five files at a time; ``tenth``: a tenth of all files.

    Yields
    ------
    int
        Jets in a batch.
    """
    import yaml
    from torch.utils.data import DataLoader
    from weaver.utils.dataset import SimpleIterDataset

    config = folder / "weaver.yaml"
    if not config.exists():
        config.write_text(yaml.safe_dump(weaver_config(), sort_keys=False))
    files = {name: sorted(map(str, folder.glob(f"{PROCESSES[name]}_*.root"))) for name in CLASSES}
    ways: dict[str, dict[str, Any]] = {
        "files": {"fetch_by_files": True, "fetch_step": 5},
        "tenth": {"fetch_step": 0.1},
    }
    dataset = SimpleIterDataset(files, str(config), for_training=True, name="train", **ways[fetch])
    for inputs, _, _ in DataLoader(dataset, batch_size=batch_size, num_workers=processes):
        yield len(inputs["pf_mask"])
