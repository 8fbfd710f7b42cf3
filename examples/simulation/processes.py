"""What can be simulated: Pythia settings of the event processes and of the ten jet classes."""

from __future__ import annotations

from dataclasses import dataclass

JET_PT = (500.0, 1000.0)
JET_ETA_MAX = 2.0

_ALL_HADRONIC_W = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")
_LEPTONIC_W = ("24:onMode = off", "24:onIfAny = 11 13")
_HADRONIC_Z = ("23:onMode = off", "23:onIfAny = 1 2 3 4 5")
_INVISIBLE_Z = ("23:onMode = off", "23:onIfAny = 12 14 16")
_ONLY_Z = ("WeakZ0:gmZmode = 2",)
_SPIN_2 = (
    "ExtraDimensionsG*:all = on",
    "5100039:m0 = 3000.",
    "5100039:mWidth = 30.",
    "5100039:mMin = 2400.",
    "5100039:mMax = 3600.",
    "5100039:doForceWidth = on",
)


@dataclass(frozen=True, kw_only=True)
class EventProcess:
    """A process whose whole events are written."""

    code: int
    """Number of the process in event numbers and as ``truth_process``."""
    title: str
    settings: tuple[str, ...]
    pt_hat_min: float | None
    """Default of the smallest pT of the hard partons, GeV; None where the process has no such limit."""
    signal: bool = False


