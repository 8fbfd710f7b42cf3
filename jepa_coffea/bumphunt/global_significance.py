"""The look-elsewhere effect: how often would background alone look at least this interesting somewhere?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from jepa_coffea.bumphunt.likelihood import Array
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
    """(1 + toys at least as significant) / (1 + toys)."""
    p_low: float
    p_high: float
    """68 % Clopper-Pearson interval of the toys' share."""
    z: float
    """Of ``p``; a lower limit of what can be claimed when no toy reached the data."""
    toys: int
    exceeding: int
    failed: int
    """Toys with a fit that did not converge; they count as exceeding."""
    gross_vitells_p: float
    """Cross-check, an upper bound: upcrossings of mass scans, Bonferroni for what is no scan; NaN without a scan."""
    hypotheses: int
    maxima: Array
    """[toy]: largest local significance of each toy."""


def global_significance(
    families: Sequence[Family],
    *,
    toys: int = 1000,
    seed: int = 0,
    client: Any = None,
    folder: str | Path | None = None,
    progress: bool = False,
) -> GlobalSignificance:
    """Global p-value by toys that refit, with all trials (masses, windows, nested selections) inside the toys.

    families: see :data:`toys.Family`; ``[[search]]`` for a single one. Families count as independent: where they
    share events the result is conservative. client, folder, progress: see :func:`toys.run_toys`.
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
    maxima = np.where(failed, np.inf, z.max(axis=1))
    exceeding = int((maxima >= observed[best]).sum())
    p = (1 + exceeding) / (1 + toys)
    return GlobalSignificance(
        search=names[best][0],
        hypothesis=names[best][1],
        local_z=float(observed[best]),
        local_p=float(p_value(observed[best])),
        p=p,
        p_low=float(stats.beta.ppf(0.1587, exceeding, toys - exceeding + 1)) if exceeding else 0.0,
        p_high=float(stats.beta.ppf(0.8413, exceeding + 1, toys - exceeding)) if exceeding < toys else 1.0,
        z=float(z_value(p)),
        toys=toys,
        exceeding=exceeding,
        failed=int(failed.sum()),
        gross_vitells_p=_gross_vitells(searches, z[~failed], float(observed[best])),
        hypotheses=len(observed),
        maxima=maxima,
    )


def gross_vitells(z: Array, peak: float, level: float = LEVEL) -> float:
    """p <= p_local + <upcrossings of level**2> exp(-(peak**2 - level**2) / 2) for one scan.

    z: [toy, mass] signed local significances. Source: Gross, Vitells, Eur. Phys. J. C 70 (2010) 525.
    """
    above = z >= level
    crossings = float((above[:, 1:] & ~above[:, :-1]).sum(axis=1).mean())
    return min(1.0, float(p_value(peak)) + crossings * float(np.exp((level**2 - peak**2) / 2)))


def _gross_vitells(searches: list[Any], z: Array, peak: float) -> float:
    if peak <= LEVEL or not any(search.ordered for search in searches):
        return float("nan")
    parts = np.split(z, np.cumsum([len(search.labels) for search in searches])[:-1], axis=1)
    bounds = [
        gross_vitells(part, peak) if search.ordered else part.shape[1] * float(p_value(peak))
        for search, part in zip(searches, parts, strict=True)
    ]
    return min(1.0, sum(bounds))
