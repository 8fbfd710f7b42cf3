"""Pictures of embeddings, classifiers and bump hunts; each function returns a matplotlib figure, ``save`` writes it."""

from jepa_coffea.plots.classifier import Band, plot_roc, plot_scores, plot_sic
from jepa_coffea.plots.embedding_map import plot_embedding
from jepa_coffea.plots.injected_signal import plot_injection
from jepa_coffea.plots.largest_excess import plot_global
from jepa_coffea.plots.limit_bands import plot_limits
from jepa_coffea.plots.local_p import CorrectedPoint, plot_scan
from jepa_coffea.plots.mass_dependence import plot_efficiency, plot_score_profile
from jepa_coffea.plots.null_distributions import plot_calibration, plot_null_p, plot_null_z
from jepa_coffea.plots.spectra import plot_spectra
from jepa_coffea.plots.style import Header, as_png, save

__all__ = [
    "Band",
    "CorrectedPoint",
    "Header",
    "as_png",
    "plot_calibration",
    "plot_efficiency",
    "plot_embedding",
    "plot_global",
    "plot_injection",
    "plot_limits",
    "plot_null_p",
    "plot_null_z",
    "plot_roc",
    "plot_scan",
    "plot_score_profile",
    "plot_scores",
    "plot_sic",
    "plot_spectra",
    "save",
]
