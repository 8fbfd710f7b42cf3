import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import special

from jepa_coffea.cwola.folds import event_hash
from jepa_coffea.cwola.weights import WeightError
from jepa_coffea.errors import BadFileError
from jepa_coffea.hunt.config import HuntConfig, HuntError
from jepa_coffea.hunt.events import read_events
from tests.hunt.make import write_events

MASS = {"windows": [{"window": [2600, 3000], "sidebands": [2200, 3600]}], "fit_range": [2000, 5000]}


def config(tmp_path, **features):
    return HuntConfig(input={"events": [str(tmp_path / "*.parquet")]}, output=tmp_path, mass=MASS, features=features)


def read(tmp_path, **features):
    c = config(tmp_path, **features)
    return read_events(c.input.events, c)


def test_embeddings_are_symmetric_in_the_two_jets(tmp_path):
    path = write_events(tmp_path / "a.parquet", 300)
    table = pq.read_table(path)
    events = read(tmp_path)
    names = [{"jet1": "jet2", "jet2": "jet1"}.get(n[:4], n[:4]) + n[4:] for n in table.column_names]
    pq.write_table(table.rename_columns(names), path)
    assert pytest.approx(events.sample.X, abs=1e-6) == read(tmp_path).sample.X
    first, second = (np.stack(table[f"jet{j}_embedding"].to_pylist()) for j in (1, 2))
    assert pytest.approx(np.hstack([(first + second) / 2, np.abs(first - second)]), abs=1e-6) == events.sample.X
    assert events.names[:2] == ("embedding_mean_0", "embedding_mean_1")
    assert np.array_equal(events.sample.hashes, event_hash(*events.identity.T))


def test_observables_are_those_of_the_heavier_jet_first(tmp_path):
    table = pq.read_table(write_events(tmp_path / "a.parquet", 200))
    events = read(tmp_path, use="observables", observables=["mass", "tau32", "log_mass_over_pt"])
    assert events.names[:2] == ("heavier_mass", "lighter_mass")
    masses = np.stack([table["jet1_mass"], table["jet2_mass"]], axis=1)
    assert events.sample.X[:, 0] == pytest.approx(masses.max(axis=1), rel=1e-6)
    first = masses[:, 0] >= masses[:, 1]
    tau32 = np.where(first, *(np.asarray(table[f"jet{j}_tau3"]) / np.asarray(table[f"jet{j}_tau2"]) for j in (1, 2)))
    assert events.sample.X[:, 2] == pytest.approx(tau32, rel=1e-6)
    heavier_pt = np.where(first, table["jet1_pt"], table["jet2_pt"])
    assert events.sample.X[:, 4] == pytest.approx(np.log(masses.max(axis=1) / heavier_pt), rel=1e-5)


def test_scores_are_log_odds_that_do_not_know_which_jet_was_first(tmp_path):
    rng = np.random.default_rng(3)
    shares = {f"jet{j}_score_{name}": rng.random(200) for j in (1, 2) for name in ("top", "w")}
    shares["jet1_score_top"][:2] = 0, 1
    write_events(tmp_path / "a.parquet", 200, **shares)
    events = read(tmp_path, use=["scores", "observables"], scores=["top", "w"], observables=["tau21"])
    assert events.names[:5] == (
        "score_mean_top",
        "score_mean_w",
        "score_difference_top",
        "score_difference_w",
        "heavier_tau21",
    )
    table = pq.read_table(tmp_path / "a.parquet")
    odds = [special.logit(np.asarray(table[f"jet{j}_score_w"])) for j in (1, 2)]
    assert events.sample.X[:, 1] == pytest.approx((odds[0] + odds[1]) / 2, rel=1e-4, abs=1e-4)
    assert events.sample.X[:, 3] == pytest.approx(np.abs(odds[0] - odds[1]), rel=1e-4, abs=1e-4)
    assert np.isfinite(events.sample.X).all()
    with pytest.raises(HuntError, match=r"no column 'jet1_score_topp' .did you mean 'jet1_score_top'"):
        read(tmp_path, use=["scores"], scores=["topp"])


