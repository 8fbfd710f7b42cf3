import numpy as np

from jepa_coffea.hunt.experiment import Counting, Template
from jepa_coffea.hunt.state import Selection
from jepa_coffea.hunt.summary import disagreements


def selection(pull, problem=""):
    counting = Counting("W1", 0.1, 50, 40.0, 2.0, 1.2, 0.1)
    return Selection(counting, np.zeros(3), None, template=Template(40 + 3 * pull, 2.2, 1.0, 0.5, pull, problem))


def test_background_estimates_that_disagree_forbid_quoting():
    assert disagreements([selection(0.5), selection(-2.9), Selection(selection(0).counting, np.zeros(3), None)]) == []
    (reason,) = disagreements([selection(-3.4)])
    assert "W1, efficiency 0.1 disagree by 3.4 standard deviations: 40.0 ± 2.0 by the fit, 29.8 ± 2.2" in reason
    (reason,) = disagreements([selection(float("nan"), "no events above the window")])
    assert "has no number: no events above the window" in reason
