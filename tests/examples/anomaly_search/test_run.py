"""The comparison of feature sets in miniature, on toy events in parquet as the processors write them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from examples.anomaly_search import run, search
from examples.anomaly_search.features import VARIABLES, read_table
from jepa_coffea.cwola.efficiency import without_scores
from jepa_coffea.cwola.sample import Sample
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.hunt.selections import ESTIMATES
from tests.hunt.make import write_events

WINDOWS = Windows.single(2600, 3250, sidebands=(2300, 3550), fit_range=(2300, 4500), bins=12)


def columns(events: int, seed: int, low: float) -> dict[str, np.ndarray]:
    """Jets whose mass over pT, above ``low``, does not depend on the dijet mass; and a class score."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for jet in ("jet1", "jet2"):
        found[f"{jet}_pt"] = rng.uniform(1000, 1500, events)
        found[f"{jet}_mass"] = found[f"{jet}_pt"] * rng.uniform(low, low + 0.2, events)
        found[f"{jet}_score_QCD"] = rng.uniform(0.1, 1, events).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("embedded")
    write_events(here / "qcd.parquet", 8000, seed=1, size=6, **columns(8000, 1, 0.05))
    for seed, name in ((2, "wprime"), (3, "zz")):
        write_events(here / f"{name}.parquet", 0, signal=1500, seed=seed, size=6, **columns(1500, seed, 0.15))
    return here


def arguments(folder: Path, output: Path, *more: str) -> list[str]:
    signals = [word for name in ("wprime", "zz") for word in ("--signal", f"{name}={folder}/{name}.parquet")]
    small = ["--yields", "20", "120", "--slices", "2", "--tuned-slices", "1", "--null", "20", "--members", "1"]
    axis = ["--folds", "2", "2", "--bins", "12", "--function", "dijet2", "--efficiency", "0.25"]
    return ["--background", f"{folder}/qcd.parquet", *signals, "--output", str(output), *small, *axis, *more]


@pytest.fixture
def few_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "TREES", ((("max_iter", 4), ("max_leaf_nodes", 4)),))
    monkeypatch.setattr(search, "COMPONENTS", (3,))