def test_scores_of_classes_are_summed_against_all_others(tmp_path):
    rng = np.random.default_rng(3)
    shares = {}
    for j in (1, 2):
        four = rng.dirichlet(np.ones(4), 200).astype(np.float32)
        shares |= {f"jet{j}_score_{name}": four[:, i] for i, name in enumerate(("bb", "cc", "qcd_b", "qcd"))}
    write_events(tmp_path / "a.parquet", 200, **shares)
    events = read(tmp_path, use=["scores"], scores={"two_prong": "bb|cc", "heavy": "qcd_."})
    assert events.names == (
        "score_mean_two_prong",
        "score_mean_heavy",
        "score_difference_two_prong",
        "score_difference_heavy",
    )
    table = pq.read_table(tmp_path / "a.parquet").to_pydict()
    chosen = [np.asarray(table[f"jet{j}_score_bb"]) + table[f"jet{j}_score_cc"] for j in (1, 2)]
    odds = [np.log(one / (1 - one)) for one in chosen]
    assert events.sample.X[:, 0] == pytest.approx((odds[0] + odds[1]) / 2, rel=1e-4, abs=1e-4)
    with pytest.raises(HuntError, match=r"scores\.top: no class matches 'top.\*'; .* has bb, cc, qcd_b, qcd"):
        read(tmp_path, use=["scores"], scores={"top": "top.*"})
    with pytest.raises(HuntError, match="qcd_b is in heavy and in all; a class may be in one sum only"):
        read(tmp_path, use=["scores"], scores={"heavy": "qcd_.", "all": "qcd.*"})


def test_scores_of_classes_against_chosen_others_are_a_log_ratio(tmp_path):
    rng = np.random.default_rng(3)
    names = ("X_bb", "X_cc", "QCD_b", "QCD_light")
    four = {j: rng.dirichlet(np.ones(4), 200) for j in (1, 2)}
    shares = {f"jet{j}_score_{name}": p[:, i] for j, p in four.items() for i, name in enumerate(names)}
    shares["jet1_score_X_bb"][0], shares["jet1_score_QCD_b"][0], shares["jet1_score_QCD_light"][0] = 0.25, 0.1, 0.4
    shares["jet2_score_X_bb"][0], shares["jet2_score_QCD_b"][0], shares["jet2_score_QCD_light"][0] = 0.8, 0.05, 0.05
    shares["jet1_score_X_bb"][1] = 0  # what half precision may make of a small number
    write_events(tmp_path / "a.parquet", 200, mjj=np.linspace(2100, 4900, 200), **shares)
    bb = {"classes": "X_bb", "against": "QCD_.*"}
    events = read(tmp_path, use=["scores"], scores={"bb": bb, "cc": "X_cc", "any": bb | {"classes": "X_.."}})
    assert events.names == tuple(
        f"score_{what}_{name}" for what in ("mean", "difference") for name in ("bb", "cc", "any")
    )
    assert events.sample.X[0, 0] == pytest.approx((np.log(0.25 / 0.5) + np.log(0.8 / 0.1)) / 2, rel=1e-6)  # ln 2
    assert events.sample.X[0, 3] == pytest.approx(np.log(16), rel=1e-6)
    p = {name: np.stack([shares[f"jet{j}_score_{name}"] for j in (1, 2)]) for name in names}
    qcd = p["QCD_b"] + p["QCD_light"]
    mean, difference = events.sample.X[:, 2], events.sample.X[:, 5]
    both = np.log((p["X_bb"] + p["X_cc"]) / qcd)
    assert mean == pytest.approx(both.mean(axis=0), rel=1e-4, abs=1e-5)
    assert difference == pytest.approx(np.abs(both[0] - both[1]), rel=1e-4, abs=1e-5)
    assert events.sample.X[:, 1] == pytest.approx(special.logit(p["X_cc"]).mean(axis=0), rel=1e-4, abs=1e-5)
    assert events.sample.X[1, 3] == pytest.approx(abs(np.log(1e-7 / qcd[0, 1]) - np.log(p["X_bb"][1, 1] / qcd[1, 1])))
    assert np.isfinite(events.sample.X).all()
    for wrong, words in (
        (
            {"classes": "X_bbb"},
            r"features.scores.bb.classes: no class matches 'X_bbb' .did you mean 'X_bb'\?.*has X_bb, X_",
        ),
        ({"against": "QDC_b"}, r"features.scores.bb.against: no class matches 'QDC_b' .did you mean 'QCD_b'"),
        ({"against": ".*_b.*"}, r"features.scores.bb: X_bb matches classes 'X_bb' and against '\.\*_b\.\*'"),
    ):
        with pytest.raises(HuntError, match=words):
            read(tmp_path, use=["scores"], scores={"bb": bb | wrong})


