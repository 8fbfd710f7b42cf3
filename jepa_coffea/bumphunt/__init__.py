"""The bump hunt on histograms: background fits, p-values, their calibration, limits and exports."""

from jepa_coffea.bumphunt.background import BackgroundFit, Prediction
from jepa_coffea.bumphunt.calibrated import ZCalibration, calibrated_background
from jepa_coffea.bumphunt.coverage import Coverage, check_coverage
from jepa_coffea.bumphunt.envelope import function_uncertainty, spurious_signal, spurious_yields
from jepa_coffea.bumphunt.fit import check_expected_events, check_expected_sides, fit_background
from jepa_coffea.bumphunt.ftest import f_test
from jepa_coffea.bumphunt.global_significance import GlobalSignificance, global_significance
from jepa_coffea.bumphunt.limits import Limit, LimitCurve, cls_limit, counting_limit, mass_limits, width_limits
from jepa_coffea.bumphunt.pass_fail import fit_transfer_factor
from jepa_coffea.bumphunt.scan import Scan, scan, shape_search, width_searches
from jepa_coffea.bumphunt.searches import ShapeSearch, WindowSearch
from jepa_coffea.bumphunt.signals import Gaussian, SignalSystematics, SignalTemplate
from jepa_coffea.bumphunt.significance import counting_significance, p_value, z_value
from jepa_coffea.bumphunt.spectrum import Spectrum, as_spectrum
from jepa_coffea.bumphunt.window_model import WindowModel, window_model
from jepa_coffea.errors import FitError, HistogramError

__all__ = [
    "BackgroundFit",
    "Coverage",
    "FitError",
    "Gaussian",
    "GlobalSignificance",
    "HistogramError",
    "Limit",
    "LimitCurve",
    "Prediction",
    "Scan",
    "ShapeSearch",
    "SignalSystematics",
    "SignalTemplate",
    "Spectrum",
    "WindowModel",
    "WindowSearch",
    "ZCalibration",
    "as_spectrum",
    "calibrated_background",
    "check_coverage",
    "check_expected_events",
    "check_expected_sides",
    "cls_limit",
    "counting_limit",
    "counting_significance",
    "f_test",
    "fit_background",
    "fit_transfer_factor",
    "function_uncertainty",
    "global_significance",
    "mass_limits",
    "p_value",
    "scan",
    "shape_search",
    "spurious_signal",
    "spurious_yields",
    "width_limits",
    "width_searches",
    "window_model",
    "z_value",
]
