"""The event side of a batch run: select dijets, embed, write, resume and account for every event."""

from jepa_coffea.processing.dijets import DijetSelection
from jepa_coffea.processing.processor import DijetEmbedder
from jepa_coffea.processing.systematics import EnergyScale, Systematics

__all__ = ["DijetEmbedder", "DijetSelection", "EnergyScale", "Systematics"]
