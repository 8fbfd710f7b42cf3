"""Pictures of a bump hunt; each function returns a matplotlib figure, ``save`` writes it."""

from jepa_coffea.bumphunt.plots.spectrum import plot_spectra
from jepa_coffea.bumphunt.plots.style import Header, as_png, save

__all__ = ["Header", "as_png", "plot_spectra", "save"]
