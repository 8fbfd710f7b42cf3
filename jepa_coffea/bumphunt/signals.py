"""What a resonance looks like in the spectrum: expected events per bin for a yield of 1, at any mass.

Uncertainties are as in the combined Higgs boson searches of ATLAS and CMS (ATL-PHYS-PUB-2011-11, CMS NOTE-2011/005):
those of rates are log-normal, those of shapes are templates at +1 and -1 standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
from scipy import stats

from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.spectrum import check_edges
from jepa_coffea.errors import HistogramError


class Signal(Protocol):
    """Anything that makes a template for a mass."""

    @property
    def relative_width(self) -> float:
        """Standard deviation over mass; sets the default spacing of a scan."""

    def template(self, edges: Array, mass: float) -> Array:
        """Events of a resonance with a yield of 1.

        Parameters
        ----------
        edges
            [bin + 1], GeV.
        mass
            GeV.

        Returns
        -------
        Array
            [bin]; what falls outside the edges is lost.
        """

    def widened(self, factor: float) -> Signal:
        """The same signal with a larger width.

        Parameters
        ----------
        factor
            New width over old.

        Returns
        -------
        Signal
        """


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian peak whose width is a fixed fraction of its mass.

    Raises
    ------
    HistogramError
        If the width is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> float(Gaussian(0.05).template(np.array([2850.0, 3150.0]), 3000.0).round(3)[0])
    0.683
    """

    relative_width: float = 0.05
    """Standard deviation over mass."""

    def __post_init__(self) -> None:
        if not 0 < self.relative_width < 1:
            msg = f"relative_width is sigma / mass, between 0 and 1, got {self.relative_width:g}"
            raise HistogramError(msg)

    def template(self, edges: Array, mass: float) -> Array:
        """Events of a resonance with a yield of 1.

        Parameters
        ----------
        edges
            [bin + 1], GeV.
        mass
            GeV.

        Returns
        -------
        Array
            [bin]; what falls outside the edges is lost.
        """
        return np.diff(stats.norm.cdf(edges, mass, self.relative_width * mass))

    def widened(self, factor: float) -> Gaussian:
        """The same signal with a larger width.

        Parameters
        ----------
        factor
            New width over old.

        Returns
        -------
        Gaussian
        """
        return Gaussian(self.relative_width * factor)


@dataclass(frozen=True, eq=False)
class SignalTemplate:
    """A simulated peak at one mass, moved to others by stretching its mass axis in proportion.

    Raises
    ------
    HistogramError
        If counts and edges do not belong together, counts are negative or all 0, or the peak has no width.
    """

    counts: Array
    """[bin] of the simulated signal; any normalisation, negative weights not allowed."""
    edges: Array
    """[bin + 1], GeV."""
    mass: float
    """The mass that was simulated, GeV."""

    def __post_init__(self) -> None:
        check_edges(self.edges)
        if self.counts.shape != (len(self.edges) - 1,) or not (self.counts >= 0).all() or not self.counts.sum() > 0:
            msg = "a signal template needs one non-negative count per bin, and something in them"
            raise HistogramError(msg)
        if not 0 < self.relative_width < 1:
            msg = (
                f"a signal template needs a standard deviation between 0 and its mass of {self.mass:g}, got "
                f"{self.relative_width * self.mass:g}; what is in one bin has no width"
            )
            raise HistogramError(msg)

    @property
    def relative_width(self) -> float:
        """Standard deviation over mass.

        Returns
        -------
        float
        """
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        mean = np.average(centres, weights=self.counts)
        return float(np.sqrt(np.average((centres - mean) ** 2, weights=self.counts)) / self.mass)

    def template(self, edges: Array, mass: float) -> Array:
        """Events of a resonance with a yield of 1.

        Parameters
        ----------
        edges
            [bin + 1], GeV.
        mass
            GeV.

        Returns
        -------
        Array
            [bin]; what falls outside the edges is lost.
        """
        cumulative = np.concatenate([[0], np.cumsum(self.counts)]) / self.counts.sum()
        return np.diff(np.interp(edges, self.edges * mass / self.mass, cumulative))

    def widened(self, factor: float) -> SignalTemplate:
        """The same signal with a larger width, stretched about its mass.

        Parameters
        ----------
        factor
            New width over old.

        Returns
        -------
        SignalTemplate
        """
        return replace(self, edges=self.mass + (self.edges - self.mass) * factor)


@dataclass(frozen=True)
class SignalSystematics:
    """Relative uncertainties of a signal, each a nuisance of a limit; 0 leaves it out.

    Raises
    ------
    HistogramError
        If an uncertainty is not between 0 and 1.

    Examples
    --------
    >>> SignalSystematics(luminosity=0.016, scale=0.02).rates()
    {'luminosity': 0.016}
    """

    luminosity: float = 0.0
    """Of the integrated luminosity."""
    efficiency: float = 0.0
    """Of the share of signal that is selected."""
    scale: float = 0.0
    """Of the mass scale: the peak moves by this share of its mass."""
    resolution: float = 0.0
    """Of the width of the peak."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < 1:
                msg = f"the {field.name} uncertainty of a signal is relative, between 0 and 1, got {value:g}"
                raise HistogramError(msg)

    def rates(self) -> dict[str, float]:
        """What changes the number of signal events.

        Returns
        -------
        dict of str to float
            Relative uncertainties; each is a log-normal nuisance.
        """
        return {name: getattr(self, name) for name in ("luminosity", "efficiency") if getattr(self, name) > 0}

    def shapes(self, signal: Signal, edges: Array, mass: float) -> dict[str, tuple[Array, Array]]:
        """What changes the shape of the signal.

        Parameters
        ----------
        signal
            The signal.
        edges
            [bin + 1], GeV.
        mass
            GeV.

        Returns
        -------
        dict of str to tuple
            Templates [bin] at +1 and at -1 standard deviation, for a yield of 1.
        """
        found = {}
        if self.scale > 0:
            found["scale"] = tuple(signal.template(edges, mass * (1 + sign * self.scale)) for sign in (1, -1))
        if self.resolution > 0:
            found["resolution"] = tuple(
                signal.widened(1 + sign * self.resolution).template(edges, mass) for sign in (1, -1)
            )
        return found  # type: ignore[return-value]


def default_masses(edges: Array, signal: Signal) -> Array:
    """Mass hypotheses for a scan.

    Parameters
    ----------
    edges
        [bin + 1], GeV.
    signal
        Its width sets the spacing.

    Returns
    -------
    Array
        [mass], GeV: half a width apart, starting and ending where the peak is still whole inside the edges.

    Raises
    ------
    HistogramError
        If the signal is wider than the edges.
    """
    w = signal.relative_width
    low, high = edges[0] / max(1 - 2 * w, 1e-9), edges[-1] / (1 + 2 * w)
    if not low < high:
        msg = f"a signal of relative width {w:g} does not fit between {edges[0]:g} and {edges[-1]:g}"
        raise HistogramError(msg)
    return np.geomspace(low, high, max(2, int(np.ceil(np.log(high / low) / (w / 2)))))
