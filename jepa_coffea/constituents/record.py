"""The canonical constituent record: which fields a particle has, in which units, and what stands for "no value"."""

from jepa_coffea.errors import JepaCoffeaError

KINEMATICS = ("px", "py", "pz", "energy")
"""Four-momentum in GeV, in the detector frame."""

IDENTITY = ("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
"""Charge in units of e, and five flags of which at most one is 1."""

DISPLACEMENT = ("d0", "d0_err", "dz", "dz_err")
"""Impact parameters and their uncertainties in mm; a particle without a track has 0 in all four."""

FIELDS = KINEMATICS + IDENTITY + DISPLACEMENT
"""Every field of a particle, in the order in which arrays hold them; all float32."""

SUBJET = "subjet"
"""Optional field: index of the particle's Cambridge/Aachen R = 0.2 subjet, in descending subjet pT."""

JET_FIELDS = ("px", "py", "pz", "energy")
"""Four-momentum of the jet in GeV, float32."""

UNITS = (
    dict.fromkeys(KINEMATICS, "GeV")
    | dict.fromkeys(IDENTITY, "1")
    | {"charge": "e"}
    | dict.fromkeys(DISPLACEMENT, "mm")
    | {SUBJET: "1"}
)
"""Unit of every field."""


class LayoutError(JepaCoffeaError, ValueError):
    """Events that cannot give what was asked of them; never an OSError, so that no reader may skip it."""


class UnreadableError(JepaCoffeaError, RuntimeError):
    """A column that exists and whose bytes cannot be read or decompressed: the file is damaged, or out of reach."""
