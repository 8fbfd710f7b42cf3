import numpy as np
import pytest

from jepa_coffea.bumphunt import Gaussian, scan
from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.cwola import Windows
from jepa_coffea.hunt.mass_limits import inclusive_limits
from jepa_coffea.hunt.sections import SignalConfig, StatisticsConfig
from jepa_coffea.hunt.state import HuntResult
from jepa_coffea.report.limit_section import limit_section
from tests.cwola.toy import dijets

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=20)
STATISTICS = StatisticsConfig(function="dijet2", goodness_toys=0)


def test_limits_against_mass_are_in_fb_and_each_width_has_its_own(tmp_path):
    counts = WINDOWS.histogram(dijets(5000)[1])
    signal = SignalConfig(efficiency=0.5, widths=[0.03, 0.1])
    found = inclusive_limits(counts, WINDOWS, STATISTICS, signal, luminosity=10.0)
    narrow, wide = found["width 0.03"], found["width 0.1"]
    assert isinstance(narrow, LimitCurve)
    assert isinstance(wide, LimitCurve)
    assert narrow.cross_section == pytest.approx(narrow.events / (10.0 * 0.5))
    assert np.median(wide.expected_events[:, 2]) > np.median(narrow.expected_events[:, 2])
    how = {"function": "dijet2", "signal": Gaussian(0.03), "toys": 0}
    errors = scan((counts, np.asarray(WINDOWS.edges)), narrow.points, **how).errors
    # Without nuisances the median expected limit is 1.96 errors of a fitted signal; the spurious signal adds to it.
    assert np.median(narrow.expected_events[:, 2] / errors) > 1.9
    section = limit_section(HuntResult(tmp_path, (), mass_limits=found))
    assert [figure.title for figure in section.figures] == [
        "Limits against mass, width 0.03",
        "Limits against mass, width 0.1",
    ]


def test_no_signal_section_no_limits_and_what_cannot_be_fitted_says_why():
    counts = np.zeros(20)
    assert inclusive_limits(counts, WINDOWS, STATISTICS, None) == {}
    (problem,) = inclusive_limits(counts, WINDOWS, STATISTICS, SignalConfig()).values()
    assert isinstance(problem, str)