EVERYTHING = {
    "use": ["embedding", "scores", "observables", "columns"],
    "scores": {"top": "top", "top_vs_w": {"classes": "top", "against": "w"}},
    "observables": ["mass", "tau21", "log_mass_over_pt"],
    "columns": ["met"],
}


def with_all_features(path):
    rng = np.random.default_rng(5)
    columns = {f"jet{j}_score_{name}": rng.uniform(0.1, 0.4, 200) for j in (1, 2) for name in ("top", "w")}
    return pq.read_table(write_events(path, 200, met=rng.exponential(50, 200), **columns))


def test_jets_may_have_any_names(tmp_path):
    path = tmp_path / "a.parquet"
    table = with_all_features(path)
    expected = read(tmp_path, **EVERYTHING)
    assert expected.observables.shape == (len(expected.sample.mass), 6)
    names = [f"fj{name[3:]}" if name.startswith("jet") else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), path)
    found = read(tmp_path, jets=["fj1", "fj2"], **EVERYTHING)
    assert np.array_equal(found.sample.X, expected.sample.X)
    assert np.array_equal(found.observables, expected.observables)
    assert found.names == expected.names
    assert np.array_equal(read(tmp_path, jets=["fj2", "fj1"], **EVERYTHING).sample.X, expected.sample.X)
    for features, words in (
        ({}, r"use: embedding of features.jets: .* no column 'jet1_embedding' .did you mean 'fj1_embedding'"),
        ({"use": "observables"}, r"observables of features.jets: .* no column 'jet1_mass' .did you mean 'fj1_mass'"),
        (
            {"use": ["scores"], "scores": ["w"]},
            r"scores of features.jets: .* no column 'jet1_score_w' .did you mean 'fj1_",
        ),
        (
            {"use": ["scores"], "scores": {"w": "w"}},
            r"features.scores.w: .* has no columns jet1_score_... \(features.jets\)",
        ),
    ):
        with pytest.raises(HuntError, match=words):
            read(tmp_path, **features)