@pytest.mark.usefixtures("few_choices")
def test_a_comparison(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(folder, tmp_path, "--sets", "variables", "scores + both", "supervised", "idealised")
    assert run.main(given) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    sets = ["no classifier", "variables", "scores + both"]
    assert list(found["signals"]) == ["wprime", "zz"]
    for rows in found["signals"].values():
        assert list(rows) == [*sets, "supervised", "idealised"]
        for name in rows:
            for estimate in ESTIMATES[:1] if name == "no classifier" else ESTIMATES:
                assert list(rows[name][estimate]["z"]) == ["20", "120"]
                significances = rows[name][estimate]["z"]["120"]["slices"]
                assert len(significances) == 2
                assert np.isfinite(np.array(significances, float)).all()
                assert set(rows[name][estimate]["needed"]) == {"3", "5"}
        found_by = {name: rows[name]["function"]["z"]["120"]["mean"] for name in ("supervised", "no classifier")}
        assert found_by["supervised"] > found_by["no classifier"]
        assert len(rows["scores + both"]["sic"]["mean"]) == len(rows["scores + both"]["sic"]["background_efficiency"])
    assert found["chosen"]["zz"]["scores + both"]["components"] == 3
    assert found["chosen"]["zz"]["variables"]["components"] is None
    assert found["columns"] == {"embedding": 12, "variables": 2 * len(VARIABLES), "scores": 2}
    for estimate in ESTIMATES:
        assert (tmp_path / f"significance_{estimate}.png").stat().st_size > 10_000
    assert "| wprime, 3 sigma | wprime, 5 sigma |" in (tmp_path / "results.md").read_text()

    # Once more: everything is read.
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(run, "experiment", never)
    assert run.main(given) == 0
    assert json.loads((tmp_path / "results.json").read_text()) == found


def test_too_little_signal_is_said(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main(arguments(folder, tmp_path, "--slices", "40")) == 2
    said = capfd.readouterr().err
    assert "signal wprime: " in said
    assert "give more events, or smaller yields, or fewer slices" in said


def test_sets_that_are_not_there(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main(arguments(folder, tmp_path, "--sets", "variables", "boht")) == 2
    assert "--sets 'boht': these events have 'variables', 'embedding', 'both'," in capfd.readouterr().err
    assert run.main(arguments(folder, tmp_path, "--sets", "supervised")) == 2
    assert "--sets: supervised alone" in capfd.readouterr().err


def test_slices_share_no_event(folder: Path, tmp_path: Path) -> None:
    setting, _ = run.setting_of(run.parser().parse_args(arguments(folder, tmp_path)))
    slices = [setting.slice_of("zz", number).hashes for number in range(3)]
    together = np.concatenate([*slices, setting.reserve_of("zz").hashes])
    assert len(set(together.tolist())) == len(together)
    assert all(len(one) == 120 for one in slices)


@pytest.mark.parametrize("name", search.REFERENCES)
def test_references_never_see_the_background_that_they_are_tested_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    setting, _ = run.setting_of(run.parser().parse_args(arguments(folder, tmp_path)))
    seen: list[np.ndarray] = []

    def reference(data: Sample, *others: Any) -> Any:
        *_, background, recipe = others
        seen.extend([data.hashes, background.hashes])
        return without_scores(recipe.windows.windows[0], data, recipe.folds, "not trained")

    for other in ("supervised", "idealised_anomaly_detector"):
        monkeypatch.setattr(search, other, reference)
    search.experiment(("inject", name, search.Choice(1.0, (("max_iter", 4),), None), "zz", 20, 0), setting)
    data, background = seen
    assert len(background) > 10_000
    assert not np.isin(background, data[:-20]).any()  # the last are signal, numbered anew


def test_scores_of_classes_are_summed_in_groups(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    scores = {f"jet{jet}_score_{name}": rng.dirichlet(np.ones(4), 300)[:, 0] for jet in (1, 2) for name in "abcd"}
    write_events(tmp_path / "more.parquet", 300, seed=7, size=6, **columns(300, 7, 0.05), **scores)
    groups = {"first": "[ab]", "rest": "c|QCD"}
    sample, sizes = read_table([f"{tmp_path}/more.parquet"], WINDOWS, "mjj", "background", groups)
    assert sizes.scores == 4  # a sum and a difference of the jets for each group
    table = pq.read_table(tmp_path / "more.parquet").to_pydict()
    logs = [np.log(np.array(table[f"jet{jet}_score_a"]) + table[f"jet{jet}_score_b"]) for jet in (1, 2)]
    inside = WINDOWS.inside(np.array(table["mjj"]))
    _, every = read_table([f"{tmp_path}/more.parquet"], WINDOWS, "mjj", "background")
    assert every.scores == 10
    np.testing.assert_allclose(sample.X[:, -4], ((logs[0] + logs[1]) / 2)[inside], rtol=1e-5)


def test_sets_are_what_they_say(folder: Path) -> None:
    sample, columns = read_table([f"{folder}/qcd.parquet"], WINDOWS, "mjj", "background")
    sets = run.feature_sets(columns)
    everything = sample.X
    np.testing.assert_array_equal(sets["variables"].of(sample).X, everything[:, 12:20])
    np.testing.assert_array_equal(sets["scores + variables"].of(sample).X, everything[:, 12:])
    reduced = sets["scores + both"].reduction(4)
    assert reduced is not None
    small = reduced.fit(everything).transform(everything)
    np.testing.assert_array_equal(small[:, 6:], everything[:, 12:])  # four components, two of novelty, then the rest
    assert sets["variables"].reduction(4) is None
    assert len(search.choices(sets["variables"])) * len(search.COMPONENTS) == len(search.choices(sets["both"]))
