"""Smoothly falling functions of the dijet search, all of the form exp(sum of parameters times fixed terms).

With ``x = m / sqrt(s)`` every member of the dijet family and every alternate here has a logarithm linear in its
parameters. That one property gives exact gradients, a likelihood that is close to convex, and a reparametrisation
in which the strongly correlated parameters come out uncorrelated (see ``likelihood``). ``dijet3`` is the function of
the dijet searches of CDF (arXiv:0812.4036), ATLAS (arXiv:1910.08447) and CMS (arXiv:1911.03947); the rest of its family
has fewer or more of the same terms, and the alternates are chosen to differ from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.errors import HistogramError, did_you_mean

Array = npt.NDArray[np.float64]
Term = Callable[[Array], Array]

MINIMUM_EVENTS = {2: 12.0, 3: 20.0, 4: 40.0, 5: 250.0}
"""Shape parameters -> expected events beside the window with which less than one fit in a hundred fails.

Measured with pseudo-experiments of a falling dijet spectrum of 30 bins that have events on both sides of the window.
"""

NODES = 6
"""Gauss-Legendre nodes per bin: exact for polynomials of degree 11, so far below Poisson errors in any sane bin."""


@dataclass(frozen=True)
class Function:
    """``density(x) = exp(p0 + p1 t1(x) + p2 t2(x) + ...)`` in events per unit of mass; p0 is its normalisation."""

    name: str
    formula: str
    """In LaTeX, without the normalisation."""
    terms: tuple[Term, ...]
    """What p1, p2, ... multiply."""

    @property
    def n_parameters(self) -> int:
        """Shape parameters and the normalisation.

        Returns
        -------
        int
        """
        return 1 + len(self.terms)

    @property
    def minimum_events(self) -> float:
        """Expected events beside the window below which fits fail too often; more parameters need more.

        Returns
        -------
        float
        """
        return MINIMUM_EVENTS.get(len(self.terms), MINIMUM_EVENTS[max(MINIMUM_EVENTS)])

    def design(self, x: Array) -> Array:
        """The terms that the parameters multiply.

        Parameters
        ----------
        x
            [...]: mass over sqrt(s).

        Returns
        -------
        Array
            [..., parameter]: the first is 1.
        """
        return np.stack([np.ones_like(x), *(term(x) for term in self.terms)], axis=-1)


def quadrature(edges: Array) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights of every bin.

    Parameters
    ----------
    edges
        [bin + 1], GeV.

    Returns
    -------
    nodes
        [bin, NODES], GeV.
    weights
        [bin, NODES], GeV.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(edges)[:, None] / 2
    return edges[:-1, None] + half * (1 + nodes), half * weights


def _log1m(x: Array) -> Array:
    return np.log1p(-x)


def _log(x: Array) -> Array:
    return -np.log(x)


def _log2(x: Array) -> Array:
    return -(np.log(x) ** 2)


def _log3(x: Array) -> Array:
    return -(np.log(x) ** 3)


def _linear(x: Array) -> Array:
    return -x


def _square(x: Array) -> Array:
    return -(x**2)


FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        Function("dijet2", r"(1-x)^{p_1}\,x^{-p_2}", (_log1m, _log)),
        Function("dijet3", r"(1-x)^{p_1}\,x^{-(p_2+p_3\ln x)}", (_log1m, _log, _log2)),
        Function("dijet4", r"(1-x)^{p_1}\,x^{-(p_2+p_3\ln x+p_4\ln^2 x)}", (_log1m, _log, _log2, _log3)),
        Function(
            "dijet5",
            r"(1-x)^{p_1}\,x^{-(p_2+p_3\ln x+p_4\ln^2 x)}\,e^{-p_5 x}",
            (_log1m, _log, _log2, _log3, _linear),
        ),
        Function("expdijet2", r"e^{-p_1 x}\,x^{-p_2}", (_linear, _log)),
        Function("expdijet3", r"e^{-p_1 x}\,x^{-(p_2+p_3\ln x)}", (_linear, _log, _log2)),
        Function("powexp3", r"x^{-p_1}\,e^{-p_2 x-p_3 x^2}", (_log, _linear, _square)),
    )
}
"""By name. The digit counts the shape parameters; the normalisation comes on top. Add your own under its name."""

DIJET_FAMILY = ("dijet2", "dijet3", "dijet4", "dijet5")
"""The nested family, from stiff to flexible."""

ALTERNATES = ("expdijet2", "expdijet3", "powexp3")


def get_function(name: str) -> Function:
    """Look up a function.

    Parameters
    ----------
    name
        A key of ``FUNCTIONS``.

    Returns
    -------
    Function

    Raises
    ------
    HistogramError
        For an unknown name.
    """
    if name not in FUNCTIONS:
        msg = f"no function is named {name!r}; {did_you_mean(name, FUNCTIONS)}"
        raise HistogramError(msg)
    return FUNCTIONS[name]


def check_masses(edges: Array, sqrt_s: float) -> None:
    """Refuse masses at which the functions are not defined, or that are in another unit than ``sqrt_s``.

    Parameters
    ----------
    edges
        [bin + 1], GeV.
    sqrt_s
        Centre-of-mass energy, GeV.

    Raises
    ------
    HistogramError
        Unless 0 < m / sqrt(s) < 1 over all edges, and the last edge is above a thousandth of ``sqrt_s``: masses in TeV
        beside a ``sqrt_s`` in GeV never are.
    """
    if edges[-1] < sqrt_s / 1000:
        msg = (
            f"all masses ({edges[0]:g} to {edges[-1]:g}) are below a thousandth of sqrt_s = {sqrt_s:g}: are the masses "
            f"in TeV and sqrt_s in GeV? Give both in GeV"
        )
        raise HistogramError(msg)
    if not (edges[0] > 0 and edges[-1] < sqrt_s):
        msg = (
            f"masses must lie between 0 and sqrt_s = {sqrt_s:g} (same unit), got {edges[0]:g} to {edges[-1]:g}. "
            f"Is one of them in TeV and the other in GeV?"
        )
        raise HistogramError(msg)
