import inspect
import re

import pytest
import yaml

from jepa_coffea import run
from jepa_coffea.bumphunt import cls_limit, counting_limit, counting_significance, fit_background, global_significance
from jepa_coffea.cwola import CWoLa
from jepa_coffea.cwola.features import Whitening
from jepa_coffea.hunt.config import FeatureConfig, HuntConfig, HuntError, StatisticsConfig, read_config
from jepa_coffea.processing.embed_config import EmbedConfig
from jepa_coffea.processing.embedded_events import JETS
from jepa_coffea.processing.processor import DijetEmbedder

WINDOW = {"window": [2500, 3100], "sidebands": [2200, 3400]}
DOCUMENT = {"input": {"events": ["a/*.parquet"]}, "output": "out"}


def write(tmp_path, **changes):
    path = tmp_path / "hunt.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, **changes}))
    return path


def test_the_shortest_document_is_enough_and_paths_belong_to_it(tmp_path):
    config = read_config(write(tmp_path))
    assert config.output == tmp_path / "out"
    assert config.input.events == [str(tmp_path / "a/*.parquet")]
    assert len(config.mass.build().windows) == 12


def test_windows_of_every_kind(tmp_path):
    one = {"windows": [{"window": [2500, 3100], "sidebands": [2200, 3400]}], "fit_range": [2000, 5000]}
    windows = read_config(write(tmp_path, mass=one)).mass.build()
    assert [(w.name, w.low, w.high) for w in windows.windows] == [("W1", 2500, 3100)]
    assert windows.fit_range == (2000, 5000)
    sets = read_config(write(tmp_path, mass={"windows": [[2000, 2500, 3100, 3800, 4600]]})).mass.build()
    assert [w.name for w in sets.windows] == ["A1", "A2"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": 1}, "colour: no such key"),
        ({"input": {}}, "either events .* or one histogram"),
        ({"efficiencies": [0.1, 0.1]}, "none twice"),
        ({"efficiencies": [1.0]}, r"efficiencies.0: Input should be less than 1"),
        ({"injection": {"efficiency": 1}}, r"injection.efficiency: Input should be less than 1"),
        ({"features": {"components": 0}}, r"features.components: Input should be greater than or equal to 1"),
        ({"signal": {"widths": [0.05, 0.1, 0.05]}}, "widths: expected none twice"),
        ({"statistics": {"sqrt_s": float("inf")}}, r"statistics.sqrt_s: Input should be a finite number"),
        ({"mass": {"windows": [WINDOW, WINDOW]}}, "the window 2500 to 3100 is there twice"),
        ({"mass": {"windows": [WINDOW], "bins": 100_000}}, r"mass.bins: Input should be less than or equal to 10000"),
        ({"classifier": {"candidates": {"logistic": {"C": -1}}}}, r"candidates.logistic: The 'C' parameter.*Got -1"),
        ({"classifier": {"candidates": {"mlp": {"alpha": "x"}}}}, r"candidates.mlp: The 'alpha' parameter.*Got 'x'"),
        ({"classifier": {"candidates": {"gradient_boosting": {"max_bins": 0}}}}, "The 'max_bins' parameter.*Got 0"),
        ({"folds": {"outer": 1}}, "folds.outer"),
        ({"classifier": {"candidates": {"oracle": {}}}}, "expected some of .*logistic"),
        ({"luminosity": 137}, "say of which signal in the section signal"),
        ({"signal": {"uncertainties": {"scale": 1.5}}}, "less than 1"),
        ({"features": {"use": ["scores"]}}, "scores are used and none is named"),
        ({"features": {"use": ["scores"], "scores": {"top": "("}}}, r"scores.top: '\(' is no regular expression"),
        ({"features": {"use": ["scores"], "scores": {"b": {"classes": "b", "against": "("}}}}, r"scores.b: '\(' is no"),
        ({"features": {"use": ["scores"], "scores": {"b": {"classes": "b"}}}}, r"scores.b.against: Field requ"),
        ({"features": {"jets": ["a", "b", "c"]}}, "jets: expected the names of one jet or of two different ones"),
        ({"features": {"jets": ["fj", "fj"]}}, "of two different ones, got .'fj', 'fj'.$"),
        ({"features": {"jets": []}}, "jets: expected the names of one jet"),
        ({"features": {"jets": ["fj1_", "fj2_"]}}, "expected what stands before the _ of their columns.*got 'fj1_'"),
        ({"features": {"columns": ["met"]}}, "named and not used; put 'columns' into features.use"),
        ({"features": {"use": []}}, "expected some of embedding, scores"),
        ({"classifier": {"candidates": {"gradient_bosting": {}}}}, "did you mean 'gradient_boosting'"),
        ({"classifier": {"candidates": {"mlp": {"alfa": 1}}}}, "no such option 'alfa'; did you mean 'alpha'"),
        ({"classifier": {"candidates": {"gradient_boosting": {"max_iters": 1}}}}, "did you mean 'max_iter'"),
        ({"statistics": {"function": "dijett3"}}, "no such function 'dijett3'; did you mean 'dijet3'"),
        ({"statistics": {"goodness_toys": 99}}, "no fit fails at goodness_minimum 0.01; expected at least 100, or 0"),
        ({"signal": {"shape": "gausian"}}, "did you mean 'gaussian'"),
        ({"signal": {"shape": {"histogram": "p.json", "mas": 3}}}, "no such key; did you mean 'mass'"),
        ({"signal": {"widths": [1]}}, r"signal.widths.0: Input should be less than 1"),
        ({"calibration": {"experiments": 19}}, "19 pseudo-experiments measure no width.*at least 20"),
        ({"mass": {"windows": [{"window": [3100, 2500], "sidebands": [2200, 3400]}]}}, "sideband_low < low < high"),
        ({"mass": {"windows": [WINDOW], "bins": [1, 3, 2]}}, "increase strictly"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_answered_with_the_key_that_is_wrong(tmp_path, changes, words):
    with pytest.raises(HuntError, match=words):
        read_config(write(tmp_path, **changes))


NUMBER = "Input should be a valid number, unable to parse string as a number"
INTEGER = "Input should be a valid integer, unable to parse string as an integer"
WORD = "Input should be 'cms', got 'cmss'; did you mean 'cms'?"
MISSPELT = {"windw": [2, 3], "sidebands": [1, 4]}
FORMS = [
    ({"windows": [MISSPELT]}, ["0.window: Field required", "0.windw: no such key; did you mean 'window'?"]),
    ({"windows": [{"window": [2, "x"], "sidebands": [1, 4]}]}, [f"0.window.1: {NUMBER}"]),
    ({"windows": [[1, 2, 3, "x"]]}, [f"0.3: {NUMBER}"]),
    ({"windows": "cmss"}, [f"Input should be a valid list; or {WORD}"]),
    ({"windows": [WINDOW], "bins": "x"}, [f"{INTEGER}; or Input should be a valid list"]),
]


def test_a_form_is_no_key(tmp_path):
    scores = {"bb": {"classes": "X_bb", "agianst": "QCD.*"}}
    with pytest.raises(HuntError) as error:
        read_config(write(tmp_path, features={"use": ["scores"], "scores": scores}))
    assert str(error.value).splitlines()[1:] == [
        "  features.scores.bb.against: Field required",
        "  features.scores.bb.agianst: no such key; did you mean 'against'?",
    ]
    with pytest.raises(HuntError) as error:
        read_config(write(tmp_path, signal={"shape": {"histogram": "p.json", "mas": 3}}))
    assert str(error.value).splitlines()[1:] == [
        "  signal.shape.mass: Field required",
        "  signal.shape.mas: no such key; did you mean 'mass'?",
    ]


@pytest.mark.parametrize(("mass", "told"), FORMS)
def test_of_several_forms_the_one_that_was_meant_is_told(tmp_path, mass, told):
    with pytest.raises(HuntError) as error:
        read_config(write(tmp_path, mass=mass))
    lines = [re.sub(r"^  mass\.(windows|bins)[.:] ?", "", line) for line in str(error.value).splitlines()[1:]]
    assert lines == told


def test_documents_that_are_none(tmp_path):
    with pytest.raises(HuntError, match="no document"):
        read_config(tmp_path / "nothing.yaml")
    path = tmp_path / "list.yaml"
    path.write_text("- 1")
    with pytest.raises(HuntError, match="no mapping"):
        read_config(path)
    path.write_text("a: [")
    with pytest.raises(HuntError, match="no YAML"):
        read_config(path)


def test_functions_and_documents_have_the_same_defaults():
    statistics = StatisticsConfig()
    for function in (counting_significance, counting_limit, cls_limit):
        assert inspect.signature(function).parameters["constraint"].default == statistics.constraint
    assert inspect.signature(global_significance).parameters["toys"].default == statistics.global_toys
    assert inspect.signature(fit_background).parameters["toys"].default == statistics.goodness_toys
    features = FeatureConfig()
    whitening = Whitening(passed=2 * len(features.observables))
    both = FeatureConfig(use="both").reduction()
    assert both is not None
    assert both.get_params() == whitening.get_params()
    recipe = HuntConfig(**DOCUMENT).recipe()
    named = ("members", "attribute_fraction", "seed", "best_at", "folds")
    plain = CWoLa(recipe.windows, recipe.candidates).recipe
    assert [getattr(recipe, name) for name in named] == [getattr(plain, name) for name in named]
    assert features.jets == list(JETS)
    embed = EmbedConfig(model="pjepa-mini", files={"d": "x.root"}, output="x")
    for name in ("chunksize", "skipbadfiles", "checkpoints"):
        assert inspect.signature(run).parameters[name].default == getattr(embed, name)
    assert inspect.signature(DijetEmbedder).parameters["collection"].default == embed.collection


def test_a_preset_fills_in_what_the_document_does_not_say(tmp_path):
    recipe = read_config(write(tmp_path, classifier={"preset": "bagging"})).recipe()
    assert recipe.members == 50
    assert list(recipe.candidates) == ["gradient_boosting"]
    assert (recipe.share(100), recipe.share(8)) == (0.5, 1.0)
    fewer = read_config(write(tmp_path, classifier={"preset": "bagging", "members": 20}))
    assert fewer.recipe().members == 20
    with pytest.raises(HuntError, match="bagging"):
        read_config(write(tmp_path, classifier={"preset": "bagged"}))
