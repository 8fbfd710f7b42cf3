"""What an upper limit says, and the same at many masses or widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.errors import HistogramError


@dataclass(frozen=True, eq=False)
class Limit(Record):
    """Upper limit on the signal strength, on the events it stands for, and on the cross-section."""

    level: float
    """Confidence level."""
    strength: float
    """Observed, in units of the model's signal."""
    expected_strength: Array
    """[5]: at -2, -1, 0, 1, 2 standard deviations of background-only data."""
    events: float
    """Observed limit on signal events in the model's bins."""
    expected_events: Array
    """[5]."""
    cross_section: float
    """Observed, in fb; NaN without a luminosity."""
    expected_cross_section: Array
    """[5]."""
    method: str = "asymptotic"
    """Where the distributions of the test statistic come from."""


def make_limit(
    level: float,
    strength: float,
    band: Array,
    events: float,
    luminosity: float | None,
    efficiency: float,
    method: str,
) -> Limit:
    """A limit on the strength, in events and as a cross-section.

    Parameters
    ----------
    level
        Confidence level.
    strength
        Observed.
    band
        [5]: expected strengths.
    events
        Signal events in the model's bins at a strength of 1.
    luminosity
        In 1/fb; None for no cross-section.
    efficiency
        Share of produced signal events that are in the model's bins.
    method
        See :class:`Limit`.

    Returns
    -------
    Limit

    Raises
    ------
    HistogramError
        Unless the luminosity is positive and 0 < efficiency <= 1.
    """
    if not 0 < efficiency <= 1 or (luminosity is not None and not luminosity > 0):
        msg = f"a cross-section needs luminosity > 0 and 0 < efficiency <= 1, got {luminosity} and {efficiency:g}"
        raise HistogramError(msg)
    per_event = float("nan") if luminosity is None else 1 / (luminosity * efficiency)
    return Limit(
        level=level,
        strength=strength,
        expected_strength=band,
        events=strength * events,
        expected_events=band * events,
        cross_section=strength * events * per_event,
        expected_cross_section=band * events * per_event,
        method=method,
    )


@dataclass(frozen=True, eq=False)
class LimitCurve(Record):
    """Limits against mass, or against width."""

    axis: str
    """``"mass"`` (GeV) or ``"width"`` (relative: sigma over mass)."""
    points: Array
    """[point]: rising."""
    level: float
    events: Array
    """[point]: observed limit on signal events that pass the selection."""
    expected_events: Array
    """[point, 5]."""
    cross_section: Array
    """[point]: fb; NaN without a luminosity."""
    expected_cross_section: Array
    """[point, 5]."""
    methods: tuple[str, ...]
    """[point]: see :attr:`Limit.method`; why there is no limit, where it is NaN."""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where there is a limit.

        Returns
        -------
        Array
            bool [point].
        """
        return np.asarray(np.isfinite(self.expected_events).all(axis=1))

    @property
    def in_fb(self) -> bool:
        """Whether there are limits on the cross-section.

        Returns
        -------
        bool
        """
        return bool(np.isfinite(self.expected_cross_section[self.known]).all())


def limit_curve(points: npt.ArrayLike, limits: Sequence[Limit], axis: str = "mass") -> LimitCurve:
    """Limits at several masses or widths as one curve.

    Parameters
    ----------
    points
        [point]: masses in GeV, or relative widths.
    limits
        [point].
    axis
        ``"mass"`` or ``"width"``.

    Returns
    -------
    LimitCurve
        In rising order of ``points``.

    Raises
    ------
    HistogramError
        Unless there is one limit for each point, all of one confidence level.
    """
    x = np.asarray(points, dtype=float)
    if x.ndim != 1 or not len(x) or len(x) != len(limits):
        msg = f"a curve of limits needs one limit for each point, got {len(limits)} for points of shape {x.shape}"
        raise HistogramError(msg)
    levels = {limit.level for limit in limits}
    if len(levels) > 1:
        msg = f"the limits of one curve need one confidence level, got {sorted(levels)}"
        raise HistogramError(msg)
    order = np.argsort(x)
    chosen = [limits[i] for i in order]
    return LimitCurve(
        axis=axis,
        points=x[order],
        level=limits[0].level,
        events=np.array([limit.events for limit in chosen]),
        expected_events=np.array([limit.expected_events for limit in chosen]),
        cross_section=np.array([limit.cross_section for limit in chosen]),
        expected_cross_section=np.array([limit.expected_cross_section for limit in chosen]),
        methods=tuple(limit.method for limit in chosen),
    )
