"""What is said of settings that are compared."""

import numpy as np
import pytest

from benchmarks.statistics.boosting import SETTINGS, compared
from jepa_coffea.cwola.classifiers import CLASSIFIERS


def test_ratios_are_of_the_same_experiments() -> None:
    rng = np.random.default_rng(0)
    background = rng.poisson(50, 40) + 1
    first = [(int(s), int(b)) for s, b in zip(rng.poisson(20, 40), background, strict=True)]
    twice = [(2 * s, b) for s, b in first]
    found = compared({"first": first, "twice": twice})
    assert found["first"] == {"ratio": 1.0, "error": 0.0, "better": 0, "worse": 0}
    wanted = np.array([(2 * s + 0.5) / (s + 0.5) for s, _ in first])
    assert found["twice"]["ratio"] == pytest.approx(np.prod(wanted) ** (1 / 40))
    assert found["twice"]["error"] == pytest.approx(np.log(wanted).std(ddof=1) / np.sqrt(40))
    assert found["twice"]["better"] == np.count_nonzero(wanted > 1)
    # A selection without any background is no infinity.
    assert np.isfinite(compared({"a": [(3, 0), (2, 4)], "b": [(3, 2), (0, 4)]})["b"]["ratio"])


def test_the_default_of_a_hunt_is_among_the_settings() -> None:
    default = CLASSIFIERS["gradient_boosting"]().get_params()
    same = [name for name, of in SETTINGS.items() if CLASSIFIERS["gradient_boosting"](**of).get_params() == default]
    assert same == [f"{default['max_iter']} of {default['max_leaf_nodes']} leaves"]
