"""The look-elsewhere effect: how often background alone looks at least this interesting somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.bumphunt.records import Record
from jepa_coffea.bumphunt.significance import p_value, z_value
from jepa_coffea.bumphunt.toys import Family, run_toys
from jepa_coffea.errors import FitError

LEVEL = 0.5
"""Significance at which Gross and Vitells' upcrossings are counted: low, so that few toys suffice."""


@dataclass(frozen=True, eq=False)
class GlobalSignificance(Record):
    """Largest local significance of everything that was looked at, and what it is worth."""

    search: str
    hypothesis: str
    local_z: float
    local_p: float
    p: float
    """(1 + toys at least as significant) / (1 + toys), toys with a failed fit left out."""
    p_low: float
    p_high: float
    """68 % Clopper-Pearson interval of the toys' share."""
    z: float
    """Of ``p``."""
    is_bound: bool
    """Whether no toy reached the data: ``p`` is then an upper bound set by the number of toys, ``z`` a lower one."""
    toys: int
    """All, those with a failed fit included."""
    exceeding: int
    """Toys at least as significant as the data."""
    failed: int
    """Toys with a fit that did not converge: what they would have given is not known."""
    p_failed_exceed: float
    """``p`` if every failed toy had been at least as significant as the data: the most cautious reading."""
    gross_vitells_p: float
    """Cross-check, an upper bound: upcrossings of mass scans, Bonferroni for what is no scan; NaN without a scan."""
    hypotheses: int
    maxima: Array
    """[toy]: largest local significance of each toy; NaN for a failed one."""

    @property
    def strongest_p(self) -> float:
        """The smallest upper bound on the global p-value that is known.

        Returns
        -------
        float
            ``p``; where no toy reached the data, Gross and Vitells' bound if it is smaller.
        """
        if self.is_bound and np.isfinite(self.gross_vitells_p):
            return min(self.p, self.gross_vitells_p)
        return self.p

    @property
    def sentence(self) -> str:
        """The global p-value in words, with the bound and the failed toys named.

        Returns
        -------
        str
        """
        good = self.toys - self.failed
        if self.is_bound:
            text = (
                f"The global p-value is below {self.p:.2g} (more than {self.z:.2f} standard deviations): none of "
                f"{good} toys reached the local significance of {self.local_z:.2f}; more toys would lower this bound."
            )
            if np.isfinite(self.gross_vitells_p):
                text += f" By Gross and Vitells' upcrossings it is at most {self.gross_vitells_p:.2g}."
        else:
            text = (
                f"The global p-value is {self.p:.2g} ({self.z:.2f} standard deviations): {self.exceeding} of {good} "
                f"toys reached the local significance of {self.local_z:.2f}."
            )
        if self.failed:
            text += (
                f" The fits of {self.failed} more toys failed; had all of these reached it, the p-value would be "
                f"{self.p_failed_exceed:.2g}."
            )
        return text


def global_significance(
    families: Sequence[Family],
    *,
    toys: int = 2000,
    seed: int = 0,
    client: Any = None,
    folder: str | Path | None = None,
    progress: bool = False,
) -> GlobalSignificance:
    """Global p-value by toys that refit, with all trials (masses, widths, windows, nested selections) inside the toys.

    Parameters
    ----------
    families
        See :data:`~jepa_coffea.bumphunt.toys.Family`; ``[[search]]`` for a single one. Families count as independent:
        where they share events the result is conservative.
    toys
        How many.
    seed
        Of their random numbers.
    client
        A Dask client to spread them over.
    folder
        Keep finished batches there.
    progress
        Show a bar.

    Returns
    -------
    GlobalSignificance

    Raises
    ------
    HistogramError
        For families that are none, and unless there is at least one toy.
    FitError
        When a fit of the data, or more than 2 % of the toys, failed.
    """
    searches = [search for family in families for search in family]
    observed = np.concatenate([search.local_z(search.spectrum.counts[None])[0] for search in searches])
    names = [(search.name, label) for search in searches for label in search.labels]
    bad = np.flatnonzero(np.isnan(observed))
    if len(bad):
        msg = f"the fit of the data did not converge for {', '.join(' '.join(names[i]) for i in bad)}; use wider bins"
        raise FitError(msg)
    z = run_toys(families, toys, seed=seed, client=client, folder=folder, progress=progress)
    best = int(np.argmax(observed))
    failed = np.isnan(z).any(axis=1)
    lost, good = int(failed.sum()), int((~failed).sum())
    maxima = np.where(failed, np.nan, z.max(axis=1))
    exceeding = int((maxima >= observed[best]).sum())
    p = (1 + exceeding) / (1 + good)
    return GlobalSignificance(
        search=names[best][0],
        hypothesis=names[best][1],
        local_z=float(observed[best]),
        local_p=float(p_value(observed[best])),
        p=p,
        p_low=float(stats.beta.ppf(0.1587, exceeding, good - exceeding + 1)) if exceeding else 0.0,
        p_high=float(stats.beta.ppf(0.8413, exceeding + 1, good - exceeding)) if exceeding < good else 1.0,
        z=float(z_value(p)),
        is_bound=exceeding == 0,
        toys=toys,
        exceeding=exceeding,
        failed=lost,
        p_failed_exceed=(1 + exceeding + lost) / (1 + toys),
        gross_vitells_p=_gross_vitells(searches, z[~failed], float(observed[best])),
        hypotheses=len(observed),
        maxima=maxima,
    )


def gross_vitells(z: Array, peak: float, level: float = LEVEL) -> float:
    """Upper bound on the global p-value of one scan from upcrossings of a low level.

    ``p <= p_local + <upcrossings of level**2> exp(-(peak**2 - level**2) / 2)``. Source: Gross, Vitells, Eur. Phys. J. C
    70 (2010) 525.

    Parameters
    ----------
    z
        [toy, mass]: signed local significances.
    peak
        Largest local significance of the data.
    level
        At which upcrossings are counted.

    Returns
    -------
    float
    """
    above = z >= level
    crossings = float((above[:, 1:] & ~above[:, :-1]).sum(axis=1).mean())
    return min(1.0, float(p_value(peak)) + crossings * float(np.exp((level**2 - peak**2) / 2)))


def _gross_vitells(searches: list[Any], z: Array, peak: float) -> float:
    if peak <= LEVEL or not len(z) or not any(search.ordered for search in searches):
        return float("nan")
    parts = np.split(z, np.cumsum([len(search.labels) for search in searches])[:-1], axis=1)
    bounds = [
        gross_vitells(part, peak) if search.ordered else part.shape[1] * float(p_value(peak))
        for search, part in zip(searches, parts, strict=True)
    ]
    return min(1.0, sum(bounds))
