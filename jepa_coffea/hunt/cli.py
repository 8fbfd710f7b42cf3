"""What ``jepa-coffea hunt`` does: from the document on the command line to the folder and the paragraph."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jepa_coffea.bumphunt import FitError, HistogramError
from jepa_coffea.cwola.classifiers import ClassifierError
from jepa_coffea.cwola.features import FeatureError
from jepa_coffea.cwola.folds import FoldError
from jepa_coffea.cwola.selection import SelectionError
from jepa_coffea.cwola.weights import EmptyRegionError, WeightError
from jepa_coffea.cwola.windows import WindowError
from jepa_coffea.hunt.config import HuntError, read_config
from jepa_coffea.hunt.pipeline import run_hunt
from jepa_coffea.hunt.state import HuntResult, Run

REFUSALS = (
    HuntError,
    WindowError,
    FeatureError,
    WeightError,
    EmptyRegionError,
    FoldError,
    SelectionError,
    ClassifierError,
    HistogramError,
    FitError,
)
"""What a hunt raises, with its reason, when it cannot be done as described."""


def hunt(document: str | Path, *, progress: bool = True, console: Console | None = None) -> HuntResult:
    """Run the hunt of a YAML document, print what was found and where it is.

    Raises:
        one of REFUSALS.
    """
    config = read_config(document)
    console = console or Console()
    with config.cluster.connect() as client:
        result = run_hunt(Run(config, client, console, progress))
    console.print(table_of(result))
    console.print(result.paragraph, style="bold" if not result.reasons else "bold red", highlight=False)
    console.print(f"Everything is in {result.output}", highlight=False)
    return result


def table_of(result: HuntResult) -> Table:
    """All selections: counted, expected, Z and p, before and after calibration."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("window", "eff.", "observed", "expected", "Z", "p", "corrected Z", "p"):
        table.add_column(name, justify="left" if name == "window" else "right", no_wrap=True)
    calibrated = {(c.counting.window, c.counting.efficiency): c for c in result.calibrated}
    for selection in (*result.baseline, *result.selections):
        counting = selection.counting
        entry = calibrated.get((counting.window, counting.efficiency))
        table.add_row(
            counting.window,
            "all" if counting.efficiency == 1 else f"{counting.efficiency:g}",
            str(counting.n),
            f"{counting.b:.1f} ± {counting.sigma_b:.1f}",
            f"{counting.z:.2f}",
            f"{counting.p:.2g}",
            f"{entry.corrected.z:.2f} ± {entry.corrected.z_error:.2f}" if entry else "",
            f"{entry.corrected.p:.2g}" if entry else "",
        )
    return table
