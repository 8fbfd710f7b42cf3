"""Pictures of a bump hunt; each function returns a matplotlib figure, ``save`` writes it."""

from jepa_coffea.bumphunt.plots.calibration import plot_calibration
from jepa_coffea.bumphunt.plots.classifier import Band, plot_roc, plot_scores, plot_sic
from jepa_coffea.bumphunt.plots.closure import plot_efficiency, plot_score_profile
from jepa_coffea.bumphunt.plots.embedding import plot_embedding
from jepa_coffea.bumphunt.plots.injection import plot_injection
from jepa_coffea.bumphunt.plots.scan import plot_limits, plot_scan
from jepa_coffea.bumphunt.plots.spectrum import plot_spectra
from jepa_coffea.bumphunt.plots.style import Header, as_png, save
from jepa_coffea.bumphunt.plots.toys import plot_global

__all__ = [
    "Band",
    "Header",
    "as_png",
    "plot_calibration",
    "plot_efficiency",
    "plot_embedding",
    "plot_global",
    "plot_injection",
    "plot_limits",
    "plot_roc",
    "plot_scan",
    "plot_score_profile",
    "plot_scores",
    "plot_sic",
    "plot_spectra",
    "save",
]
