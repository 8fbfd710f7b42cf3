"""The document that says what to hunt for, in what, and how: YAML, checked before anything runs."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from jepa_coffea.clusters.registry import ClusterConfig
from jepa_coffea.cwola.classifiers import CLASSIFIERS
from jepa_coffea.cwola.folds import Folds
from jepa_coffea.cwola.recipe import Recipe
from jepa_coffea.documents import LocalPath, Section, read_document
from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.hunt.sections import (
    DEFAULT_WIDTH,
    CalibrationConfig,
    ClassifierConfig,
    FeatureConfig,
    FoldConfig,
    Fraction,
    InjectionConfig,
    InputConfig,
    MassConfig,
    Positive,
    SignalConfig,
    StatisticsConfig,
)


class HuntError(JepaCoffeaError, ValueError):
    """A hunt that cannot be done as described."""


class HuntConfig(Section):
    """The whole document."""

    input: InputConfig
    output: LocalPath
    mass: MassConfig = MassConfig()
    features: FeatureConfig = FeatureConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    folds: FoldConfig = FoldConfig()
    efficiencies: list[Fraction] = [0.1, 0.01]
    """Fixed sideband efficiencies of the selections; each one is a trial."""
    statistics: StatisticsConfig = StatisticsConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    injection: InjectionConfig = InjectionConfig()
    luminosity: Positive | None = None
    """In 1/fb, for limits in fb."""
    signal: SignalConfig | None = None
    """For limits against mass; none are set without it."""
    blind: bool = False
    """Say nothing that was counted in a window: gates, backgrounds, expected limits and significances alone. The same
    document with ``false`` unblinds it and does nothing again that was kept."""
    seed: Annotated[int, Field(ge=0)] = Recipe.seed
    cluster: ClusterConfig = ClusterConfig()
    """Where to compute; as in the section ``embed``."""
    embed: dict[str, Any] = {}
    """For ``jepa-coffea embed``, which makes the events to hunt in; the hunt does not look at it."""

    @model_validator(mode="after")
    def _consistent(self) -> "HuntConfig":
        self.mass.build()
        if self.luminosity is not None and self.signal is None:
            msg = (
                "luminosity: it is for limits in fb; say of which signal in the section signal, e.g. {efficiency: 0.4}"
            )
            raise ValueError(msg)
        if not self.efficiencies or len(set(self.efficiencies)) < len(self.efficiencies):
            msg = f"efficiencies: expected at least one and none twice, got {self.efficiencies}"
            raise ValueError(msg)
        return self

    @property
    def widths(self) -> list[float]:
        """Widths over mass of the peaks that mass scans look for.

        Returns
        -------
        list of float
            Of the section ``signal``; without it one of ``DEFAULT_WIDTH``.
        """
        return [DEFAULT_WIDTH] if self.signal is None else list(self.signal.widths)

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
