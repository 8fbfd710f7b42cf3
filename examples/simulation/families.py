"""Families of jets for pretraining: resonances of any mass with two to four prongs, and QCD, from 200 to 2500 GeV.

Masses are drawn continuously: a Breit-Wigner far wider than its range, so that an encoder cannot learn a few peaks.
Resonances are made in pairs (pp -> A H, H+ H-, t tbar), which gives two jets per event; the spectrum of hard pT is
flattened. Each jet has a class of JetClass-II (arXiv 2405.12972) by what it holds; see :mod:`flavours`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FAMILY_PT = (200.0, 2500.0)
FAMILY_ETA_MAX = 2.5
FLATTENING = 4.5
"""Power of the hard pT that events are weighted up with, which leaves about as many jets per unit of log pT; of QCD,
whose spectrum falls more steeply, one more."""

Channels = Mapping[str, float]
"""Decay products, as Pythia numbers them, to their share of the decays."""

DIAGONAL: Channels = {
    "5 -5": 0.15,
    "4 -4": 0.15,
    "3 -3": 0.08,
    "1 -1": 0.04,
    "2 -2": 0.04,
    "21 21": 0.15,
    "15 -15": 0.18,
    "11 -11": 0.02,
    "13 -13": 0.02,
}
NEUTRAL: Channels = {**DIAGONAL, "5 -3": 0.05, "5 -1": 0.04, "4 -2": 0.04, "3 -1": 0.04}
CHARGED: Channels = {"4 -3": 0.25, "4 -5": 0.25, "2 -1": 0.25, "2 -3": 0.1, "4 -1": 0.08, "2 -5": 0.07}
LEPTONIC: Channels = {"-11 12": 0.06, "-13 14": 0.06, "-15 16": 0.12}


def broad(particle: int, *, mass: float, lowest: float, highest: float) -> tuple[str, ...]:
    """Settings for a particle of any mass between two, flat in m^2 up to about three times ``mass``.

    Parameters
    ----------
    particle
        PDG number.
    mass
        Nominal mass, GeV.
    lowest
        Smallest mass, GeV.
    highest
        Largest mass, GeV.

    Returns
    -------
    tuple of str
    """
    return (
        f"{particle}:m0 = {mass}",
        f"{particle}:mWidth = {10 * mass}",
        f"{particle}:mMin = {lowest}",
        f"{particle}:mMax = {highest}",
        f"{particle}:doForceWidth = on",
    )


def decays_of(particle: int, channels: Channels) -> tuple[str, ...]:
    """Settings for a particle that decays to some channels and nothing else.

    Parameters
    ----------
    particle
        PDG number.
    channels
        Branching ratio of each channel.

    Returns
    -------
    tuple of str
    """
    lines = [f"{particle}:addChannel = 1 {share} 100 {products}" for products, share in channels.items()]
    return (lines[0].replace("addChannel", "oneChannel"), *lines[1:])


def _neutral_pair(channels: Channels, *, mass: float = 60.0, lowest: float = 40.0) -> tuple[str, ...]:
    each = (broad(i, mass=mass, lowest=lowest, highest=500.0) + decays_of(i, channels) for i in (35, 36))
    return ("Higgs:useBSM = on", "HiggsBSM:ffbar2A3H2 = on", *sum(each, ()))


@dataclass(frozen=True, kw_only=True)
class Family:
    """Jets of many classes from one process."""

    file_name: str
    settings: tuple[str, ...]
    variants: tuple[tuple[str, ...], ...] = ((),)
    """Further settings, each for an equal share of the jets."""
    resonant: bool = True
    """Whether the jets wanted are those that hold a resonance, or those that touch none."""


FAMILIES = {
    "two_prong": Family(file_name="TwoProng", settings=_neutral_pair(NEUTRAL)),
    "charged": Family(
        file_name="Charged",
        settings=(
            "Higgs:useBSM = on",
            "HiggsBSM:ffbar2H+H- = on",
            *broad(37, mass=60.0, lowest=40.0, highest=500.0),
            *decays_of(37, CHARGED),
        ),
    ),
    # X -> Y Y with Y neutral or charged, of any mass below half of X's.
    "four_prong": Family(
        file_name="FourProng",
        settings=(
            *_neutral_pair({"25 25": 0.7, "37 -37": 0.3}, mass=100.0, lowest=50.0),
            *broad(25, mass=20.0, lowest=10.0, highest=240.0),
            *decays_of(25, DIAGONAL),
            *broad(37, mass=20.0, lowest=10.0, highest=240.0),
            *decays_of(37, {**CHARGED, **LEPTONIC}),
        ),
    ),
    "ww": Family(file_name="WW", settings=_neutral_pair({"24 -24": 1.0}, mass=150.0, lowest=120.0)),
    "zz": Family(
        file_name="ZZ",
        settings=(
            *_neutral_pair({"23 23": 1.0}, mass=160.0, lowest=140.0),
            "23:onMode = off",
            "23:onIfAny = 1 2 3 4 5 11 13 15",
        ),
    ),
    # Three prongs: a top quark of any mass.
    "top": Family(
        file_name="Top",
        settings=(
            "Top:gg2ttbar = on",
            "Top:qqbar2ttbar = on",
            *broad(6, mass=120.0, lowest=95.0, highest=450.0),
            "24:onMode = off",
            "24:onIfAny = 1 2 3 4 5",
        ),
    ),
    "qcd": Family(
        file_name="QCD",
        settings=(),
        variants=(("HardQCD:all = on",), ("HardQCD:hardbbbar = on", "HardQCD:hardccbar = on")),
        resonant=False,
    ),
}


def family_settings(name: str, *, mpi: bool) -> list[tuple[str, ...]]:
    """Pythia settings of each variant of a family.

    Parameters
    ----------
    name
        Of the family.
    mpi
        Whether there are multi-parton interactions.

    Returns
    -------
    list of tuple of str
    """
    family = FAMILIES[name]
    common = (
        *family.settings,
        f"PhaseSpace:pTHatMin = {0.95 * FAMILY_PT[0]}",
        f"PhaseSpace:pTHatMax = {1.2 * FAMILY_PT[1]}",
        "PhaseSpace:bias2Selection = on",
        f"PhaseSpace:bias2SelectionPow = {FLATTENING if family.resonant else FLATTENING + 1}",
        f"PartonLevel:MPI = {'on' if mpi else 'off'}",
    )
    return [(*common, *variant) for variant in family.variants]
