"""JetClass: one jet per entry, through a ROOT file with the published branches."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from jepa_coffea.constituents import FIELDS, LayoutError, constituents_of, jets_of
from jepa_coffea.constituents.layouts.jetclass import BRANCHES

COUNTS = [3, 0, 5, 1]


@pytest.fixture
def columns() -> dict[str, ak.Array]:
    rng = np.random.default_rng(1)
    n = sum(COUNTS)
    px, py, pz = rng.uniform(1, 100, (3, n))
    flags = np.eye(5, dtype=np.int32)[rng.integers(0, 5, n)]
    flat = {"part_px": px, "part_py": py, "part_pz": pz, "part_energy": np.sqrt(px**2 + py**2 + pz**2 + 0.02)}
    flat |= {name: rng.normal(size=n) for name in ("part_d0val", "part_d0err", "part_dzval", "part_dzerr")}
    flat = {name: values.astype(np.float32) for name, values in flat.items()}
    flat["part_charge"] = rng.integers(-1, 2, n).astype(np.float32)
    for column, name in enumerate(("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")):
        flat[f"part_is{name}"] = flags[:, column]
    parts = {name: ak.unflatten(values, COUNTS) for name, values in flat.items()}
    sums = {name: ak.to_numpy(ak.sum(parts[f"part_{name}"], axis=1)) for name in ("px", "py", "pz", "energy")}
    pt = np.hypot(sums["px"], sums["py"])
    safe = np.where(pt > 0, pt, 1)
    jets = {"jet_pt": pt, "jet_eta": np.arcsinh(sums["pz"] / safe), "jet_energy": sums["energy"]}
    jets["jet_phi"] = np.arctan2(sums["py"], sums["px"])
    return parts | {name: values.astype(np.float32) for name, values in jets.items()}


def test_root_file(tmp_path: Path, columns: dict[str, ak.Array]) -> None:
    with uproot.recreate(tmp_path / "jets.root") as file:
        file.mktree(
            "tree",
            {
                name: values.type.content if hasattr(values, "type") else values.dtype
                for name, values in columns.items()
            },
        )
        file["tree"].extend(columns)
    with uproot.open(tmp_path / "jets.root") as file:
        entries = file["tree"].arrays()
    found = constituents_of(entries)
    assert ak.num(found).to_list() == COUNTS
    assert tuple(found.fields) == FIELDS
    order = ak.argsort(np.hypot(entries.part_px, entries.part_py), ascending=False)
    for name, branch in BRANCHES.items():
        np.testing.assert_allclose(ak.flatten(found[name]), ak.flatten(entries[branch][order]), rtol=1e-6)
    jets = jets_of(entries)
    np.testing.assert_allclose(jets.energy, entries.jet_energy, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(jets.px, jets.py), entries.jet_pt, rtol=1e-6)


def test_second_release_has_other_types(tmp_path: Path, columns: dict[str, ak.Array]) -> None:
    """JetClass-II: parquet, integer charge, boolean flags, one label."""
    second = {name: ak.values_astype(c, bool) if "part_is" in name else c for name, c in columns.items()}
    second["part_charge"] = ak.values_astype(second["part_charge"], np.int32)
    second["jet_label"] = np.array([0, 15, 161, 187], np.int32)
    ak.to_parquet(ak.zip(second, depth_limit=1), tmp_path / "jets.parquet")
    found = constituents_of(ak.from_parquet(tmp_path / "jets.parquet"))
    expected = constituents_of(ak.zip(columns, depth_limit=1))
    assert found.type == expected.type
    assert all(ak.all(found[name] == expected[name]) for name in FIELDS)


def test_selection_is_of_entries(columns: dict[str, ak.Array]) -> None:
    entries = ak.zip(columns, depth_limit=1)
    with pytest.raises(LayoutError, match="one jet per entry; select entries instead"):
        constituents_of(entries, jets=entries)
    assert ak.num(constituents_of(entries[[0, 2]])).to_list() == [3, 5]


def test_missing_branch(columns: dict[str, ak.Array]) -> None:
    del columns["part_dzerr"]
    with pytest.raises(LayoutError, match="'jetclass': the entries have no field 'part_dzerr'"):
        constituents_of(ak.zip(columns, depth_limit=1))