def test_one_jet_has_its_features_as_they_are(tmp_path):
    path = tmp_path / "a.parquet"
    table = with_all_features(path)
    names = [f"fatjet{name[4:]}" if name.startswith("jet1") else name for name in table.column_names]
    alone = table.rename_columns(names).drop_columns([name for name in names if name.startswith("jet2")])
    pq.write_table(alone, path)
    events = read(tmp_path, jets=["fatjet"], **EVERYTHING)
    assert events.names == (
        *(f"embedding_{i}" for i in range(4)),
        "score_top",
        "score_top_vs_w",
        "fatjet_mass",
        "fatjet_tau21",
        "fatjet_log_mass_over_pt",
        "met",
    )
    of = {
        name: table[f"jet1_{name}"].to_numpy()
        for name in ("mass", "pt", "tau1", "tau2", "tau3", "score_top", "score_w")
    }
    X = events.sample.X.T
    assert pytest.approx(np.stack(table["jet1_embedding"].to_pylist())) == X[:4].T
    assert X[4] == pytest.approx(special.logit(of["score_top"]), rel=1e-5)
    assert X[5] == pytest.approx(np.log(of["score_top"] / of["score_w"]), rel=1e-4, abs=1e-5)
    assert X[6] == pytest.approx(of["mass"], rel=1e-6)
    assert X[7] == pytest.approx(of["tau2"] / of["tau1"], rel=1e-6)
    assert X[8] == pytest.approx(np.log(of["mass"] / of["pt"]), rel=1e-5)
    control = [of["mass"], of["tau2"] / of["tau1"], of["tau3"] / of["tau2"]]
    assert pytest.approx(np.stack(control, axis=1), rel=1e-6) == events.observables
    without_a_mass = [name for name in alone.column_names if name != "fatjet_mass"]
    pq.write_table(alone.select(without_a_mass), path)  # there is nothing to order
    assert read(tmp_path, jets=["fatjet"], use="observables", observables=["tau21"]).names == ("fatjet_tau21",)


def test_two_jets_are_ordered_by_their_masses(tmp_path):
    write_events(tmp_path / "a.parquet", 100, jet2_mass=None)
    with pytest.raises(HuntError, match=r"order of features.jets by mass: .* has no column 'jet2_mass'"):
        read(tmp_path, use="observables", observables=["tau21"])


