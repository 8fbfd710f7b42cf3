"""EmbedProcessor through coffea's Runner, against the same done by hand on whole files."""

from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from coffea.nanoevents import PFNanoAODSchema
from coffea.processor import IterativeExecutor, Runner

from jepa_coffea import JEPAEmbedder, constituents
from jepa_coffea.processing.embedded_events import read_provenance
from jepa_coffea.processing.systematics import EnergyScale, Systematics
from processors.embed import EmbedProcessor
from tests.encoder.tiny import tiny_embedding
from tests.processors.by_hand import by_hand
from tests.processors.synthetic import columns

SCALES = Systematics(jets={"jes_up": EnergyScale(1.05), "jes_down": EnergyScale(0.95)})


def run(processor: EmbedProcessor, fileset: dict, chunksize: int = 25) -> dict:
    runner = Runner(IterativeExecutor(status=False, retries=0), chunksize=chunksize, schema=PFNanoAODSchema)
    return runner(fileset, processor, treename="Events")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(scope="module")
def output(model: Path, files: list[str], folder: Path) -> dict:
    fileset = {"qcd": files[:2], "signal": {"files": files[2:], "metadata": {"weight": 0.5}}}
    processor = EmbedProcessor(JEPAEmbedder(model), folder, systematics=SCALES)
    return run(processor, fileset)


@pytest.fixture(scope="module")
def rows(output: dict, folder: Path) -> ak.Array:
    return ak.from_arrow(pq.read_table(folder).sort_by("event"))


def test_rows_are_the_events_that_pass(rows: ak.Array, files: list[str]) -> None:
    expected = [by_hand(path) for path in files]
    assert rows.event.to_list() == [number for events, _, _ in expected for number in events.event]
    np.testing.assert_allclose(rows.mjj, np.concatenate([mass for _, mass, _ in expected]), rtol=1e-5)
    assert rows.truth_signal.to_list() == [truth for events, _, _ in expected for truth in events.truth_signal]
    for jet in (0, 1):
        pt = np.concatenate(
            [ak.to_numpy(events.FatJet_pt[np.arange(len(events)), places[:, jet]]) for events, _, places in expected]
        )
        np.testing.assert_allclose(rows[f"jet{jet + 1}_pt"], pt, rtol=1e-6)


def test_embeddings_are_those_of_the_jets(rows: ak.Array, files: list[str]) -> None:
    events, _, places = by_hand(files[0])
    jets = constituents.constituents_of(events)
    momenta = constituents.jets_of(events)
    for jet in (0, 1):
        picked = jets[np.arange(len(events)), places[:, jet]]
        axes = momenta[np.arange(len(events)), places[:, jet]]
        flat = np.stack([ak.to_numpy(ak.flatten(picked[name])) for name in constituents.FIELDS], axis=1)
        counts = ak.to_numpy(ak.num(picked))
        four = np.stack([ak.to_numpy(axes[name]) for name in constituents.JET_FIELDS], axis=1)
        expected = tiny_embedding(flat, counts, four)
        found = ak.to_numpy(rows[f"jet{jet + 1}_embedding"][rows.event <= 100])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert rows[f"jet{jet + 1}_n_constituents"][rows.event <= 100].to_list() == counts.tolist()


def test_weights_and_cutflow(output: dict, rows: ak.Array, files: list[str]) -> None:
    weights = uproot.concatenate([f"{path}:Events" for path in files[2:]], "genWeight").genWeight * 0.5
    assert output["cutflow"]["signal"]["all"] == pytest.approx(ak.sum(weights))
    assert output["bookkeeping"]["signal"]["sumw"] == pytest.approx(ak.sum(weights))
    assert output["cutflow"]["signal"]["mjj"] == pytest.approx(ak.sum(rows.weight[rows.dataset == "signal"]))
    flow = output["cutflow"]["qcd"]
    assert list(flow) == ["all", "two jets", "mjj"]
    assert flow["all"] > flow["two jets"] >= flow["mjj"] > 0


