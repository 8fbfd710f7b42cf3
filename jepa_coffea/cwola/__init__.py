"""Classification without labels: windows, weights, nested folds, classifiers, selection, closure gates."""

from jepa_coffea.cwola.folds import Folds, event_hash

__all__ = ["Folds", "event_hash"]
