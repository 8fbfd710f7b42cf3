"""Limits on a resonance of a given width against its mass, from the spectrum without a selection."""

import numpy as np

from jepa_coffea.bumphunt import Gaussian, SignalSystematics, mass_limits
from jepa_coffea.bumphunt.function_uncertainty import spurious_yields
from jepa_coffea.bumphunt.limits import LimitCurve
from jepa_coffea.cwola.windows import Windows
from jepa_coffea.errors import FitError, HistogramError
from jepa_coffea.hunt.sections import SignalConfig, StatisticsConfig
from jepa_coffea.hunt.selections import Floats


def inclusive_limits(
    counts: Floats,
    windows: Windows,
    statistics: StatisticsConfig,
    signal: SignalConfig | None,
    luminosity: float | None = None,
) -> dict[str, LimitCurve | str]:
    """95 % CLs limits, observed and expected, for every width that the document asks for.

    What the background function may fake as a signal, with every other function that describes the spectrum as the
    truth, is a nuisance.

    Parameters
    ----------
    counts
        Events per bin without a selection, (bins,).
    windows
        Their bins.
    statistics
        The background function.
    signal
        Widths, efficiency and uncertainties; None for no limits.
    luminosity
        In 1/fb, for limits in fb.

    Returns
    -------
    dict
        Relative width in words to the limits, or to why there are none.
    """
    if signal is None:
        return {}
    found: dict[str, LimitCurve | str] = {}
    data, systematics = (counts, np.asarray(windows.edges)), SignalSystematics(**signal.uncertainties.model_dump())
    for width in signal.widths:
        how = {"function": statistics.function, "sqrt_s": statistics.sqrt_s, "signal": Gaussian(width)}
        try:
            faked = spurious_yields(data, toys=statistics.goodness_toys, **how)  # type: ignore[arg-type]
            found[f"width {width:g}"] = mass_limits(
                data,
                faked.masses,
                spurious=faked.events,
                systematics=systematics,
                luminosity=luminosity,
                efficiency=signal.efficiency,
                **how,  # type: ignore[arg-type]
            )
        except (FitError, HistogramError) as error:
            found[f"width {width:g}"] = str(error)
    return found
