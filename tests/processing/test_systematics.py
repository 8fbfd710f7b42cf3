"""Systematic variations against the selection done by hand, and variations that are none."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from coffea.nanoevents import PFNanoAODSchema
from coffea.processor import IterativeExecutor, Runner

from jepa_coffea import JEPAEmbedder
from jepa_coffea.processing.dijets import DijetSelection
from jepa_coffea.processing.systematics import EnergyScale, SystematicError, Systematics
from processors.embed import EmbedProcessor
from tests.encoder.tiny import write_tiny
from tests.processors.by_hand import by_hand
from tests.processors.synthetic import write_events

CUTS = DijetSelection(mjj=2600)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx", classes=("QCD", "top"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(write_events(tmp_path_factory.mktemp("events") / "0.root", 60, seed=0, first=1))]


def run(model: Path, files: list[str], systematics: Systematics) -> dict[str, Any]:
    runner = Runner(IterativeExecutor(status=False, retries=0), chunksize=25, schema=PFNanoAODSchema)
    processor = EmbedProcessor(JEPAEmbedder(model), selection=CUTS, systematics=systematics)
    return runner({"d": files[:1]}, processor, treename="Events")


def swap(events: ak.Array, jets: ak.Array) -> ak.Array:
    """Another pair of leading jets: the first of three or more becomes the softest."""
    factor = ak.where((ak.local_index(jets) == 0) & (ak.num(jets) > 2), 0.21, 1)
    return ak.with_field(jets, jets.pt * factor, "pt")


def softer(events: ak.Array) -> ak.Array:
    """Candidates with half of their momentum; the jets stay."""
    events["PFCands"] = ak.with_field(events.PFCands, events.PFCands.pt * 0.5, "pt")
    return events


@pytest.fixture(scope="module")
def output(model: Path, files: list[str]) -> dict[str, Any]:
    systematics = Systematics(
        jets={"up": EnergyScale(1.1), "down": EnergyScale(0.9), "swap": swap},
        weights={"double": lambda events: 2, "gen": lambda events: events.genWeight},
        constituents={"softer": softer, "same": lambda events: events},
    )
    return run(model, files, systematics)


def total(output: dict[str, Any], systematic: str) -> float:
    return float(output["mjj"]["d", "inclusive", systematic, sum].value)


def scores(output: dict[str, Any], systematic: str, jet: int = 1) -> np.ndarray:
    return output["score"]["d", "inclusive", systematic, "top", jet - 1, :].values()


def test_energy_scale_selects_the_events_that_pass_it(output: dict[str, Any], files: list[str]) -> None:
    for name, scale in (("nominal", 1.0), ("up", 1.1), ("down", 0.9)):
        events, masses, _ = by_hand(files[0], scale)
        weights = events.genWeight[masses > CUTS.mjj]
        assert total(output, name) == pytest.approx(ak.sum(weights)), name
        assert scores(output, name).sum() == pytest.approx(ak.sum(weights)), name
    assert total(output, "down") < total(output, "nominal") < total(output, "up")


def test_other_leading_jets(output: dict[str, Any], files: list[str], model: Path) -> None:
    """A pair that the nominal selection has not: its jets are embedded as well."""
    alone = run(model, files, Systematics(jets={"swap": swap}))
    assert 0 < total(alone, "swap") < total(output, "nominal")
    np.testing.assert_allclose(scores(output, "swap"), scores(alone, "swap"))
    assert not np.allclose(scores(output, "swap"), scores(output, "nominal"))


def test_weights(output: dict[str, Any], files: list[str]) -> None:
    events, masses, _ = by_hand(files[0])
    weights = events.genWeight[masses > CUTS.mjj]
    assert total(output, "double") == pytest.approx(2 * ak.sum(weights))
    assert total(output, "gen") == pytest.approx(ak.sum(weights**2))
    np.testing.assert_allclose(scores(output, "double"), 2 * scores(output, "nominal"))


def test_constituents_are_embedded_anew(output: dict[str, Any]) -> None:
    assert total(output, "softer") == total(output, "nominal")
    assert np.abs(scores(output, "softer") - scores(output, "nominal")).sum() > 0.1 * scores(output, "nominal").sum()
    np.testing.assert_allclose(scores(output, "same"), scores(output, "nominal"))


def test_embedded_once_unless_the_constituents_change(model: Path, files: list[str]) -> None:
    (nominal,) = run(model, files, Systematics())["metrics"].values()
    jets = Systematics(jets={"down": EnergyScale(0.9)}, weights={"double": lambda events: 2})
    (reused,) = run(model, files, jets)["metrics"].values()
    (anew,) = run(model, files, Systematics(constituents={"softer": softer}))["metrics"].values()
    assert reused["jets"] == nominal["jets"] > 0
    assert anew["jets"] == 2 * nominal["jets"]


@pytest.mark.parametrize(
    ("systematics", "message"),
    [
        (Systematics(jets={"a": lambda events, jets: jets[:, ::-1]}), "'a': expected the .* jets .*in their order"),
        (Systematics(jets={"a": lambda events, jets: jets[:, :1]}), "'a': expected the .* jets that it was given"),
        (Systematics(weights={"a": lambda events: [1.0, 2.0]}), "'a': expected one finite factor for each of 30"),
        (Systematics(weights={"a": lambda events: np.nan}), "'a': .* 1 that are not finite"),
        (Systematics(constituents={"a": lambda events: events[:3]}), "'a': expected the 30 events .* got 3"),
    ],
)
def test_what_is_no_variation(model: Path, files: list[str], systematics: Systematics, message: str) -> None:
    with pytest.raises(Exception, match=rf"SystematicError.*systematic {message}"):
        run(model, files, systematics)


def test_names_are_unique() -> None:
    with pytest.raises(SystematicError, match=r"\['nominal', 'up'\] are given more than once"):
        Systematics(jets={"up": EnergyScale(1.1), "nominal": EnergyScale(1)}, weights={"up": lambda events: 1})
