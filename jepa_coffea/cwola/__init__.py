"""Classification without labels: windows, weights, nested folds, classifiers, selection, closure gates."""

from jepa_coffea.cwola.cwola import CWoLa
from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.cwola.folds import Folds, event_hash
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.windows import CMS_ALPHA, CMS_BETA, Window, Windows

__all__ = ["CMS_ALPHA", "CMS_BETA", "CWoLa", "Folds", "Recipe", "Window", "WindowScores", "Windows", "event_hash"]
