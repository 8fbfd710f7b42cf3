import inspect

import pytest
import yaml

from jepa_coffea import run
from jepa_coffea.bumphunt import cls_limit, counting_limit, counting_significance, fit_background, global_significance
from jepa_coffea.cwola import CWoLa
from jepa_coffea.cwola.features import Whitening
from jepa_coffea.hunt.config import FeatureConfig, HuntConfig, HuntError, StatisticsConfig, read_config
from jepa_coffea.processing.embed_config import EmbedConfig
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
        ({"efficiencies": [1.5]}, "less than or equal to 1"),
        ({"folds": {"outer": 1}}, "folds.outer"),
        ({"classifier": {"candidates": {"oracle": {}}}}, "expected some of .*logistic"),
        ({"luminosity": 137}, "say of which signal in the section signal"),
        ({"signal": {"uncertainties": {"scale": 1.5}}}, "less than 1"),
        ({"features": {"use": ["scores"]}}, "scores are used and none is named"),
        ({"features": {"use": ["scores"], "scores": {"top": "("}}}, r"scores.top: '\(' is no regular expression"),
        ({"features": {"columns": ["met"]}}, "named and not used; put 'columns' into features.use"),
        ({"features": {"use": []}}, "expected some of embedding, scores"),
        ({"classifier": {"candidates": {"gradient_bosting": {}}}}, "did you mean 'gradient_boosting'"),
        ({"classifier": {"candidates": {"mlp": {"alfa": 1}}}}, "no such option 'alfa'; did you mean 'alpha'"),
        ({"classifier": {"candidates": {"gradient_boosting": {"max_iters": 1}}}}, "did you mean 'max_iter'"),
        ({"statistics": {"function": "dijett3"}}, "no such function 'dijett3'; did you mean 'dijet3'"),
        ({"calibration": {"experiments": 19}}, "19 pseudo-experiments measure no width.*at least 20"),
        ({"mass": {"windows": [{"window": [3100, 2500], "sidebands": [2200, 3400]}]}}, "sideband_low < low < high"),
        ({"mass": {"windows": [WINDOW], "bins": [1, 3, 2]}}, "increase strictly"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_answered_with_the_key_that_is_wrong(tmp_path, changes, words):
    with pytest.raises(HuntError, match=words):
        read_config(write(tmp_path, **changes))


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
