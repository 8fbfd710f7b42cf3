"""CWoLaProcessor against the out-of-fold scores of the training itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jepa_coffea import JEPAEmbedder
from jepa_coffea.cwola.efficiency import ties_of
from jepa_coffea.cwola.ensemble import Ensemble, train_ensembles
from jepa_coffea.cwola.trainer import train_window
from jepa_coffea.hunt.config import FeatureConfig, HuntConfig, HuntError
from jepa_coffea.hunt.events import Events, read_events
from jepa_coffea.processing.processor import DijetEmbedder
from jepa_coffea.processing.run import run
from jepa_coffea.processing.systematics import EnergyScale, Systematics
from processors.cwola import CWoLaProcessor, train
from processors.embed import EmbedProcessor
from tests.processors.synthetic import write_events


@pytest.fixture(scope="module")
def fileset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("cwola")
    return {"data": [str(write_events(folder / "data.root", 700, seed=3, weighted=False))]}


@pytest.fixture(scope="module")
def config(model: Path, fileset: dict, tmp_path_factory: pytest.TempPathFactory) -> HuntConfig:
    folder = tmp_path_factory.mktemp("hunt")
    run(EmbedProcessor(JEPAEmbedder(model), folder / "embedded"), fileset, progress=False)
    return HuntConfig.model_validate(
        {
            "input": {"events": [f"{folder}/embedded/**/*.parquet"]},
            "output": folder / "hunt",
            "mass": {"windows": [{"window": [2500, 3100], "sidebands": [2100, 3500]}], "bins": 12},
            "features": {"use": "both", "observables": ["log_mass_over_pt", "n_constituents"], "components": 4},
            "classifier": {"candidates": {"logistic": {}}, "members": 2, "attribute_fraction": 0.5},
            "folds": {"outer": 3, "inner": 2, "order": "forward"},
            "efficiencies": [0.5, 0.2],
        }
    )


@pytest.fixture(scope="module")
def events(config: HuntConfig) -> Events:
    return read_events(config.input.events, config)


@pytest.fixture(scope="module")
def ensembles(config: HuntConfig) -> list[Ensemble]:
    return train(config)


@pytest.fixture(scope="module")
def output(config: HuntConfig, ensembles: list[Ensemble], model: Path, fileset: dict) -> dict[str, Any]:
    processor = CWoLaProcessor(
        JEPAEmbedder(model),
        ensembles,
        features=config.features,
        mjj_edges=config.mass.build().edges,
        systematics=Systematics(jets={"up": EnergyScale(1.02)}, weights={"double": lambda events: 2}),
    )
    return run(processor, fileset, chunksize=300, progress=False)


def test_ensemble_scores_are_those_of_the_fit(config: HuntConfig, events: Events, ensembles: list[Ensemble]) -> None:
    expected = train_window(0, events.sample, config.recipe()).scores
    (ensemble,) = ensembles
    score = ensemble.score(events.sample.X, events.sample.hashes)
    np.testing.assert_array_equal(score, expected.score)
    assert np.isnan(score).any()  # the first fold in forward order
    for efficiency in config.efficiencies:
        ties = ties_of(events.sample.hashes, config.seed)
        assert ensemble.thresholds[efficiency] == expected.thresholds(efficiency, ties)
        passed = ensemble.selected(score, events.sample.hashes, efficiency)
        np.testing.assert_array_equal(passed, expected.selected(efficiency))


def test_spectra_are_those_of_the_fit(config: HuntConfig, events: Events, output: dict[str, Any]) -> None:
    expected = train_window(0, events.sample, config.recipe()).scores
    edges = np.array(config.mass.build().edges)
    mass = events.sample.mass
    everything = output["mjj"]["data", "W1", "nominal", "all", :]
    np.testing.assert_allclose(everything.values(), np.histogram(mass, edges)[0])
    for efficiency in config.efficiencies:
        counted, _ = np.histogram(mass[expected.selected(efficiency)], edges)
        # Rounding: a chunk's matrix products are not those of the whole sample.
        found = output["mjj"]["data", "W1", "nominal", f"{efficiency:g}", :].values()
        assert np.abs(found - counted).sum() <= 1
        assert counted.sum() > 10


def test_variations(config: HuntConfig, output: dict[str, Any]) -> None:
    for name in ("mjj", "cwola"):
        nominal, double = (output[name]["data", "W1", systematic, ...] for systematic in ("nominal", "double"))
        np.testing.assert_allclose(double.values(), 2 * nominal.values())
        assert nominal.values().sum() > 0
    edges = np.array(config.mass.build().edges)
    (pattern,) = config.input.events
    files = Path(pattern.partition("/**")[0]).rglob("*.parquet")
    masses = np.concatenate([pq.read_table(path)["mjj"].to_numpy() for path in files])
    expected, _ = np.histogram(masses * 1.02, edges)
    found = output["mjj"]["data", "W1", "up", "all", :].values()
    assert np.abs(found - expected).sum() <= 1
    assert output["mjj"]["data", "W1", "up", "0.2", sum].value > 10
    assert not np.array_equal(found, output["mjj"]["data", "W1", "nominal", "all", :].values())


def test_scores_by_region(output: dict[str, Any], events: Events, config: HuntConfig) -> None:
    expected = train_window(0, events.sample, config.recipe()).scores
    for code, name in ((-1, "low sideband"), (0, "window"), (1, "high sideband")):
        wanted = np.count_nonzero(expected.scored & (expected.region == code))
        assert output["cwola"]["data", "W1", "nominal", name, sum].value == pytest.approx(wanted)


def test_cutflow_says_who_was_scored(output: dict[str, Any], events: Events, config: HuntConfig) -> None:
    flow = output["cutflow"]["data"]
    assert flow["all"] == 700
    assert flow["mjj"] == flow["finite features"] > flow["scored in W1"] > 0
    assert output["bookkeeping"]["data"]["events"] == 700


def test_unseen_events_are_scored_by_their_fold(ensembles: list[Ensemble], events: Events) -> None:
    (ensemble,) = ensembles
    fold = ensemble.folds.outer_of(events.sample.hashes)
    for number, members in ensemble.members.items():
        rows = fold == number
        by_hand = np.mean([member.score(events.sample.X[rows]) for member in members], axis=0)
        np.testing.assert_allclose(ensemble.score(events.sample.X, events.sample.hashes)[rows], by_hand)
    assert 0 not in ensemble.members


def test_identity_knows_the_classifiers(config: HuntConfig, events: Events, model: Path) -> None:
    def processor(seed: int) -> CWoLaProcessor:
        recipe = config.model_copy(update={"seed": seed}).recipe()
        trained = train_ensembles(recipe, events.sample, config.efficiencies)
        return CWoLaProcessor(JEPAEmbedder(model), trained, features=config.features, mjj_edges=(1000, 5000))

    assert processor(1).identity() == processor(1).identity()
    assert processor(1).identity() != processor(2).identity()


def test_classifiers_of_other_jets_are_refused(model: Path) -> None:
    embedder = JEPAEmbedder(model)
    with pytest.raises(HuntError, match=r"trained on features.jets fj1, fj2; here are jet1 and jet2"):
        CWoLaProcessor(embedder, [], features=FeatureConfig(jets=["fj1", "fj2"]), mjj_edges=(1000, 5000))
    for known in (["jet1", "jet2"], ["jet2"]):
        CWoLaProcessor(embedder, [], features=FeatureConfig(jets=known), mjj_edges=(1000, 5000))
    with pytest.raises(ValueError, match=r"sqrt_s = 13: GeV expected; is this TeV\? Then write 13000"):
        DijetEmbedder(embedder, sqrt_s=13)