EVENT_PROCESSES = {
    "qcd": EventProcess(
        code=1,
        title="QCD dijets",
        settings=("HardQCD:all = on",),
        pt_hat_min=300.0,
    ),
    "wprime": EventProcess(
        code=2,
        title="W' (3 TeV) -> W phi (400 GeV) -> WWW -> 6 quarks",
        settings=(
            "NewGaugeBoson:ffbar2Wprime = on",
            "34:m0 = 3000.",
            "34:mWidth = 30.",
            "34:mMin = 2400.",  # twenty widths: the far tail, which parton densities lift, is no part of the resonance
            "34:mMax = 3600.",
            "34:doForceWidth = on",
            "34:oneChannel = 1 1.0 100 24 35",
            "35:m0 = 400.",
            "35:mWidth = 4.",
            "35:doForceWidth = on",
            "35:oneChannel = 1 1.0 100 24 -24",
            *_ALL_HADRONIC_W,
        ),
        pt_hat_min=None,
        signal=True,
    ),
    "wz": EventProcess(
        code=3,
        title="W or Z (to quarks) and a jet",
        settings=(
            "WeakBosonAndParton:qqbar2Wg = on",
            "WeakBosonAndParton:qg2Wq = on",
            "WeakBosonAndParton:qqbar2gmZg = on",
            "WeakBosonAndParton:qg2gmZq = on",
            *_ONLY_Z,
            *_HADRONIC_Z,
            *_ALL_HADRONIC_W,
        ),
        pt_hat_min=300.0,
    ),
    "top": EventProcess(
        code=4,
        title="Top pairs",
        settings=("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
        pt_hat_min=300.0,
    ),
    "graviton": EventProcess(
        code=5,
        title="Randall-Sundrum graviton (3 TeV) -> ZZ -> 4 quarks",
        settings=(
            *_SPIN_2,
            "5100039:oneChannel = 1 1.0 100 23 23",
            *_HADRONIC_Z,
        ),
        pt_hat_min=None,
        signal=True,
    ),
    "zprime": EventProcess(
        code=6,
        title="Z' (3 TeV) -> top pairs, all hadronic",
        settings=(
            "NewGaugeBoson:ffbar2gmZZprime = on",
            "Zprime:gmZmode = 3",
            "32:m0 = 3000.",
            "32:mWidth = 30.",
            "32:mMin = 2400.",
            "32:mMax = 3600.",
            "32:doForceWidth = on",
            "32:oneChannel = 1 1.0 100 6 -6",
            *_ALL_HADRONIC_W,
        ),
        pt_hat_min=None,
        signal=True,
    ),
    # Three light quarks and neither b nor W: no class or family of jets has such jets.
    "rpv": EventProcess(
        code=7,
        title="Spin-2 resonance (3 TeV) -> two neutralinos (250 GeV) -> 3 light quarks each",
        settings=(
            *_SPIN_2,
            "5100039:oneChannel = 1 1.0 100 1000022 1000022",
            "1000022:isResonance = on",
            "1000022:mayDecay = on",
            "1000022:m0 = 250.",
            "1000022:mWidth = 0.1",
            "1000022:doForceWidth = on",
            "1000022:oneChannel = 1 1.0 100 3 2 1",
        ),
        pt_hat_min=None,
        signal=True,
    ),
    # At 1.4 TeV a scalar flies c tau * p / m = 14 mm before it decays.
    "displaced": EventProcess(
        code=8,
        title="Spin-2 resonance (3 TeV) -> two long-lived scalars (100 GeV, c tau 1 mm) -> b quarks",
        settings=(
            *_SPIN_2,
            "5100039:oneChannel = 1 1.0 100 35 35",
            "35:m0 = 100.",
            "35:mWidth = 0.01",
            "35:mMin = 99.",
            "35:mMax = 101.",
            "35:doForceWidth = on",
            "35:oneChannel = 1 1.0 100 5 -5",
            "35:tau0 = 1.",  # mm; without the next line Pythia takes the lifetime from the width
            "35:tauCalc = off",
        ),
        pt_hat_min=None,
        signal=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class JetClass:
    """A class of the JetClass data set: its file name, and a process rich in it."""

    file_name: str
    settings: tuple[str, ...]
    variants: tuple[tuple[str, ...], ...] = ((),)
    """Further settings, each for an equal share of the jets."""


_HIGGS_AND_Z = ("HiggsSM:ffbar2HZ = on", "25:m0 = 125.", *_INVISIBLE_Z)
_WW = ("WeakDoubleBoson:ffbar2WW = on",)
_ZZ = ("WeakDoubleBoson:ffbar2gmZgmZ = on", *_ONLY_Z)
_TOP_PAIR = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")


def _higgs_to(products: str) -> tuple[str, ...]:
    return (*_HIGGS_AND_Z, "25:onMode = off", f"25:onIfMatch = {products}")


JET_CLASSES = {
    "QCD": JetClass(
        file_name="ZJetsToNuNu",
        settings=(
            "WeakBosonAndParton:qqbar2gmZg = on",
            "WeakBosonAndParton:qg2gmZq = on",
            *_ONLY_Z,
            *_INVISIBLE_Z,
        ),
    ),
    "Hbb": JetClass(file_name="HToBB", settings=_higgs_to("5 -5")),
    "Hcc": JetClass(file_name="HToCC", settings=_higgs_to("4 -4")),
    "Hgg": JetClass(file_name="HToGG", settings=_higgs_to("21 21")),
    "H4q": JetClass(file_name="HToWW4Q", settings=(*_higgs_to("24 -24"), *_ALL_HADRONIC_W)),
    # One W to quarks and the other to electron or muon, of either charge.
    "Hqql": JetClass(
        file_name="HToWW2Q1L",
        settings=(*_higgs_to("24 -24"), "24:onMode = off"),
        variants=(
            ("24:onPosIfAny = 1 2 3 4 5", "24:onNegIfAny = 11 13"),
            ("24:onNegIfAny = 1 2 3 4 5", "24:onPosIfAny = 11 13"),
        ),
    ),
    "Zqq": JetClass(file_name="ZToQQ", settings=(*_ZZ, *_HADRONIC_Z)),
    "Wqq": JetClass(file_name="WToQQ", settings=(*_WW, *_ALL_HADRONIC_W)),
    "Tbqq": JetClass(file_name="TTBar", settings=(*_TOP_PAIR, *_ALL_HADRONIC_W)),
    "Tbl": JetClass(file_name="TTBarLep", settings=(*_TOP_PAIR, *_LEPTONIC_W)),
}


def event_settings(
    name: str, *, pt_hat_min: float | None, mjj_min: float | None, mjj_max: float | None, mpi: bool
) -> tuple[str, ...]:
    """Pythia settings of an event process.

    A range of the dijet mass limits the invariant mass of the hard process with margins (down to 0.85 of the smallest,
    up to 1.6 of the largest), as jets lose and pick up radiation. Of QCD dijets above 2 TeV 2 % come from softer
    processes and are missing, most of them close to the smallest mass.

    Parameters
    ----------
    name
        Of the process.
    pt_hat_min
        Smallest pT of the hard partons, GeV; None: that of the process.
    mjj_min
        Smallest mass of the two leading jets, GeV; None: any.
    mjj_max
        Largest mass of the two leading jets, GeV; None: any.
    mpi
        Whether there are multi-parton interactions.

    Returns
    -------
    tuple of str
    """
    process = EVENT_PROCESSES[name]
    settings = [*process.settings, f"PartonLevel:MPI = {'on' if mpi else 'off'}"]
    if process.pt_hat_min is not None:
        settings.append(f"PhaseSpace:pTHatMin = {process.pt_hat_min if pt_hat_min is None else pt_hat_min}")
        if mjj_min is not None:
            settings.append(f"PhaseSpace:mHatMin = {0.85 * mjj_min}")
        if mjj_max is not None:
            settings.append(f"PhaseSpace:mHatMax = {1.6 * mjj_max}")
    return tuple(settings)


def jet_settings(name: str, *, mpi: bool) -> list[tuple[str, ...]]:
    """Pythia settings of each variant of a jet class: hard partons from just below to above the range of jet pT.

    Parameters
    ----------
    name
        Of the class.
    mpi
        Whether there are multi-parton interactions.

    Returns
    -------
    list of tuple of str
    """
    common = (
        *JET_CLASSES[name].settings,
        f"PhaseSpace:pTHatMin = {0.95 * JET_PT[0]}",
        f"PhaseSpace:pTHatMax = {1.2 * JET_PT[1]}",
        f"PartonLevel:MPI = {'on' if mpi else 'off'}",
    )
    return [(*common, *variant) for variant in JET_CLASSES[name].variants]
