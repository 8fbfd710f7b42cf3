"""What a run prints of its jets."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from rich.console import Console

from jepa_coffea import JEPAEmbedder, run
from jepa_coffea.processing import DijetEmbedder
from jepa_coffea.processing.run_report import report
from tests.encoder.tiny import write_tiny
from tests.processors.synthetic import columns


def test_jets_without_an_embedding_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = columns(np.random.default_rng(4), 60)
    # Candidates of one jet are lost, one candidate of another is no number.
    lost, broken = (int(event) for event in np.flatnonzero(ak.num(found["FatJet"]) >= 2)[:2])
    links, candidates = found["FatJetPFCands"], found["PFCands"]
    found["FatJetPFCands"] = links[(ak.local_index(links, axis=0) != lost) | (links.jetIdx != 0)]
    pt = ak.to_numpy(ak.flatten(candidates.pt)).copy()
    pt[int(ak.sum(ak.num(candidates)[:broken]))] = np.nan
    found["PFCands"] = ak.with_field(candidates, ak.unflatten(pt, ak.num(candidates)), "pt")
    with uproot.recreate(tmp_path / "events.root") as file:
        file.mktree("Events", {name: array.type.content for name, array in found.items()})
        file["Events"].extend(found)
    model = write_tiny(tmp_path / "tiny.onnx", max_particles=15)
    output = run(DijetEmbedder(JEPAEmbedder(model)), {"d": [str(tmp_path / "events.root")]}, progress=False)
    for table in report(output):
        Console(width=300).print(table)
    (worker,) = output["metrics"].values()
    assert (worker["empty"], worker["non_finite"]) == (1, 1)
    assert worker["truncated"] > 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"of {worker['jets']} jets, 1 have no candidates and 1 a value that is not finite" in printed
    assert f"their embedding is NaN; {worker['truncated']} were cut to their hardest particles" in printed
    events = {cut: str(number) for cut, number in output["passed"]["d"].items()}
    assert events["all"] == "60"
    assert int(events["mjj"]) == output["bookkeeping"]["d"]["selected"]
    assert all(f"{cut} │ {number}" in printed for cut, number in events.items())


def test_a_dataset_of_which_nothing_is_selected_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = columns(np.random.default_rng(4), 20)
    for name, unit in (("gev", 1.0), ("tev", 1e-3)):
        jets = ak.with_field(found["FatJet"], found["FatJet"].pt * unit, "pt")
        written = {**found, "FatJet": jets}
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("Events", {key: array.type.content for key, array in written.items()})
            file["Events"].extend(written)
    files = {name: [str(tmp_path / f"{name}.root")] for name in ("gev", "tev")}
    output = run(DijetEmbedder(JEPAEmbedder(write_tiny(tmp_path / "tiny.onnx"))), files, progress=False)
    assert output["bookkeeping"]["gev"]["selected"] > 0
    Console(width=300).print(report(output)[0])
    printed = " ".join(capsys.readouterr().out.split())
    assert "tev: no event was selected: look at pt, eta and mjj" in printed
    assert "gev: no event" not in printed
