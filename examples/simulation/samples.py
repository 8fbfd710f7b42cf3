"""What a sample of jets is made of: the ten classes of JetClass, one per file, and families of many classes."""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from examples.simulation import jetclass
from examples.simulation.clustering import Jets
from examples.simulation.families import FAMILIES, FAMILY_ETA_MAX, FAMILY_PT, family_settings
from examples.simulation.flavours import qcd_jets, resonance_jets
from examples.simulation.generate import EventRecord
from examples.simulation.processes import JET_CLASSES, JET_ETA_MAX, JET_PT, jet_settings
from examples.simulation.truth import CLASSES, Truth, match


@dataclass(frozen=True)
class ClassSample:
    """Jets of one class of JetClass."""

    name: str
    pt = JET_PT
    eta_max = JET_ETA_MAX

    @property
    def file_name(self) -> str:
        """Beginning of the names of its files.

        Returns
        -------
        str
        """
        return JET_CLASSES[self.name].file_name

    def settings(self, *, mpi: bool) -> list[tuple[str, ...]]:
        """Pythia settings of each variant.

        Parameters
        ----------
        mpi
            Whether there are multi-parton interactions.

        Returns
        -------
        list of tuple of str
        """
        return jet_settings(self.name, mpi=mpi)

    def truth(self, record: EventRecord, jets: Jets) -> Truth:
        """What the jets hold; label -1 for those of other classes.

        Parameters
        ----------
        record
            What was generated.
        jets
            Jets of these events.

        Returns
        -------
        Truth
        """
        return match(record, jets).only(CLASSES.index(self.name))

    def labels(self, truth: Truth) -> dict[str, ak.Array]:
        """The label branches of these jets.

        Parameters
        ----------
        truth
            What the jets hold.

        Returns
        -------
        dict of Array
        """
        return jetclass.flags(len(truth.label), self.name)


@dataclass(frozen=True)
class FamilySample:
    """Jets of many classes of JetClass-II."""

    name: str
    pt = FAMILY_PT
    eta_max = FAMILY_ETA_MAX

    @property
    def file_name(self) -> str:
        """Beginning of the names of its files.

        Returns
        -------
        str
        """
        return FAMILIES[self.name].file_name

    def settings(self, *, mpi: bool) -> list[tuple[str, ...]]:
        """Pythia settings of each variant.

        Parameters
        ----------
        mpi
            Whether there are multi-parton interactions.

        Returns
        -------
        list of tuple of str
        """
        return family_settings(self.name, mpi=mpi)

    def truth(self, record: EventRecord, jets: Jets) -> Truth:
        """What the jets hold; label -1 for those of no class.

        Parameters
        ----------
        record
            What was generated.
        jets
            Jets of these events.

        Returns
        -------
        Truth
        """
        return (resonance_jets if FAMILIES[self.name].resonant else qcd_jets)(record, jets)

    def labels(self, truth: Truth) -> dict[str, ak.Array]:
        """The label branch of these jets.

        Parameters
        ----------
        truth
            What the jets hold.

        Returns
        -------
        dict of Array
        """
        return {"jet_label": ak.Array(truth.label.astype(np.int32))}


Sample = ClassSample | FamilySample


def sample(name: str) -> Sample:
    """The sample of a class or family.

    Parameters
    ----------
    name
        Of the class or family.

    Returns
    -------
    ClassSample or FamilySample

    Raises
    ------
    KeyError
        If there is neither.
    """
    if name in FAMILIES:
        return FamilySample(name)
    if name in JET_CLASSES:
        return ClassSample(name)
    raise KeyError(name)
