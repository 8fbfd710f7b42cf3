"""The bump hunt on histograms: background fits, p-values, their calibration, exports and the report."""

from jepa_coffea.bumphunt.background import BackgroundFit, Prediction, fit_background
from jepa_coffea.bumphunt.errors import FitError, HistogramError
from jepa_coffea.bumphunt.significance import counting_significance, p_value, z_value
from jepa_coffea.bumphunt.spectrum import Spectrum, as_spectrum

__all__ = [
    "BackgroundFit",
    "FitError",
    "HistogramError",
    "Prediction",
    "Spectrum",
    "as_spectrum",
    "counting_significance",
    "fit_background",
    "p_value",
    "z_value",
]
