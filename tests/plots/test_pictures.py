"""Each picture shows the numbers it was given: read back from the drawn lines, labels and limits."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from jepa_coffea.bumphunt import HistogramError, global_significance, p_value, scan, shape_search
from jepa_coffea.bumphunt.limits import limit_curve
from jepa_coffea.bumphunt.limits.limit import make_limit
from jepa_coffea.plots import (
    Band,
    CorrectedPoint,
    Header,
    as_png,
    plot_calibration,
    plot_efficiency,
    plot_embedding,
    plot_global,
    plot_injection,
    plot_limits,
    plot_null_p,
    plot_null_z,
    plot_roc,
    plot_scan,
    plot_score_profile,
    plot_scores,
    plot_sic,
)
from tests.bumphunt.conftest import Truth

RNG = np.random.default_rng(0)


def labels(figure: Figure, axes: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[axes].get_legend().get_texts()]


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for ax in figure.axes for text in ax.texts)


def lines(figure: Figure, axes: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {line.get_label(): line.get_data() for line in figure.axes[axes].lines}


def test_scan_and_global(truth: Truth) -> None:
    n = truth.observed(1, signal=150)
    result = scan((n, truth.edges), toys=0)
    found = global_significance([[shape_search((n, truth.edges))]], toys=60)
    figure = plot_scan({"data": result}, global_p=found.p, header=Header("Simulation", "13 TeV"))
    assert lines(figure)["data"][1] == pytest.approx(result.p0)
    assert figure.axes[0].get_ylim()[0] < result.p0.min()
    assert f"{result.z[result.best]:.2f}" in texts(figure)
    assert f"{found.p:.2g}" in texts(figure)
    figure = plot_global(found)
    assert f"Data: local $Z$ = {found.local_z:.2f}" in labels(figure)
    assert f"{found.gross_vitells_p:.2g}" in texts(figure)
    assert as_png(figure)


def test_scans_of_several_windows_are_curves_of_one_colour_under_one_label(truth: Truth) -> None:
    results = [scan((truth.observed(seed), truth.edges), toys=0) for seed in range(3)]
    drawn = plot_scan({"all": results[0], "windows": results[1:]}).axes[0]
    curves = [line for line in drawn.lines if len(line.get_xdata()) == len(results[0].masses)]
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ["all", "windows"]
    assert len(curves) == 3
    assert curves[1].get_color() == curves[2].get_color() != curves[0].get_color()


def test_many_null_distributions_are_not_named_one_by_one() -> None:
    figure = plot_calibration({f"W{i}": RNG.normal(0, 1, 50) for i in range(12)})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["Unit Gaussian"]
    assert "12 distributions" in texts(figure)


def test_limits_in_fb_or_events_against_mass_or_width() -> None:
    expected = np.array([20.0, 28.0, 40.0, 56.0, 80.0])
    in_fb = [make_limit(0.95, events, expected, 1.0, 10.0, 1.0, "asymptotic") for events in (35.0, 90.0, 41.0)]
    figure = plot_limits(limit_curve([2000, 2500, 3000], in_fb), note="Gaussian, 5 %")
    assert lines(figure)["Observed"][1] == pytest.approx([3.5, 9, 4.1])
    assert "[fb]" in figure.axes[0].get_ylabel()
    assert "95$\\,$% CL" in figure.axes[0].get_ylabel()
    assert "Gaussian, 5 %" in texts(figure)
    in_events = [make_limit(0.95, events, expected, 1.0, None, 1.0, "asymptotic") for events in (35.0, 90.0, 41.0)]
    figure = plot_limits(limit_curve([0.03, 0.05, 0.1], in_events, "width"))
    assert lines(figure)["Observed"][1].tolist() == [35, 90, 41]
    assert lines(figure)["Observed"][0] == pytest.approx([3, 5, 10])
    assert figure.axes[0].get_xlabel() == "Width over mass [%]"
    blind = plot_limits(limit_curve([2000, 2500, 3000], in_fb), observed=False)
    assert "Observed" not in labels(blind)
    assert as_png(blind)


def test_no_p_value_as_counted_without_saying_so(truth: Truth) -> None:
    result = scan((truth.observed(1, signal=600), truth.edges), toys=0)
    figure = plot_scan({"efficiency 0.01": result})
    assert "uncalibrated" in figure.axes[0].get_ylabel()
    assert "as counted, uncalibrated" in texts(figure)
    figure = plot_scan(
        {"efficiency 0.01": result}, corrected={"efficiency 0.01": [CorrectedPoint(truth.window, 4.54, 0.5)]}
    )
    assert "After calibration" in texts(figure)
    assert r"local $Z$ = 4.54 $\pm$ 0.50" in texts(figure)
    assert "efficiency 0.01, corrected" in labels(figure)
    figure = plot_scan({"all": result}, calibrated=True)
    assert "uncalibrated" not in figure.axes[0].get_ylabel() + texts(figure)
    assert "as counted" in plot_calibration({"a": RNG.normal(0, 1, 50)}).axes[0].get_xlabel()
    assert "corrected" in plot_calibration({"a": RNG.normal(0, 1, 50)}, corrected=True).axes[0].get_xlabel()
    z = {"a": RNG.normal(0, 1, 50)}
    assert "$p$ as counted" in plot_null_p(z).axes[0].get_ylabel()
    assert "$p$ corrected" in plot_null_p(z, corrected=True).axes[0].get_ylabel()
    assert "$p$ corrected" in plot_calibration(z, corrected=True).axes[1].get_ylabel()
    x = np.array([0.0, 1.0])
    assert "uncalibrated" in plot_injection({"a": Band(x, x)}).axes[0].get_ylabel()


@pytest.mark.parametrize("z", [25.0, 36.0, 60.0])
def test_an_excess_whose_p_value_is_no_number_any_more_is_drawn(truth: Truth, z: float) -> None:
    result = scan((truth.observed(1, signal=600), truth.edges), toys=0)
    large = replace(result, z=result.z + z, p0=p_value(result.z + z))
    points = {"efficiency 0.01": [CorrectedPoint(truth.window, z, 2.0)]}
    figure = plot_scan({"all": result, "efficiency 0.01": large}, global_p=1e-9, corrected=points)
    bottom, top = figure.axes[0].get_ylim()
    assert 0 < bottom < 1e-100 < 1 < top
    assert as_png(figure)


def test_a_bound_is_drawn_as_a_bound(truth: Truth) -> None:
    found = global_significance([[shape_search((truth.observed(3, signal=600), truth.edges), [2700])]], toys=60)
    assert "Global $p$ <" in texts(plot_global(found))
    result = scan((truth.observed(3, signal=600), truth.edges), toys=0)
    assert "Global $p$ < 0.016" in texts(plot_scan({"all": result}, global_p=1 / 61, global_is_bound=True))
    assert "Global $p$ = 0.016" in texts(plot_scan({"all": result}, global_p=1 / 61))


def test_curves_are_told_apart_in_grey() -> None:
    x = np.linspace(0.01, 1, 20)
    drawn = plot_roc({label: Band(x, x**power) for label, power in (("a", 2), ("b", 3), ("c", 4))}).axes[0].lines
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in drawn[:3]}) == 3


def test_calibration_tells_a_wrong_width_from_a_right_one() -> None:
    figure = plot_calibration({"good": RNG.normal(0, 1, 2000), "bad": RNG.normal(0, 1.2, 2000)})
    _, width = labels(figure)[1].removeprefix("bad: ").split(", ")
    assert float(width.split()[0]) == pytest.approx(1.2, abs=0.08)
    _, good = lines(figure, 1)["good"]
    _, bad = lines(figure, 1)["bad"]
    assert good[20] == pytest.approx(1, abs=0.5)
    assert bad[:20].mean() > 2


def test_null_pictures_alone_show_what_the_pair_shows_and_fit_a_telephone() -> None:
    nulls = {"good": RNG.normal(0, 1, 200), "bad": RNG.normal(0, 1.2, 200)}
    pair, z, p = plot_calibration(nulls), plot_null_z(nulls), plot_null_p(nulls)
    assert labels(z) == labels(pair)
    assert lines(p)["bad"][1] == pytest.approx(lines(pair, 1)["bad"][1])
    assert "corrected" in plot_null_z(nulls, corrected=True).axes[0].get_xlabel()
    for figure in (z, p):
        width, height = figure.get_size_inches()
        assert len(figure.axes) == 1
        assert width < 1.6 * height


def test_classifier_pictures() -> None:
    efficiency = np.linspace(0, 1, 50)
    figure = plot_roc({"a": Band(efficiency, efficiency**2)})
    x, y = lines(figure)["a"]
    assert y == pytest.approx(1 / x**2)
    grid = np.geomspace(1e-3, 1, 30)
    figure = plot_sic({"a": Band(grid, grid**0.25, 0.9 * grid**0.25, grid**0.25)}, floor=0.01)
    assert "too few events" in texts(figure)
    figure = plot_scores({"window": RNG.random(500), "low": RNG.random(400)}, thresholds={"1 %": 0.99})
    assert labels(figure) == ["window (500)", "low (400)"]
    assert as_png(figure)


def test_closure_pictures() -> None:
    edges = np.linspace(1500, 4500, 13)
    total = np.full(12, 2000.0)
    figure = plot_efficiency(edges, total, {"1 %": RNG.binomial(2000, 0.01, 12)}, window=(2500, 3000))
    assert "mean 0.01" in texts(figure) or "mean 0.009" in texts(figure)
    mass = RNG.uniform(1500, 4500, 5000)
    figure = plot_score_profile(mass, mass / 4500 + 0.01 * RNG.random(5000), edges, window=(2500, 3000))
    assert labels(figure) == ["50 % quantile", "90 % quantile", "99 % quantile"]
    few = plot_score_profile(mass[:600], mass[:600] / 4500, edges)  # 50 events a bin, none of them beyond 99 %
    assert labels(few) == ["50 % quantile", "90 % quantile"]
    assert as_png(figure)


def test_injection() -> None:
    x = np.array([0.0, 100.0, 200.0])
    figure = plot_injection({"a": Band(x, x / 50, x / 50 - 1, x / 50 + 1), "b": Band(x, x / 100)})
    assert labels(figure) == ["a", "b"]
    assert lines(figure)["b"][1].tolist() == [0, 1, 2]
    assert "Perfect" in labels(plot_injection({"a": Band(x, x)}, reference="identity"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infinite = plot_injection({"a": Band(x, np.where(x > x[0], x, -np.inf), np.full(len(x), -np.inf), x + 1)})
        as_png(infinite)
    assert np.isfinite(infinite.axes[0].get_ylim()).all()


def test_embedding() -> None:
    points = RNG.normal(size=(300, 2))
    figure = plot_embedding(points, classes=np.repeat(["QCD", "top"], 150), values={"mass": points[:, 0]})
    assert labels(figure) == ["QCD", "top"]
    assert len(figure.axes) == 3
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == 300
    assert as_png(plot_embedding(points))
    with pytest.raises(HistogramError, match=r"\[point, 2\]"):
        plot_embedding(RNG.normal(size=(10, 3)))
