"""The document that says what to hunt for, in what, and how: YAML, checked before anything runs."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import Field, model_validator

from jepa_coffea.bumphunt.functions import FUNCTIONS
from jepa_coffea.bumphunt.signals import Gaussian, Signal, SignalTemplate
from jepa_coffea.bumphunt.significance import Constraint
from jepa_coffea.clusters.registry import ClusterConfig
from jepa_coffea.cwola.classifiers import CLASSIFIERS, check_options, final_of
from jepa_coffea.cwola.features import Directions, Whitening
from jepa_coffea.cwola.folds import Folds, Order
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.cwola.windows import CMS_ALPHA, CMS_BETA, Window, Windows
from jepa_coffea.documents import Energy, LocalPath, Location, Section, read_document
from jepa_coffea.errors import JepaCoffeaError, did_you_mean

MINIMUM_EXPERIMENTS = 20
"""Fewer pseudo-experiments measure no width."""

FeatureKind = Literal["embedding", "scores", "observables", "columns"]
Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Tight = Annotated[float, Field(gt=0, lt=1)]


class HuntError(JepaCoffeaError, ValueError):
    """A hunt that cannot be done as described."""


class InputConfig(Section):
    """What to hunt in: embedded events, or a histogram alone."""

    events: list[Location] = []
    """Globs of parquet files of embedded events, or of parquet or ROOT files with any flat table of events: a mass, the
    numbers of its identity, and features."""
    identity: Annotated[list[str], Field(min_length=1, max_length=3)] = ["run", "luminosityBlock", "event"]
    """Columns with the numbers that together no two events share, here and in all other globs of events: the event's,
    after that of its run and of its luminosity block where it has these."""
    tree: str = "Events"
    """Name of the TTree or RNTuple in ROOT files, here and in all other globs of events."""
    histogram: LocalPath | None = None
    """A spectrum to hunt in without classifiers: JSON with ``counts`` and ``edges`` (GeV), and ``sqrt_s`` if it is to
    say that itself; or FILE.root:NAME."""
    unweight: bool = False
    """Make counts of simulated events of different positive weights: each is kept with a probability of its weight over
    the largest (hit or miss), decided by its identity and the seed. Without it different weights are an error."""

    @model_validator(mode="after")
    def _one(self) -> "InputConfig":
        if bool(self.events) == (self.histogram is not None):
            msg = "input: give either events (globs of parquet files) or one histogram"
            raise ValueError(msg)
        return self


class WindowConfig(Section):
    """One window, in GeV."""

    window: tuple[float, float]
    """Lower and upper edge."""
    sidebands: tuple[float, float]
    """Outer edges of the low and of the high sideband."""


class MassConfig(Section):
    """The mass axis and the windows on it."""

    column: str = "mjj"
    """Of events; of a histogram only the name of the axis in pictures."""
    fit_range: tuple[float, float] | None = None
    """GeV; by default the span of all sidebands."""
    bins: Annotated[int, Field(ge=1, le=10_000)] | list[float] = 40
    """Number of logarithmic bins, aligned to the windows, or the edges themselves, GeV."""
    windows: list[WindowConfig] | Literal["cms"] | list[list[float]] | None = None
    """Windows; or sets of edges whose inner intervals are windows; ``cms``: the two sets of CMS-EXO-22-026, the default
    for events; ``[]``: none, the default for a histogram: the whole axis is scanned for a peak, without classifiers."""

    @property
    def label(self) -> str:
        """Of the mass axis in pictures.

        Returns
        -------
        str
        """
        return r"$m_{jj}$ [GeV]" if self.column == "mjj" else f"{self.column} [GeV]"

    def build(self) -> Windows:
        """The checked windows.

        Returns
        -------
        Windows

        Raises
        ------
        WindowError
            If windows, sidebands, fit range and bins do not fit together.
        """
        axis: dict[str, Any] = {"fit_range": self.fit_range, "bins": self.bins}
        if self.windows in (None, "cms"):
            return Windows.overlapping(CMS_ALPHA, CMS_BETA, **axis)
        custom = [
            Window(*entry.window, *entry.sidebands, name=f"W{number}")
            for number, entry in enumerate(self.windows, 1)
            if isinstance(entry, WindowConfig)
        ]
        sets = [entry for entry in self.windows if isinstance(entry, list)]
        return Windows.overlapping(*sets, **axis) if sets else Windows.custom(custom, **axis)


class ScoreRatio(Section):
    """Some classes of a tagger against others: the logarithm of the ratio of their summed probabilities."""

    classes: str
    """Regular expression that matches the whole names of the classes."""
    against: str
    """The same for those against them; classes on neither side do not matter."""


class FeatureConfig(Section):
    """What the classifiers see of an event."""

    use: Literal["embedding", "observables", "both"] | list[FeatureKind] = "embedding"
    """One or several of ``embedding``, ``scores``, ``observables`` and ``columns``; ``both`` is embedding and
    observables."""
    jets: list[str] = ["jet1", "jet2"]
    """One jet or two: what stands before the ``_`` of their columns, as in ``fj1_embedding`` and ``fj1_mass``. Of two
    jets embeddings and scores are taken as mean and difference, and observables of the heavier jet first."""
    scores: list[str] | dict[str, str | ScoreRatio] = []
    """Classes of a tagger, of the columns ``jet1_score_<class>`` and ``jet2_score_<class>``: the log-odds of each. Or
    names of your own to regular expressions: the classes whose whole name matches are summed, against all others, as in
    ``{four_prong: 'X_YY_[bcsqg]{4}'}``, or against some: ``{bb: {classes: X_bb, against: 'QCD_.*'}}``."""
    columns: list[str] = []
    """Columns of the event, taken as they are; a table with these alone needs no jets."""
    observables: list[str] = ["log_mass_over_pt", "n_constituents", "tau21", "tau32", "tau43"]
    """Per jet: a column without the name of the jet before it, ``log_mass_over_pt`` or a ratio ``tauNM``."""
    components: Annotated[int, Field(ge=1)] | None = 12
    """Directions of the embeddings that are kept, at most, found in the sidebands of the training folds; null keeps the
    raw embeddings. Observables are never reduced."""
    directions: Directions = "variance"
    """Which ones: principal components, or by ``observables`` linear regressors of all other features, which needs
    other features in ``use``."""
    novelty: bool = True
    """Append how far an event lies from the sidebands, inside and outside these components."""
    match: list[str] = []
    """Columns, such as jet1_pt, in which the sidebands are weighted to look like the window."""

    def reduction(self) -> Whitening | None:
        """What reduces an embedding to a few features.

        Returns
        -------
        Whitening or None
            None where there is nothing to reduce.
        """
        if self.components is None or "embedding" not in self.kinds:
            return None
        jets = len(self.jets)
        sizes = {
            "scores": jets * len(self.scores),
            "observables": jets * len(self.observables),
            "columns": len(self.columns),
        }
        passed = sum(sizes.get(kind, 0) for kind in self.kinds)
        return Whitening(self.components, self.novelty, passed, self.directions)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is used, in the order of the features.

        Returns
        -------
        tuple of str
            Some of embedding, scores, observables, columns.
        """
        used: list[str] = [self.use] if isinstance(self.use, str) else list(self.use)
        if self.use == "both":
            used = ["embedding", "observables"]
        return tuple(kind for kind in get_args(FeatureKind) if kind in used)

    @model_validator(mode="after")
    def _named(self) -> "FeatureConfig":
        if not self.kinds:
            msg = "use: expected some of embedding, scores, observables, columns, got none"
            raise ValueError(msg)
        if self.directions == "observables" and (self.kinds[0] != "embedding" or len(self.kinds) == 1):
            msg = "directions: by observables they need embedding and other features in features.use, e.g. both"
            raise ValueError(msg)
        if len(set(self.jets)) not in (1, 2) or len(set(self.jets)) < len(self.jets):
            msg = f"jets: expected the names of one jet or of two different ones, got {self.jets}"
            raise ValueError(msg)
        wrong = [name for name in self.jets if not name or name.endswith("_")]
        if wrong:
            msg = f"jets: expected what stands before the _ of their columns, as jet1 of jet1_mass, got {wrong[0]!r}"
            raise ValueError(msg)
        for name, one in self.scores.items() if isinstance(self.scores, dict) else ():
            for pattern in (one,) if isinstance(one, str) else (one.classes, one.against):
                try:
                    re.compile(pattern)
                except re.error as error:
                    msg = f"scores.{name}: {pattern!r} is no regular expression: {error}"
                    raise ValueError(msg) from None
        for kind in ("scores", "observables", "columns"):
            if kind in self.kinds and not getattr(self, kind):
                msg = f"use: {kind} are used and none is named; list them in features.{kind}"
                raise ValueError(msg)
            if kind not in self.kinds and kind != "observables" and getattr(self, kind):
                msg = f"{kind}: {getattr(self, kind)} are named and not used; put {kind!r} into features.use"
                raise ValueError(msg)
        return self


