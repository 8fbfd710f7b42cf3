"""A hunt under way, and what it found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from jepa_coffea.bumphunt import BackgroundFit, GlobalSignificance, Scan
from jepa_coffea.bumphunt.envelope import Envelope, SpuriousSignal
from jepa_coffea.bumphunt.ftest import FTest
from jepa_coffea.bumphunt.limits import Limit
from jepa_coffea.cwola.gates import Gate
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.hunt.calibration import Calibrated
from jepa_coffea.hunt.config import HuntConfig
from jepa_coffea.hunt.events import Events
from jepa_coffea.hunt.experiment import Counting, Floats, Template
from jepa_coffea.hunt.global_p import GlobalP


@dataclass(frozen=True)
class Run:
    """Its document, where it computes, where it talks."""

    config: HuntConfig
    client: Any = None
    console: Console = field(default_factory=Console)
    progress: bool = False

    @property
    def output(self) -> Path:
        """The folder of the hunt."""
        return self.config.output

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        self.console.print(text, highlight=False)


@dataclass(frozen=True)
class Selection:
    """One spectrum of the hunt: a window's selection, its counts, its fit."""

    counting: Counting
    counts: Floats
    """(bins,)."""
    fit: BackgroundFit | None
    """None where it failed."""
    scan: Scan | None = None
    """Local p0 against mass, for the picture: only the windows are trials. None where a fit failed."""
    template: Template | None = None
    """The background by the second estimate; None without a selection."""
    limit: Limit | None = None
    """95 % CLs limit on signal events in the window after the selection; None where there is no fit."""

    @property
    def label(self) -> str:
        """Window and efficiency, for tables and pictures."""
        efficiency = self.counting.efficiency
        return f"{self.counting.window}, " + ("all events" if efficiency == 1 else f"efficiency {efficiency:g}")


@dataclass(frozen=True)
class FunctionStudy:
    """How well the background function suits the inclusive spectrum, by window; text says why there is no answer."""

    function: str
    """The one that is used."""
    choices: dict[str, FTest]
    """Empty when the document names the function."""
    envelopes: dict[str, Envelope | str]
    spurious: dict[str, SpuriousSignal | str]


@dataclass(frozen=True)
class HuntResult:
    """What a hunt found."""

    output: Path
    baseline: Sequence[Selection]
    """Every window without a selection."""
    selections: Sequence[Selection] = ()
    """Every window and efficiency, in the order of the calibration; empty for a histogram alone."""
    calibrated: Sequence[Calibrated] = ()
    search: GlobalP | None = None
    refitted: GlobalSignificance | None = None
    """Global significance of a histogram alone, from toys that refit."""
    null: Floats | None = None
    """(experiments, 2, selections): Z of the pseudo-experiments by function and by template."""
    gates: Sequence[Gate] = ()
    injection: Sequence[dict[str, Any]] = ()
    """Medians and bands of the injection study, by yield and method."""
    scores: Sequence[WindowScores] = ()
    events: Events | None = None
    functions: FunctionStudy | None = None
    reasons: Sequence[str] = ()
    """Why the result must not be quoted; empty when it may be."""
    paragraph: str = ""