def test_histograms(output: dict, rows: ak.Array, files: list[str]) -> None:
    signal = rows[rows.dataset == "signal"]
    mjj = output["mjj"]["signal", "inclusive", "nominal", :]
    expected, _ = np.histogram(signal.mjj, bins=mjj.axes[0].edges, weights=signal.weight)
    np.testing.assert_allclose(mjj.values(), expected)
    inside = signal[(signal.mjj >= 2500) & (signal.mjj < 3100)]
    assert output["mjj"]["signal", "window", "nominal", sum].value == pytest.approx(ak.sum(inside.weight))
    score = output["score"]["signal", "window", "nominal", "top", :, :]
    for jet in (1, 2):
        values = score[{"jet": jet - 1}].values()
        expected, _ = np.histogram(inside[f"jet{jet}_score_top"], bins=50, range=(0, 1), weights=inside.weight)
        np.testing.assert_allclose(values, expected)


def test_bookkeeping(output: dict) -> None:
    assert output["bookkeeping"]["qcd"] | {"sumw": 0, "sumw2": 0, "selected": 0} == {
        "events": 120,
        "chunks": 4,
        "sumw": 0,
        "sumw2": 0,
        "selected": 0,
    }
    (worker,) = output["metrics"].values()
    assert worker["chunks"] == 6
    assert worker["provider"] == {"cpu": 6}
    assert worker["loads"] <= 1
    seconds = worker["seconds"]
    assert set(seconds) == {"reading", "selection", "packing", "model", "filling", "writing", "total"}
    assert sum(seconds.values()) <= 2 * seconds["total"]


def test_files_say_where_they_come_from(output: dict, folder: Path, model: Path) -> None:
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))
    assert written == sorted(output["files"]["qcd"] | output["files"]["signal"])
    found = read_provenance(folder / written[0])
    assert found["model_hash"] == JEPAEmbedder(model).digest
    assert found["selection"]["mjj"] == 2000
    assert found["dataset"] == "qcd"
    assert not list(folder.rglob("*.part"))


def test_second_run_duplicates_nothing(model: Path, files: list[str], tmp_path: Path) -> None:
    processor = EmbedProcessor(JEPAEmbedder(model), tmp_path)
    run(processor, {"qcd": files[:1]})
    first = pq.read_table(tmp_path).sort_by("event")
    run(processor, {"qcd": files[:1]})
    assert pq.read_table(tmp_path).sort_by("event").equals(first)


def test_chunk_boundaries_change_nothing(model: Path, files: list[str]) -> None:
    small = run(EmbedProcessor(JEPAEmbedder(model)), {"qcd": files[:1]}, chunksize=7)
    whole = run(EmbedProcessor(JEPAEmbedder(model)), {"qcd": files[:1]}, chunksize=100)
    assert small["bookkeeping"]["qcd"]["events"] == whole["bookkeeping"]["qcd"]["events"]
    for region in ("inclusive", "window", "sideband"):
        pick = ("qcd", region, "nominal")
        np.testing.assert_allclose(small["mjj"][*pick, :].values(), whole["mjj"][*pick, :].values())


def test_a_prefix_changes_no_file_and_no_histogram(model: Path, files: list[str], tmp_path: Path) -> None:
    """It names fields of events; columns of files have names of their own, so that a hunt finds them."""
    outputs = {
        prefix: run(EmbedProcessor(JEPAEmbedder(model, prefix=prefix), tmp_path / prefix), {"qcd": files[:1]})
        for prefix in ("jepa", "x")
    }
    tables = [pq.read_table(tmp_path / prefix).sort_by("event") for prefix in outputs]
    assert {"jet1_embedding", "jet2_score_top", "jet1_n_constituents"} <= set(tables[0].column_names)
    assert tables[0].equals(tables[1])
    assert outputs["jepa"]["score"] == outputs["x"]["score"]
    assert outputs["x"]["score"].sum().value > 0


def test_a_generator_weight_that_is_no_number_is_named(model: Path, tmp_path: Path) -> None:
    found = columns(np.random.default_rng(1), 30)
    found["genWeight"] = ak.Array(np.where(np.arange(30) == 17, np.nan, 1).astype(np.float32))
    with uproot.recreate(tmp_path / "nan.root") as file:
        file.mktree("Events", {name: array.type.content for name, array in found.items()})
        file["Events"].extend(found)
    message = r"genWeight of 1 of 30 events of dataset 'qcd' is not finite; .* nan in entry 17 of .*nan.root"
    with pytest.raises(Exception, match=message):
        run(EmbedProcessor(JEPAEmbedder(model)), {"qcd": [str(tmp_path / "nan.root")]})
