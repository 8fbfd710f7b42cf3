import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.windows import CMS_ALPHA, HIGH, LOW, OUTSIDE, WINDOW, Window, WindowError, Windows, log_bins

THREE = [2200, 2500, 3100, 3400]


def test_regions_are_half_open_and_exhaustive():
    window = Window(2500, 3100, 2200, 3400)
    masses = [2199.9, 2200, 2499.9, 2500, 3099.9, 3100, 3399.9, 3400]
    assert window.region(masses).tolist() == [OUTSIDE, LOW, LOW, WINDOW, WINDOW, HIGH, HIGH, OUTSIDE]


def test_log_bins_pass_through_every_edge_and_are_nearly_equal():
    edges = np.array(log_bins(2000, 6000, 40, (2500, 3100)))
    assert 2500 in edges
    assert 3100 in edges
    steps = np.diff(np.log(edges))
    assert abs(len(steps) - 40) <= 2
    assert steps.max() / steps.min() < 1.3


def test_cms_sets_give_six_and_six_windows():
    windows = Windows.overlapping()
    assert [w.name for w in windows.windows] == [f"{s}{i}" for s in "AB" for i in range(1, 7)]
    assert windows.fit_range == (1450.0, 8000.0)
    a3 = windows.windows[2]
    assert (a3.sideband_low, a3.low, a3.high, a3.sideband_high) == CMS_ALPHA[2:6]


def test_a_window_is_a_union_of_bins():
    windows = Windows.single(2500, 3100, sidebands=(2200, 3400), fit_range=(2000, 5000), bins=30)
    mass = np.random.default_rng(0).uniform(2000, 5000, 10_000)
    inside = windows.histogram(mass)[windows.bins_of(windows.windows[0])].sum()
    assert inside == ((mass >= 2500) & (mass < 3100)).sum()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Window(3100, 2500, 2200, 3400), "sideband_low < low < high < sideband_high"),
        (lambda: Window(2500, 3100, 2500, 3400), "both sidebands must have a width"),
        (lambda: Window(2500, np.nan, 2200, 3400), "sideband_low < low"),
        (lambda: Windows.single(2500, 3100, sidebands=(2200, 3400), bins=[2200, 2500, 3100, 3000, 3400]), "increase"),
        (lambda: Windows.single(2500, 3100, sidebands=(2200, 3400), bins=[2200, 2600, 3100, 3400]), "no bin edge"),
        (lambda: Windows.single(2500, 3100, sidebands=(2200, 3400), fit_range=(2300, 3400)), "leave the fit range"),
        (lambda: Windows.single(2500, 3100, sidebands=(2200, 3400), fit_range=(2000, 3400), bins=THREE), "disagree"),
        (lambda: Windows.overlapping([1, 2, 3]), "at least 4 edges"),
        (lambda: Windows.custom([]), "at least one window"),
        (lambda: Windows.custom([Window(2, 3, 1, 4), Window(2, 3, 1, 4)]), "different name"),
        (lambda: log_bins(0, 10, 5), "0 < low"),
    ],
)  # fmt: skip
def test_inconsistent_windows_say_what_is_wrong(make, words):
    with pytest.raises(WindowError, match=words):
        make()


def test_as_many_sets_as_there_are_letters_and_none_is_dropped():
    sets = [[2000 + 10 * i, 2500, 3000, 3600] for i in range(26)]
    names = [window.name for window in Windows.overlapping(*sets).windows]
    assert len(names) == 26
    assert names[8] == "I1"
    with pytest.raises(WindowError, match="at most 26 sets of edges, got 27"):
        Windows.overlapping(*sets, sets[0])


def test_an_event_on_the_last_edge_is_outside_everywhere():
    windows = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2000, 5000), bins=25)
    mass = np.array([2000.0, 4999.0, 5000.0])
    assert windows.inside(mass).sum() == windows.histogram(mass).sum() == 2


def test_a_mass_axis_needs_no_window_and_a_classifier_does():
    axis = Windows.custom([], fit_range=(2000, 4000), bins=2)
    assert (axis.windows, axis.fit_range, len(axis.edges)) == ((), (2000, 4000), 3)
    assert axis.histogram([1999, 2001, 3999, 4000]).tolist() == [1, 1]
    with pytest.raises(WindowError, match="tell a window from its sidebands; expected at least one window"):
        Recipe(axis, {"logistic": LogisticRegression()})
