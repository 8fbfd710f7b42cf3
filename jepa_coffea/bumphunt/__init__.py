"""The bump hunt on histograms: background fits, p-values, their calibration, exports and the report."""

from jepa_coffea.bumphunt.background import BackgroundFit, Prediction
from jepa_coffea.bumphunt.coverage import Coverage, check_coverage
from jepa_coffea.bumphunt.envelope import function_envelope, spurious_signal
from jepa_coffea.bumphunt.fit import fit_background
from jepa_coffea.bumphunt.ftest import f_test
from jepa_coffea.bumphunt.global_significance import GlobalSignificance, global_significance
from jepa_coffea.bumphunt.pass_fail import fit_transfer_factor
from jepa_coffea.bumphunt.scan import Scan, scan, shape_search
from jepa_coffea.bumphunt.searches import ShapeSearch, WindowSearch
from jepa_coffea.bumphunt.signals import Gaussian, SignalTemplate
from jepa_coffea.bumphunt.significance import counting_significance, p_value, z_value
from jepa_coffea.bumphunt.spectrum import Spectrum, as_spectrum
from jepa_coffea.errors import FitError, HistogramError

__all__ = [
    "BackgroundFit",
    "Coverage",
    "FitError",
    "Gaussian",
    "GlobalSignificance",
    "HistogramError",
    "Prediction",
    "Scan",
    "ShapeSearch",
    "SignalTemplate",
    "Spectrum",
    "WindowSearch",
    "as_spectrum",
    "check_coverage",
    "counting_significance",
    "f_test",
    "fit_background",
    "fit_transfer_factor",
    "function_envelope",
    "global_significance",
    "p_value",
    "scan",
    "shape_search",
    "spurious_signal",
    "z_value",
]
