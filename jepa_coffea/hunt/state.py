"""A hunt under way, and what it found."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jepa_coffea.bumphunt import BackgroundFit, GlobalSignificance, Scan
from jepa_coffea.bumphunt.calibrated import ZCalibration
from jepa_coffea.bumphunt.envelope import FunctionUncertainty, SpuriousYields
from jepa_coffea.bumphunt.ftest import FTest
from jepa_coffea.bumphunt.limits import Limit, LimitCurve
from jepa_coffea.bumphunt.window_model import WindowModel, window_model
from jepa_coffea.cwola.closure import Closure
from jepa_coffea.cwola.efficiency import WindowScores
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.events import Events
from jepa_coffea.hunt.look_elsewhere import GlobalP
from jepa_coffea.hunt.null import Corrected, Null
from jepa_coffea.hunt.selections import ESTIMATES, FUNCTION, Floats, Selection


@dataclass(frozen=True)
class Run:
    """A hunt under way: its document, where it computes, where it talks."""

    config: HuntConfig
    client: Any = None
    """A Dask client; without one everything runs here."""
    console: Console = field(default_factory=Console)
    progress: bool = False
    failed: list[str] = field(default_factory=list, compare=False)
    """What failed on the way and why; see :func:`~jepa_coffea.hunt.steps.step`."""

    @property
    def output(self) -> Path:
        """The folder of the hunt.

        Returns
        -------
        Path
        """
        return self.config.output

    @property
    def execution(self) -> dict[str, Any]:
        """Where tasks run; see :func:`~jepa_coffea.tasks.run_tasks`.

        Returns
        -------
        dict
            ``client`` and ``progress``.
        """
        return {"client": self.client, "progress": self.progress}

    def say(self, text: str) -> None:
        """A line for whoever watches.

        Parameters
        ----------
        text
            May hold rich's markup.
        """
        self.console.print(text, highlight=False)


@dataclass(frozen=True)
class SelectionResult:
    """A selection of the data and all that is said of it."""

    selection: Selection
    corrected: Mapping[str, Corrected | str] = field(default_factory=dict)
    """By background estimate: the significance after calibration, or why there is none; empty without calibration."""
    scan: Scan | None = None
    """Local p0 against mass, for the picture: only the windows are trials. The signal that the function may fake is
    counted where it is known. None where a fit failed."""
    limit: Limit | None = None
    """95 % CLs limit on signal events in the window after the selection; None where there is no fit, where it is not
    found, and while the hunt is blind."""

    def calibrated(self, estimate: str) -> Corrected | None:
        """The significance after calibration.

        Parameters
        ----------
        estimate
            One of ``ESTIMATES``.

        Returns
        -------
        Corrected or None
        """
        found = self.corrected.get(estimate)
        return found if isinstance(found, Corrected) else None

    def z_calibration(self, estimate: str) -> ZCalibration | None:
        """Mean and width of Z without signal, for models and exports.

        Parameters
        ----------
        estimate
            One of ``ESTIMATES``.

        Returns
        -------
        ZCalibration or None
            None where it is not calibrated.
        """
        one = self.calibrated(estimate)
        return None if one is None else one.null.calibration(one.z)

    def model(self, background: str, name: str = "window") -> WindowModel | None:
        """The count in the window as a model, with the error of the choice of the function and the calibration.

        Parameters
        ----------
        background
            One of ``ESTIMATES``; without a selection there is only the function.
        name
            Of its channel.

        Returns
        -------
        WindowModel or None
            None without a fit.
        """
        estimate = self.selection.by(background)
        fit = estimate.transfer_factor or estimate.fit
        if fit is None:
            return None
        calibration = self.z_calibration(background)
        return window_model(fit, name=name, function_error=estimate.function_error, calibration=calibration)

    def record(self) -> dict[str, Any]:
        """The numbers as JSON can say them.

        Returns
        -------
        dict
        """
        corrected = {
            name: {"uncalibrated": found} if isinstance(found, str) else found.record()
            for name, found in self.corrected.items()
        }
        return {**self.selection.record(), "corrected": corrected, "limit": self.limit}


@dataclass(frozen=True)
class FunctionStudy:
    """How well the background function suits the inclusive spectrum, by window; text says why there is no answer."""

    function: str
    """The one that is used."""
    choices: dict[str, FTest | str]
    """Orders by F-test; empty when the document names the function."""
    uncertainties: dict[str, FunctionUncertainty | str]
    """Every other function that describes the spectrum taken as the truth; part of the error of each background."""
    spurious: dict[str, SpuriousYields | str]
    """What the function takes for a signal where another function is the truth, for peaks of the first width of the
    document; without windows, by width of the signal."""

    @property
    def errors(self) -> dict[str, float]:
        """Share of each window's background by which the choice of the function may be wrong, where it is known.

        Returns
        -------
        dict
        """
        return {name: one.relative for name, one in self.uncertainties.items() if not isinstance(one, str)}

    @property
    def doubts(self) -> list[str]:
        """Windows for which it is not known how wrong the function may be, so that it is not counted.

        Returns
        -------
        list of str
            Why, a clause each.
        """
        unknown = {name: _unknown(one) for name, one in self.uncertainties.items()}
        return [
            f"how wrong {self.function} may be in window {name} is not known and not counted: {why}"
            for name, why in unknown.items()
            if why
        ]


def _unknown(uncertainty: FunctionUncertainty | str) -> str:
    """Why an uncertainty is not known; empty where it is."""
    if isinstance(uncertainty, str):
        return uncertainty
    if uncertainty.accepted[1:].any():
        return ""
    failed = "; ".join(uncertainty.failed)
    return f"no other function describes the spectrum beside it{failed and f' ({failed})'}"


@dataclass(frozen=True)
class CalibrationResult:
    """What the pseudo-experiments without signal say of the selections."""

    corrected: Sequence[Mapping[str, Corrected | str]] = ()
    """For each selection; see :class:`SelectionResult`."""
    search: GlobalP | None = None
    """The p-value of the whole search."""
    null: Floats | None = None
    """Z of the pseudo-experiments, (experiments, estimates, selections); see ``ESTIMATES``."""
    background: str = FUNCTION
    """The nominal estimate, whose trials ``search`` counts."""
    problem: str = ""
    """Why there are no pseudo-experiments though they were asked for."""
    selections: Sequence[Selection] = ()
    """Of the data, the degrees of their transfer factors decided."""
    fit_p: float | None = None
    """Goodness of the fit of the whole spectrum that pseudo-data are drawn from; None where it is another's, see
    :class:`~jepa_coffea.hunt.pseudo.PseudoData`."""

    @property
    def degrees(self) -> dict[tuple[str, float], int]:
        """The degree of each transfer factor.

        Returns
        -------
        dict
            By window and efficiency.
        """
        return {(one.window, one.efficiency): one.degree or 1 for one in self.selections}

    def toys(self, estimate: str) -> Floats | None:
        """Z of the pseudo-experiments by one background estimate.

        Parameters
        ----------
        estimate
            One of ``ESTIMATES``.

        Returns
        -------
        array of float, (experiments, selections), or None
        """
        return None if self.null is None else self.null[:, ESTIMATES.index(estimate)]


@dataclass(frozen=True)
class InjectionResult:
    """The injection study."""

    summary: Sequence[dict[str, Any]] = ()
    """Medians and bands, by yield and method."""
    problem: str = ""
    """Why there is none though it was asked for."""
    without_number: Sequence[str] = ()
    """Which methods have no number and why, in sentences."""
    nulls: Mapping[str, Null | str] = field(default_factory=dict)
    """By method: its Z without signal, which corrects that of the summary, or why that is as counted. Empty where no
    experiments without signal were asked for."""


@dataclass(frozen=True)
class Sensitivity:
    """What a selection of a blind hunt is worth: nothing of it was counted in the window after the selection."""

    window: str
    efficiency: float
    label: str
    background: str
    """The estimate that the numbers are by."""
    b: float = math.nan
    """Expected background events."""
    sigma_b: float = math.nan
    fit_p: float = math.nan
    """Goodness of the fit behind the estimate."""
    signal: float = math.nan
    """Signal events in the window that ``expected_z`` is of."""
    expected_z: float = math.nan
    """What that signal would be worth, corrected where there is a calibration."""
    null: Mapping[str, Any] | None = None
    """Mean and width of Z in the pseudo-experiments; None without a calibration."""
    limit: tuple[float, ...] | None = None
    """Expected 95 % CLs limits on signal events in the window, at -2 to 2 standard deviations."""
    problem: str = ""
    """Why there are no numbers; empty when there are."""

    @property
    def calibrated(self) -> bool:
        """Whether ``expected_z`` is corrected.

        Returns
        -------
        bool
        """
        return self.null is not None


@dataclass(frozen=True)
class MassScan:
    """The whole spectrum searched for a peak at every mass, without windows."""

    by_width: Mapping[str, Scan]
    """Width over mass of the peak, in words, to the local significances; the signal that the function may fake is
    counted where it is known."""
    fit: BackgroundFit
    """Of background alone beside the largest excess, or of the whole spectrum where nothing is left beside it."""

    @property
    def label(self) -> str:
        """What the fit of background alone is of, in words.

        Returns
        -------
        str
        """
        if self.fit.window is None:
            return "whole spectrum"
        return f"spectrum beside the largest excess ({self.fit.window[0]:g} to {self.fit.window[1]:g} GeV)"

    @property
    def largest(self) -> tuple[str, Scan]:
        """The width with the largest excess, and its scan.

        Returns
        -------
        name : str
        scan : Scan
        """
        return max(self.by_width.items(), key=lambda one: float(one[1].z[one[1].best]))


@dataclass(frozen=True)
class HuntResult:
    """What a hunt found."""

    output: Path
    inclusive: Sequence[SelectionResult]
    """Every window without a selection; empty without windows."""
    selections: Sequence[SelectionResult] = ()
    """Every window and efficiency; empty for a histogram alone."""
    calibration: CalibrationResult = CalibrationResult()
    refitted: GlobalSignificance | None = None
    """Global significance of a histogram alone, from toys that refit."""
    closure: Closure = field(default_factory=lambda: Closure([], []))
    """Closure gates."""
    injection: InjectionResult = InjectionResult()
    mass_limits: Mapping[str, LimitCurve | str] = field(default_factory=dict)
    """Limits against mass without a selection by width of the signal, or why there are none."""
    width_limits: Mapping[str, LimitCurve | str] = field(default_factory=dict)
    """Limits against width, where the document names several widths: in the middle of each window; without windows at
    the largest excess and in the middle of the scan."""
    scores: Sequence[WindowScores] = ()
    events: Events | None = None
    functions: FunctionStudy | None = None
    scan: MassScan | None = None
    """Of a hunt without windows; None where it could not be fitted, too."""
    background: str = FUNCTION
    """The nominal background estimate; the other one is its cross-check."""
    energy: str = ""
    """The centre-of-mass energy of the background functions, in words."""
    sensitivity: Sequence[Sensitivity] = ()
    """Of every selection of a blind hunt, which has no other numbers of them; empty otherwise."""
    blinding: str = ""
    """Since when it is blind, or when and with which document it was unblinded; empty for a hunt that never was."""
    left_out: Sequence[str] = ()
    """Which events of the files were left out and why, and which windows have too few, in sentences that tell nothing
    of what a window holds."""
    notes: Sequence[str] = ()
    """What else the paragraph says: what classifiers see, what was left out."""
    reasons: Sequence[str] = ()
    """Why the result must not be quoted; empty when it may be."""
    paragraph: str = ""

    @property
    def spectrum(self) -> Floats | None:
        """The spectrum without a selection.

        Returns
        -------
        array of float, (bins,), or None
            Events per bin; None where there is none to show.
        """
        if self.scan is not None:
            return self.scan.fit.counts
        return self.inclusive[0].selection.counts if self.inclusive else None

    @property
    def first_sensitivity(self) -> Sensitivity | None:
        """What the first trial of a blind hunt is worth; each selection is judged by a signal of its own size.

        Returns
        -------
        Sensitivity or None
            Of a selection by a classifier where there are any; None where no trial has numbers.
        """
        usable = [one for one in self.sensitivity if not one.problem]
        return next((one for one in usable if one.efficiency < 1), next(iter(usable), None))

    @property
    def without_limits(self) -> list[str]:
        """Which limits were not found, and why, in sentences.

        Returns
        -------
        list of str
            Without those whose problem is among the reasons against the result.
        """
        sentences = []
        for axis, curves in (("mass", self.mass_limits), ("width", self.width_limits)):
            for at, curve in curves.items():
                if not isinstance(curve, str):
                    lost = int(np.count_nonzero(~curve.known))
                    if lost:
                        sentences.append(f"{lost} of {len(curve.points)} limits against {axis}, {at}, were not found.")
                elif not any(curve in reason for reason in self.reasons):
                    sentences.append(f"There are no limits against {axis}, {at}: {curve}.")
        return sentences

    @property
    def everything(self) -> list[SelectionResult]:
        """Everything that was counted.

        Returns
        -------
        list of SelectionResult
            First without a selection, then every selection.
        """
        return [*self.inclusive, *self.selections]