PRESETS: dict[Any, dict[str, Any]] = {"bagging": {"candidates": {"gradient_boosting": {}}, "members": 50}}
"""Classifiers by name of a preset; the share of features follows their number."""


class ClassifierConfig(Section):
    """Window against sidebands."""

    candidates: dict[str, dict[str, Any]] = {"gradient_boosting": {}}
    """Options of ``gradient_boosting``, ``mlp``, ``logistic``; with several, ARGOS chooses on the inner folds."""
    preset: Literal["bagging"] | None = None
    """``bagging``: 50 members of gradient boosting, each on its own half of the features where they are many, as in
    arXiv:2309.13111. What is said beside it counts more."""
    members: Annotated[int, Field(ge=1)] = Recipe.members
    """Classifiers with random numbers of their own in each inner fold, whose scores are averaged."""
    best_at: Fraction | None = Recipe.best_at
    """In place of averaging all members: keep in each inner fold the one with the largest window efficiency at this
    sideband efficiency, and average these."""
    attribute_fraction: Fraction | None = Recipe.attribute_fraction
    """Share of the features that each member sees; by default all of up to ten, and half of more but at least ten."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("preset") in PRESETS:
            return {**PRESETS[given["preset"]], **given}
        return given

    @model_validator(mode="after")
    def _known(self) -> "ClassifierConfig":
        unknown = sorted(set(self.candidates) - set(CLASSIFIERS))
        if unknown or not self.candidates:
            hint = f"; {did_you_mean(unknown[0], CLASSIFIERS)}" if unknown else ""
            msg = f"classifier.candidates: expected some of {sorted(CLASSIFIERS)}, got {sorted(self.candidates)}{hint}"
            raise ValueError(msg)
        for name, options in self.candidates.items():
            known = final_of(CLASSIFIERS[name]()).get_params(deep=False)
            for option in set(options) - set(known):
                msg = f"classifier.candidates.{name}: no such option {option!r}; {did_you_mean(option, known)}"
                raise ValueError(msg)
            check_options(name, options)
        return self


class FoldConfig(Section):
    """Nested folds; see :class:`~jepa_coffea.cwola.folds.Folds`."""

    outer: Annotated[int, Field(ge=2)] = Folds.outer
    """Parts of the events, each scored by classifiers that were trained on others."""
    inner: Annotated[int, Field(ge=2)] = Folds.inner
    """Parts of the training events, each of which tells once when to stop."""
    order: Order = Folds.order
    """``forward``: each part learns from those before it only. Then Z needs hardly any calibration, and the first part
    is lost."""


class StatisticsConfig(Section):
    """How the background under the window is estimated and the excess judged."""

    background: Literal["function", "sideband_efficiency"] | None = None
    """The nominal estimate: a ``function`` fitted to the selected spectrum, or ``sideband_efficiency``, the
    events that fail the selection times the pass/fail ratio of the sidebands. By default the one with the larger
    expected significance in the pseudo-experiments, which does not look at the window; the other is the cross-check."""
    transfer_factor: Literal["auto"] | Annotated[int, Field(ge=1, le=2)] = "auto"
    """Degree in mass of the logarithm of the pass/fail ratio behind the ``sideband_efficiency``: 1, a straight line; 2,
    a parabola, which follows features that are curved in the mass and has a larger error; ``auto``, the straight line
    unless pseudo-experiments without signal show that it is biased, decided for each selection beforehand."""
    function: str = "dijet3"
    """A name of jepa_coffea.bumphunt.functions, or ``auto``: the dijet function of the order that an F-test chooses."""
    sqrt_s: Energy | None = None
    """Centre-of-mass energy of the collisions, GeV: 13000 in Run 2, 13600 in Run 3. The background functions are of
    mass over sqrt_s. It must be given where the files of events do not say it (``embed.sqrt_s`` lets them)."""
    constraint: Constraint = "poisson"
    """How the background of a window is known, in significances and in limits on counts."""
    goodness_toys: Annotated[int, Field(ge=0)] = 500
    """Pseudo-experiments for the goodness of fit; more than 1 / ``goodness_minimum``, or 0 for chi-squared."""
    global_toys: Annotated[int, Field(ge=0)] = 2000
    """Refitted toys for the global p-value of a histogram alone, 0 for none; with events, the calibration gives it."""
    goodness_minimum: Fraction = 0.01
    """A background fit with a smaller p-value is not to be quoted."""

    @property
    def energy(self) -> float:
        """The centre-of-mass energy.

        Returns
        -------
        float
            GeV.

        Raises
        ------
        HuntError
            If neither the document nor a file has said it.
        """
        if self.sqrt_s is None:
            msg = "hunt: statistics.sqrt_s is not given: the centre-of-mass energy of the collisions in GeV, e.g. 13000"
            raise HuntError(msg)
        return self.sqrt_s

    @model_validator(mode="after")
    def _known(self) -> "StatisticsConfig":
        if self.function != "auto" and self.function not in FUNCTIONS:
            msg = f"function: no such function {self.function!r}; {did_you_mean(self.function, [*FUNCTIONS, 'auto'])}"
            raise ValueError(msg)
        if self.goodness_toys and self.goodness_minimum * (1 + self.goodness_toys) <= 1:
            enough = math.ceil(1 / self.goodness_minimum)
            msg = (
                f"goodness_toys: the smallest p-value of {self.goodness_toys} pseudo-experiments is "
                f"{1 / (1 + self.goodness_toys):.2g}, so that no fit fails at goodness_minimum "
                f"{self.goodness_minimum:g}; expected at least {enough}, or 0 for chi-squared"
            )
            raise ValueError(msg)
        return self


class CalibrationConfig(Section):
    """Pseudo-experiments without signal that redo the whole analysis."""

    experiments: Annotated[int, Field(ge=0)] = 100
    """0 for none; fewer than 20 measure no width. An injection study has as many of its own."""
    background: list[Location] = []
    """Globs of embedded background events to take features from; by default the sidebands of the data."""

    @model_validator(mode="after")
    def _enough(self) -> "CalibrationConfig":
        if 0 < self.experiments < MINIMUM_EXPERIMENTS:
            msg = (
                f"experiments: {self.experiments} pseudo-experiments measure no width of Z; expected 0 or at least "
                f"{MINIMUM_EXPERIMENTS}"
            )
            raise ValueError(msg)
        return self


class SignalUncertainties(Section):
    """Relative uncertainties of the signal; 0 leaves one out."""

    luminosity: Share = 0.0
    """Of the luminosity."""
    efficiency: Share = 0.0
    """Of acceptance and efficiency."""
    scale: Share = 0.0
    """Of the mass: the peak moves by this share."""
    resolution: Share = 0.0
    """Of the width of the peak."""


DEFAULT_WIDTH = 0.05
"""Width over mass of the peak that a mass scan looks for where the document names no signal."""


class SignalShape(Section):
    """A simulated peak; it is moved to other masses by stretching the mass axis in proportion."""

    histogram: LocalPath | None = None
    """JSON with ``counts`` and ``edges`` (GeV), or FILE.root:NAME; any normalisation and weights."""
    counts: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = []
    """The peak in the document itself, with ``edges``, in place of a file."""
    edges: list[float] = []
    """GeV, one more than counts."""
    mass: Positive
    """The mass that was simulated, GeV."""

    @model_validator(mode="after")
    def _one(self) -> "SignalShape":
        if (self.histogram is None) == (not self.counts):
            msg = "give either a histogram, or counts and edges"
            raise ValueError(msg)
        if self.counts:
            self.template()
        return self

    def template(self) -> SignalTemplate:
        """The peak as it was simulated.

        Returns
        -------
        SignalTemplate
        """
        return SignalTemplate(np.array(self.counts), np.array(self.edges), self.mass)


class SignalConfig(Section):
    """The resonance on which limits against mass are set, in all events, without a selection by classifiers."""

    efficiency: Fraction = 1.0
    """Acceptance and efficiency of everything before the hunt, for limits on a cross-section. A peak may reach beyond
    the fit range; an injection study counts what lies within, and its limits are on the cross-section into it."""
    shape: Literal["gaussian"] | SignalShape = "gaussian"
    """Of the peak; a simulated one has tails."""
    widths: Annotated[list[Tight], Field(min_length=1)] = [DEFAULT_WIDTH]
    """Standard deviation over mass, by default that of a simulated peak; each gives a curve, and a scan among the
    trials of a histogram alone. The picture of local p0 against mass is of the first."""
    uncertainties: SignalUncertainties = SignalUncertainties()
    toys: Annotated[int, Field(ge=0)] = 1000
    """Pseudo-experiments with, and as many without, a signal for each strength of a limit where fewer than 10 events
    are expected under the peak; some seconds a limit. 0: asymptotic formulas there, too, up to a third too tight."""

    @model_validator(mode="after")
    def _different(self) -> "SignalConfig":
        if len(set(self.widths)) < len(self.widths):
            msg = f"widths: expected none twice, each is a trial; got {self.widths}"
            raise ValueError(msg)
        return self

    def peak(self, width: float) -> Signal:
        """The signal with a width.

        Parameters
        ----------
        width
            Standard deviation over mass.

        Returns
        -------
        Signal
        """
        if self.shape == "gaussian":
            return Gaussian(width)
        simulated = self.shape.template()
        return simulated.widened(width / simulated.relative_width)


class InjectionConfig(Section):
    """Signal of known size put into pseudo-data."""

    signal: list[Location] = []
    """Globs of embedded signal events; by default the events of the input that are marked ``truth_signal``."""
    yields: list[Annotated[int, Field(ge=0)]] = []
    """Signal events in the fit range, e.g. [0, 50, 100, 200]; empty for no study."""
    seeds: Annotated[int, Field(ge=1)] = 10
    """Pseudo-experiments for each yield."""
    efficiency: Tight | None = None
    """Of the classifiers compared; by default the smallest of the hunt."""


class HuntConfig(Section):
    """The whole document."""

    input: InputConfig
    output: LocalPath
    """Folder for report, plots, exports and what a later run goes on from; of this hunt alone."""
    mass: MassConfig = MassConfig()
    features: FeatureConfig = FeatureConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    folds: FoldConfig = FoldConfig()
    efficiencies: list[Tight] = [0.1, 0.01]
    """Fixed sideband efficiencies of the selections; each one is a trial."""
    statistics: StatisticsConfig = StatisticsConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    injection: InjectionConfig = InjectionConfig()
    luminosity: Positive | None = None
    """In 1/fb, for limits in fb."""
    signal: SignalConfig | None = None
    """For limits against mass; none are set without it."""
    blind: bool = False
    """Report nothing that was counted in a window, only gates, backgrounds, expected limits and significances. The same
    document with ``false`` unblinds it and does nothing again that was kept."""
    seed: Annotated[int, Field(ge=0)] = Recipe.seed
    """Of folds, trainings and pseudo-data: the same document gives the same numbers."""
    cluster: ClusterConfig = ClusterConfig()
    """Where to compute; as in the section ``embed``."""
    embed: dict[str, Any] = {}
    """For ``jepa-coffea embed``, which makes the events to hunt in; the hunt does not look at it."""

    @property
    def without_windows(self) -> bool:
        """Whether the whole mass axis is scanned for a peak, without windows and so without classifiers.

        Returns
        -------
        bool
        """
        return self.mass.windows == [] or (self.mass.windows is None and self.input.histogram is not None)

    @model_validator(mode="after")
    def _consistent(self) -> "HuntConfig":
        if self.without_windows:
            self._check_scan()
        if self.input.histogram is None or not self.without_windows:  # its own edges are not known yet
            self.mass.build()
        where = [
            (entry.window, entry.sidebands) for entry in self.mass.windows or [] if isinstance(entry, WindowConfig)
        ]
        if len(set(where)) < len(where):
            (low, high), _ = next(one for one in where if where.count(one) > 1)
            msg = f"mass.windows: the window {low:g} to {high:g} is there twice with the same sidebands"
            raise ValueError(msg)
        if self.luminosity is not None and self.signal is None:
            msg = (
                "luminosity: it is for limits in fb; say of which signal in the section signal, e.g. {efficiency: 0.4}"
            )
            raise ValueError(msg)
        if not self.efficiencies or len(set(self.efficiencies)) < len(self.efficiencies):
            msg = f"efficiencies: expected at least one and none twice, got {self.efficiencies}"
            raise ValueError(msg)
        return self

    def _check_scan(self) -> None:
        """Raise for what means nothing without windows."""
        of_classifiers = ("features", "classifier", "folds", "efficiencies", "calibration", "injection")
        given = [name for name in of_classifiers if getattr(self, name) != type(self).model_fields[name].default]
        if given:
            msg = (
                f"mass.windows: there are none, and the document has {', '.join(given)}, for classifiers that are "
                "trained to tell the events in a window from those beside it. Name windows, of events; or leave out "
                "what is for classifiers: the mass alone is then scanned for a peak"
            )
            raise ValueError(msg)
        if self.blind:
            msg = "blind: it hides what was counted in windows, and there are none; name those that may not be seen"
            raise ValueError(msg)

    @property
    def widths(self) -> list[float]:
        """Widths over mass of the peaks that mass scans look for.

        Returns
        -------
        list of float
            Of the section ``signal``; without it one of ``DEFAULT_WIDTH``.
        """
        return [DEFAULT_WIDTH] if self.signal is None else list(self.signal.widths)

    def peak(self, width: float) -> Signal:
        """The peak that mass scans and limits are about.

        Parameters
        ----------
        width
            One of ``widths``.

        Returns
        -------
        Signal
            Of the section ``signal``; a Gaussian without it.
        """
        return (self.signal or SignalConfig()).peak(width)

    @property
    def kind_of_peak(self) -> str:
        """Its shape in words, for reports.

        Returns
        -------
        str
        """
        simulated = self.signal is not None and self.signal.shape != "gaussian"
        return "simulated" if simulated else "Gaussian"

    def recipe(self) -> Recipe:
        """What decides the classifiers besides the events.

        Returns
        -------
        Recipe
        """
        return Recipe(
            self.mass.build(),
            {name: CLASSIFIERS[name](**options) for name, options in self.classifier.candidates.items()},
            Folds(self.folds.outer, self.folds.inner, self.seed, self.folds.order),
            self.classifier.members,
            self.classifier.attribute_fraction,
            self.features.reduction(),
            self.seed,
            self.classifier.best_at,
        )


def read_config(path: str | Path) -> HuntConfig:
    """Read and check a hunt document.

    Parameters
    ----------
    path
        A YAML file; relative paths in it are relative to its folder.

    Returns
    -------
    HuntConfig

    Raises
    ------
    HuntError
        If there is no such file, it is no YAML, or keys are unknown or have wrong values, one line each.
    """
    return read_document(Path(path), HuntConfig, HuntError)
