import numpy as np
import pytest

from jepa_coffea.bumphunt import Gaussian, HistogramError, SignalTemplate
from jepa_coffea.bumphunt.signals import default_masses

EDGES = np.linspace(1000, 5000, 401)


def moments(template: np.ndarray) -> tuple[float, float]:
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    mean = np.average(centres, weights=template)
    return mean, float(np.sqrt(np.average((centres - mean) ** 2, weights=template)))


def test_gaussian() -> None:
    template = Gaussian(0.05).template(EDGES, 3000)
    assert template.sum() == pytest.approx(1)
    assert moments(template) == pytest.approx((3000, 150), rel=1e-3)
    assert Gaussian(0.05).template(EDGES, 1000).sum() == pytest.approx(0.5, abs=1e-6)


def test_template_moves_with_mass() -> None:
    shape = SignalTemplate(7 * Gaussian(0.04).template(EDGES, 3000), EDGES, 3000)
    assert shape.relative_width == pytest.approx(0.04, rel=1e-2)
    moved = shape.template(EDGES, 2000)
    assert moved.sum() == pytest.approx(1)
    assert moments(moved) == pytest.approx((2000, 80), rel=1e-2)
    assert shape.template(EDGES, 3000) == pytest.approx(shape.counts / 7, abs=1e-12)


def test_default_masses_keep_the_peak_inside() -> None:
    masses = default_masses(EDGES, Gaussian(0.05))
    assert min(Gaussian(0.05).template(EDGES, mass).sum() for mass in masses) > 0.95
    assert np.all(np.diff(masses) < 0.026 * masses[1:])


def test_refuses() -> None:
    with pytest.raises(HistogramError, match="sigma / mass"):
        Gaussian(120)
    with pytest.raises(HistogramError, match="non-negative"):
        SignalTemplate(np.array([1.0, -1.0]), np.array([0.0, 1.0, 2.0]), 1.0)
    with pytest.raises(HistogramError, match="does not fit"):
        default_masses(np.array([1000.0, 1100.0]), Gaussian(0.2))