def test_a_table_without_jets_needs_a_mass_an_identity_and_features(tmp_path):
    rng = np.random.default_rng(4)
    columns = {name: np.arange(300) for name in ("run", "luminosityBlock", "event")}
    columns |= {
        "m": rng.uniform(2100, 4900, 300),
        "met": rng.exponential(50, 300),
        "n_leptons": rng.integers(0, 3, 300),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    c = config(tmp_path, use=["columns"], columns=["met", "n_leptons"])
    c = c.model_copy(update={"mass": c.mass.model_copy(update={"column": "m"})})
    events = read_events(c.input.events, c)
    assert events.names == ("met", "n_leptons")
    assert events.sample.X[:, 0] == pytest.approx(columns["met"], rel=1e-6)
    assert events.observables.shape == (300, 0)
    assert (events.sample.weights == 1).all()
    assert c.features.reduction() is None
    pq.write_table(pa.table(columns | {"m": columns["m"] / 1000}), tmp_path / "a.parquet")
    with pytest.raises(HuntError, match="2000 to 5000 GeV and 100% would be if they were in TeV"):
        read_events(c.input.events, c)


@pytest.mark.parametrize("names", [["eventNumber"], ["runNumber", "eventNumber"], ["runNumber", "lb", "eventNumber"]])
def test_an_identity_of_other_columns(tmp_path, names):
    path = write_events(tmp_path / "a.parquet", 300)
    given = pq.read_table(path)
    renamed = dict(zip(("run", "luminosityBlock", "event"), ("runNumber", "lb", "eventNumber"), strict=True))
    own = pa.array(np.arange(300))
    table = given.rename_columns([renamed.get(name, name) for name in given.column_names])
    table = table.set_column(table.column_names.index("eventNumber"), "eventNumber", own)
    pq.write_table(table, path)
    with pytest.raises(HuntError, match="has no column 'run'"):
        read(tmp_path)
    c = config(tmp_path)
    c = c.model_copy(update={"input": c.input.model_copy(update={"identity": names})})
    identity = read_events(c.input.events, c).identity
    expected = [np.zeros(300, int)] * 3
    for place, name in zip({1: [2], 2: [0, 2], 3: [0, 1, 2]}[len(names)], names, strict=True):
        expected[place] = table[name].to_numpy()
    np.testing.assert_array_equal(identity, np.stack(expected, 1))
    pq.write_table(table.slice(0, 20), tmp_path / "b.parquet")
    with pytest.raises(HuntError, match=f"20 of 320 embedded events have the {'.*'.join(names)} of another one"):
        read_events(c.input.events, c)


def test_only_the_fit_range_is_read(tmp_path):
    write_events(tmp_path / "a.parquet", 500)
    narrow = config(tmp_path).model_copy(
        update={"mass": config(tmp_path).mass.model_copy(update={"fit_range": (2200.0, 3600.0)})}
    )
    events = read_events(narrow.input.events, narrow)
    assert 0 < len(events.sample.mass) < 500
    assert events.sample.mass.min() >= 2200
    assert events.sample.mass.max() < 3600


def test_few_events_without_features_are_counted_and_many_are_an_error(tmp_path):
    mass = np.full(200, 300.0)
    mass[7] = np.nan
    path = write_events(tmp_path / "a.parquet", 200, jet1_mass=mass)
    events = read(tmp_path, use="observables", observables=["mass"])
    assert events.dropped == 1
    assert len(events.sample.mass) == 199
    mass[:50] = np.nan
    write_events(path, 200, jet1_mass=mass)
    with pytest.raises(HuntError, match="50 of 200 embedded events"):
        read(tmp_path, use="observables", observables=["mass"])


def test_an_event_counts_once_and_one_without_a_mass_is_counted_as_such(tmp_path):
    path = write_events(tmp_path / "a.parquet", 300)
    pq.write_table(pq.read_table(path).slice(0, 120), tmp_path / "b.parquet")
    numbers = pq.read_table(path).slice(0, 1).select(["run", "luminosityBlock", "event"]).to_pylist()[0].values()
    with pytest.raises(HuntError, match="120 of 420 embedded events have the run") as wrong:
        read(tmp_path)
    assert f"for example {', '.join(map(str, numbers))})" in str(wrong.value)
    (tmp_path / "b.parquet").unlink()
    mass = pq.read_table(path)["mjj"].to_numpy().copy()
    mass[::10] = np.nan
    write_events(path, 300, mjj=mass)
    events = read(tmp_path)
    assert (events.no_mass, len(events.sample.mass)) == (30, 270)


def test_inputs_that_no_hunt_can_use(tmp_path):
    with pytest.raises(BadFileError, match="embedded events: nothing matches"):
        read(tmp_path)
    path = write_events(tmp_path / "a.parquet", 100, mjj=None)
    with pytest.raises(HuntError, match=r"a\.parquet has no column 'mjj'; it has dataset, run"):
        read(tmp_path)
    write_events(path, 100, weight=np.linspace(0.5, 1.5, 100))
    with pytest.raises(HuntError, match=r"weights from 0\.5 to 1\.5.*Set input\.unweight.*67 of 100 would be left"):
        read(tmp_path)
    write_events(path, 100, weight=np.linspace(-0.5, 1.5, 100))
    with pytest.raises(WeightError, match="25 of 100 are negative"):
        read(tmp_path)
    write_events(path, 100)
    write_events(tmp_path / "b.parquet", 100, model="another")
    with pytest.raises(HuntError, match="different encoders"):
        read(tmp_path)


def test_no_event_in_the_fit_range_is_said_with_those_that_have_no_mass(tmp_path):
    write_events(tmp_path / "a.parquet", 100, mjj=np.where(np.arange(100) < 30, np.nan, 900.0))
    with pytest.raises(HuntError, match="none of the embedded events is in the fit range 2000 to 5000 GeV; 30 have no"):
        read(tmp_path)
    write_events(tmp_path / "a.parquet", 100, mjj=np.full(100, np.nan))
    with pytest.raises(HuntError, match="100 have no finite mass"):
        read(tmp_path)


def test_columns_that_are_no_numbers_and_identities_that_are_rounded(tmp_path):
    path = write_events(tmp_path / "a.parquet", 100)
    with pytest.raises(HuntError, match="column 'dataset' holds string, no numbers"):
        read(tmp_path, use=["columns"], columns=["dataset"])
    write_events(path, 100, event=np.arange(100).astype(np.float64))
    assert sorted(read(tmp_path).identity[:, 2].tolist()) == list(range(100))
    for event in (
        np.arange(100.0, dtype=np.float32),
        np.arange(100) + 0.5,
        np.full(100, np.nan),
        2.0**53 + np.arange(100),
    ):
        write_events(path, 100, event=event)
        with pytest.raises(HuntError, match=r"'event' holds float.* a rounded number is no identity"):
            read(tmp_path)
    write_events(path, 100, mjj=["heavy"] * 100)
    with pytest.raises(HuntError, match="column 'mjj' holds string, no numbers"):
        read(tmp_path)


NO_NUMBERS = {
    "a list": (pa.array([[1.0, 2.0]] * 100), r"holds lists \(list<.*\); expected one number per event"),
    "a list of one length": (
        pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(200)), 2),
        r"holds lists \(fixed_size_list.*write their elements as columns of their own",
    ),
    "a string": (["a"] * 100, "holds string, no numbers; expected one number per event"),
    "a struct": (pa.array([{"a": 1.0}] * 100), "holds struct<a: double>, no numbers"),
    "a time": (np.array(["2026-01-01"] * 100, "datetime64[s]"), r"holds timestamp.*, no numbers"),
    "a word of a few": (pa.array(["a"] * 100).dictionary_encode(), "holds dictionary<values=string.*, no numbers"),
    "nothing": (pa.nulls(100), "has 100 missing values in 100 events"),
    "no number": (pa.nulls(100, pa.float32()), "has 100 missing values in 100 events; write a number for each"),
}


