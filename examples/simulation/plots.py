"""Control plots of what was simulated, read back from the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import matplotlib.pyplot as plt
import numpy as np
import uproot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from examples.simulation.processes import JET_CLASSES
from examples.simulation.truth import CLASSES
from jepa_coffea.files import replacing

JETS_PER_CLASS = 20_000
EVENTS = 50_000

Floats = NDArray[np.floating]

COLOURS = plt.get_cmap("tab10")
DASHES = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)))
"""Lines that go with the colours, so that outlines are told apart in grey."""

JET_PANELS = {
    "mass": ("jet mass [GeV]", np.linspace(0, 250, 51)),
    "soft_drop_mass": ("soft-drop mass [GeV]", np.linspace(0, 250, 51)),
    "multiplicity": ("particles in the jet", np.linspace(0, 140, 36)),
    "tau21": (r"$\tau_{21}$", np.linspace(0, 1, 41)),
    "tau32": (r"$\tau_{32}$", np.linspace(0, 1, 41)),
    "d0_significance": (r"third-largest $|d_0|/\sigma(d_0)$ of the tracks", np.geomspace(0.1, 1000, 41)),
}
PEAKS = {"Hbb": 125.0, "Hcc": 125.0, "Hgg": 125.0, "H4q": 125.0, "Zqq": 91.2, "Wqq": 80.4, "Tbqq": 172.5}
"""Masses (GeV) of the resonances whose decay is all in the jet."""


def plot_jets(folder: Path, names: Sequence[str], output: Path) -> list[Path]:
    """Distributions of JetClass jets, class by class, and the soft-drop peaks beside the masses they come from.

    Parameters
    ----------
    folder
        Where the jets are.
    names
        Classes.
    output
        Folder for the plots.

    Returns
    -------
    list of Path
        The plots.
    """
    observables = {name: _jet_observables(folder, name) for name in names}
    figure, axes = plt.subplots(2, 3, figsize=(15, 9), layout="constrained")
    for axis, (key, (title, edges)) in zip(axes.flat, JET_PANELS.items(), strict=True):
        for name in names:
            _outline(axis, observables[name][key], edges, label=name, number=CLASSES.index(name))
        axis.set(xlabel=title, ylabel="share of jets", xscale="log" if key == "d0_significance" else "linear")
    handles = axes.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(names), frameon=False)
    figure.suptitle(f"Simulation: AK8 jets in {folder.name}, 500 to 1000 GeV, |η| < 2")
    paths = [_save(figure, output / "jets.png")]

    resonances = [name for name in names if name in PEAKS]
    if resonances:
        rows = -(-len(resonances) // 4)
        figure, grid = plt.subplots(rows, 4, figsize=(15, 3.6 * rows), layout="constrained", squeeze=False)
        for axis in grid.flat[len(resonances) :]:
            axis.set_axis_off()
        for axis, name in zip(grid.flat, resonances, strict=False):
            mass = observables[name]["soft_drop_mass"]
            _outline(axis, mass, np.linspace(0.4 * PEAKS[name], 1.6 * PEAKS[name], 49), label=name, number=0)
            axis.axvline(PEAKS[name], color="0.5", linestyle="--", label=f"{PEAKS[name]:g} GeV")
            axis.set(
                xlabel="soft-drop mass [GeV]", ylabel="share of jets", title=f"{name}: median {np.median(mass):.1f} GeV"
            )
            axis.set_ylim(top=1.3 * axis.get_ylim()[1])
            axis.legend(fontsize="small", loc="upper right")
        figure.suptitle("Simulation")
        paths.append(_save(figure, output / "peaks.png"))
    return paths


def plot_events(path: Path, output: Path) -> list[Path]:
    """Distributions of the two leading jets of PFNano events.

    Parameters
    ----------
    path
        File of the events.
    output
        Folder for the plots.

    Returns
    -------
    list of Path
        The plots.
    """
    with uproot.open(path) as file:
        names = [
            f"FatJet_{name}" for name in ("pt", "eta", "phi", "mass", "msoftdrop", "tau1", "tau2", "nConstituents")
        ]
        jets = file["Events"].arrays(names, entry_stop=EVENTS)
    jets = jets[ak.num(jets.FatJet_pt) >= 2]
    lead = {name: ak.to_numpy(jets[f"FatJet_{name}"][:, :2]) for name in (n.removeprefix("FatJet_") for n in names)}
    px, py, pz = (lead["pt"] * f for f in (np.cos(lead["phi"]), np.sin(lead["phi"]), np.sinh(lead["eta"])))
    energy = np.sqrt(px**2 + py**2 + pz**2 + lead["mass"] ** 2)
    mjj = np.sqrt(sum(sign * x.sum(axis=1) ** 2 for sign, x in zip((1, -1, -1, -1), (energy, px, py, pz), strict=True)))
    tau21 = lead["tau2"] / np.where(lead["tau1"] > 0, lead["tau1"], 1.0)
    panels = (
        ("mass of the two leading jets [GeV]", mjj[:, None], np.linspace(0.9 * mjj.min(), np.quantile(mjj, 0.995), 61)),
        (r"jet $p_T$ [GeV]", lead["pt"], np.linspace(200, np.quantile(lead["pt"], 0.995), 51)),
        (r"jet $\eta$", lead["eta"], np.linspace(-2.5, 2.5, 51)),
        ("soft-drop mass [GeV]", lead["msoftdrop"], np.linspace(0, 500, 51)),
        (r"$\tau_{21}$", tau21, np.linspace(0, 1, 41)),
        ("particles in the jet", lead["nConstituents"], np.linspace(0, 200, 51)),
    )
    figure, axes = plt.subplots(2, 3, figsize=(15, 9), layout="constrained")
    for axis, (title, values, edges) in zip(axes.flat, panels, strict=True):
        labels = ("leading jet", "second jet") if values.shape[1] == 2 else (None,)
        for i, label in enumerate(labels):
            _outline(axis, values[:, i], edges, label=label, number=i)
        axis.set(xlabel=title, ylabel="share of events" if values.shape[1] == 1 else "share of jets")
    axes.flat[0].set_yscale("log")
    axes.flat[1].legend()
    figure.suptitle(f"Simulation: {path.name}, {len(mjj)} events with two AK8 jets")
    return [_save(figure, output / f"{path.stem}.png")]


def _jet_observables(folder: Path, name: str) -> dict[str, Floats]:
    branches = ["jet_pt", "jet_eta", "jet_energy", "jet_sdmass", "jet_nparticles", "jet_tau1", "jet_tau2", "jet_tau3"]
    pattern = str(folder / f"{JET_CLASSES[name].file_name}_*.root")
    batches = uproot.iterate(f"{pattern}:tree", [*branches, "part_d0val", "part_d0err"], step_size=JETS_PER_CLASS)
    jets = next(iter(batches))
    pt, eta, energy, sdmass, n, tau1, tau2, tau3 = (ak.to_numpy(jets[branch]).astype(np.float64) for branch in branches)
    significance = np.abs(jets.part_d0val) / ak.where(jets.part_d0err > 0, jets.part_d0err, np.inf)
    third = ak.sort(ak.pad_none(significance, 3), ascending=False)[:, 2]
    return {
        "mass": np.sqrt(np.maximum(energy**2 - (pt * np.cosh(eta)) ** 2, 0.0)),
        "soft_drop_mass": sdmass,
        "multiplicity": n,
        "tau21": tau2 / np.where(tau1 > 0, tau1, 1.0),
        "tau32": tau3 / np.where(tau2 > 0, tau2, 1.0),
        "d0_significance": ak.to_numpy(ak.fill_none(third, 0.0)),
    }


def _outline(axis: Axes, values: Floats, edges: Floats, *, label: str | None, number: int) -> None:
    counts, _ = np.histogram(values, edges)
    look: Any = {"color": COLOURS(number), "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.5}
    axis.stairs(counts / max(len(values), 1), edges, label=label, **look)


def _save(figure: Figure, path: Path) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)
    return path
