"""A window where there is nothing: the whole training again inside a sideband."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from jepa_coffea.cwola.cwola import CWoLa
from jepa_coffea.cwola.fits import Sample
from jepa_coffea.cwola.folds import FoldError
from jepa_coffea.cwola.gates import SIGMAS, Gate, count_gate, interpolated_count
from jepa_coffea.cwola.scores import WindowScores
from jepa_coffea.cwola.selection import SelectionError
from jepa_coffea.cwola.windows import HIGH, LOW, OUTSIDE, Window, Windows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fake:
    """A sideband's events, trained on as if its middle were the window."""

    mass: Floats
    scores: WindowScores


def fake_window(sample: Sample, cwola: CWoLa, window: Window) -> tuple[str, Fake | str]:
    """The whole training again for a window inside the fuller sideband, where there is no signal: name, and result.

    The fake window holds the middle half of that sideband's events, between quarters as its sidebands. The result is
    the reason where it cannot be made.
    """
    region = window.region(sample.mass)
    code = max((LOW, HIGH), key=lambda c: np.count_nonzero(region == c))
    rows = np.flatnonzero(region == code)
    name = f"fake window in the {'low' if code == LOW else 'high'} sideband"
    ends = (window.sideband_low, window.low) if code == LOW else (window.high, window.sideband_high)
    low, high = np.quantile(sample.mass[rows], [0.25, 0.75])
    try:
        fake = Window(float(low), float(high), *ends, name=f"{window.name} fake")
        inner = replace(cwola, windows=Windows((fake,), (ends[0], fake.low, fake.high, ends[1])))
        here = sample.take(rows)
        return name, Fake(here.mass, inner.fit_sample(here)[0])
    except (FoldError, SelectionError) as error:
        return name, str(error)


def fake_window_count(fake: Fake | str, name: str, window: str, efficiency: float) -> Gate:
    """What is selected in the fake window, against its sidebands."""
    reason = fake if isinstance(fake, str) else ""
    if isinstance(fake, Fake):
        try:
            passed = fake.scores.selected(efficiency)
        except SelectionError as error:
            reason = str(error)
    if isinstance(fake, str) or reason:
        return Gate(name, window, False, np.nan, np.nan, SIGMAS, f"could not be made: {reason}")
    count = interpolated_count(passed, np.where(fake.scores.scored, fake.scores.region, OUTSIDE), fake.mass)
    return count_gate(name, window, count, "classifiers trained for a window where there is nothing find nothing")