@pytest.mark.parametrize(("values", "words"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_a_column_that_holds_no_number_is_answered_with_the_option_that_names_it(tmp_path, values, words):
    mjj = np.linspace(2100, 4900, 100)
    write_events(tmp_path / "a.parquet", 100, mjj=mjj, x=values, jet1_x=values, jet1_score_x=values)
    for option, name, features in (
        ("features.columns", "x", {"use": ["columns"], "columns": ["x"]}),
        ("features.observables of features.jets", "jet1_x", {"use": "observables", "observables": ["x"]}),
        ("features.scores of features.jets", "jet1_score_x", {"use": ["scores"], "scores": ["x"]}),
        ("features.match", "x", {"match": ["x"]}),
    ):
        with pytest.raises(HuntError, match=f"hunt: {option}: .*a.parquet: column '{name}' {words}"):
            read(tmp_path, **features)
    c = config(tmp_path)
    c = c.model_copy(update={"mass": c.mass.model_copy(update={"column": "x"})})
    with pytest.raises(HuntError, match=f"hunt: mass.column: .*a.parquet: column 'x' {words}"):
        read_events(c.input.events, c)


def test_what_pandas_writes_for_nan_is_counted_and_said(tmp_path):
    rng = np.random.default_rng(0)
    mjj, x = rng.uniform(2100, 4900, 1000), rng.normal(size=1000)
    lacks_mass, lacks_x = np.arange(1000) < 3, np.arange(1000) >= 995
    columns = {"mjj": pa.array(mjj, mask=lacks_mass), "x": pa.array(x, mask=lacks_x)}
    write_events(tmp_path / "a.parquet", 1000, **columns)
    events = read(tmp_path, use=["columns"], columns=["x"])
    assert (events.no_mass, events.dropped, len(events.sample.mass)) == (3, 5, 992)
    assert np.array_equal(events.sample.X[:, 0], x[3:995].astype(np.float32))
    truth = pa.array(np.zeros(1000), mask=lacks_x)
    write_events(tmp_path / "a.parquet", 1000, mjj=mjj, truth_signal=truth)
    with pytest.raises(HuntError, match="'truth_signal' has 5 missing values in 1000 events"):
        read(tmp_path)


def test_true_and_false_are_numbers(tmp_path):
    write_events(tmp_path / "a.parquet", 100, mjj=np.linspace(2100, 4900, 100), x=np.arange(100) % 3 == 0)
    events = read(tmp_path, use=["columns"], columns=["x"], match=["x"])
    assert events.sample.X[:, 0].tolist() == (np.arange(100) % 3 == 0).tolist()
    assert events.sample.match[:, 0].tolist() == events.sample.X[:, 0].tolist()


def test_an_embedding_is_a_list_of_numbers(tmp_path):
    for values, holds in (
        (np.zeros(100), "double"),
        (["a"] * 100, "string"),
        (pa.array([["a"]] * 100), "list<.*string>"),
    ):
        write_events(tmp_path / "a.parquet", 100, jet2_embedding=values)
        with pytest.raises(
            HuntError, match=f"'jet2_embedding' holds {holds}; expected a list of numbers of one length"
        ):
            read(tmp_path)


def test_columns_of_one_name_are_not_guessed(tmp_path):
    path = write_events(tmp_path / "a.parquet", 100, x=np.zeros(100))
    table = pq.read_table(path)
    pq.write_table(table.append_column("x", pa.array(np.ones(100))), path)
    with pytest.raises(HuntError, match=r"features.columns: .* has 2 columns 'x'; expected one of a name"):
        read(tmp_path, use=["columns"], columns=["x"])


def test_an_embedding_may_be_a_list_of_one_length(tmp_path):
    path = write_events(tmp_path / "a.parquet", 100)
    expected = read(tmp_path).sample.X
    lists = pq.read_table(path)["jet1_embedding"].to_pylist()
    write_events(path, 100, jet1_embedding=pa.array(lists, pa.list_(pa.float32())))
    assert np.array_equal(read(tmp_path).sample.X, expected)
    far = write_events(tmp_path / "far.parquet", 100, seed=2, mjj=np.full(100, 900.0))
    empty = pq.read_table(far)
    for place, name in enumerate(empty.column_names):
        if name.endswith("_embedding"):
            empty = empty.set_column(place, name, empty[name].cast(pa.list_(pa.float32())))
    pq.write_table(empty, far)  # none of its events is in the fit range
    assert np.array_equal(read(tmp_path).sample.X, expected)
    far.unlink()
    write_events(path, 100, jet1_embedding=pa.array([[1.0], *lists[1:]], pa.list_(pa.float32())))
    with pytest.raises(HuntError, match="'jet1_embedding' has lists of 1 to 4 numbers, expected one length"):
        read(tmp_path)


def test_missing_values_are_named(tmp_path):
    write_events(tmp_path / "a.parquet", 100, jet1_tau3=pa.array([None] + [1] * 99))
    with pytest.raises(HuntError, match="'jet1_tau3' has 1 missing"):
        read(tmp_path, use="observables")


def test_unweighted_events_are_counts_with_the_weighted_distribution(tmp_path):
    n = 20_000
    weight = np.random.default_rng(0).choice([0.0, 0.02, 0.5, 2.0], n)
    path = write_events(tmp_path / "a.parquet", n, weight=weight)
    c = config(tmp_path)
    c = c.model_copy(update={"input": c.input.model_copy(update={"unweight": True})})
    events = read_events(c.input.events, c)
    number = pq.read_table(path)["event"].to_numpy()
    of_event = dict(zip(number.tolist(), weight.tolist(), strict=True))
    kept = np.array([of_event[e] for e in events.identity[:, 2].tolist()])
    for value in (0.0, 0.02, 0.5, 2.0):
        expected = (weight == value).sum() * value / 2
        assert (kept == value).sum() == pytest.approx(expected, abs=4 * np.sqrt(expected) + 1e-9)
    assert (events.sample.weights == 1).all()
    assert f"Of 20000 weighted embedded events {len(kept)} are kept" in events.unweighted
    assert np.array_equal(read_events(c.input.events, c).identity, events.identity)
    other = c.model_copy(update={"seed": 7})
    assert not np.array_equal(read_events(other.input.events, other).identity, events.identity)
