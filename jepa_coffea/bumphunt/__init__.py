"""The bump hunt on histograms: background fits, p-values, their calibration, exports and the report."""

from jepa_coffea.bumphunt.background import BackgroundFit, Prediction, fit_background
from jepa_coffea.bumphunt.errors import FitError, HistogramError
from jepa_coffea.bumphunt.global_significance import GlobalSignificance, global_significance
from jepa_coffea.bumphunt.scan import Scan, scan, shape_search
from jepa_coffea.bumphunt.searches import ShapeSearch, WindowSearch
from jepa_coffea.bumphunt.signals import Gaussian, Template
from jepa_coffea.bumphunt.significance import counting_significance, p_value, z_value
from jepa_coffea.bumphunt.spectrum import Spectrum, as_spectrum

__all__ = [
    "BackgroundFit",
    "FitError",
    "Gaussian",
    "GlobalSignificance",
    "HistogramError",
    "Prediction",
    "Scan",
    "ShapeSearch",
    "Spectrum",
    "Template",
    "WindowSearch",
    "as_spectrum",
    "counting_significance",
    "fit_background",
    "global_significance",
    "p_value",
    "scan",
    "shape_search",
    "z_value",
]
