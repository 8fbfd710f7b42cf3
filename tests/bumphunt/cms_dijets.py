"""The dijet mass spectrum of CMS, JHEP 05 (2020) 033 (arXiv:1911.03947), figure 5: HEPData record ins1764471.

Counts are the published differential cross-sections times bin width and 137.5/fb, which makes them whole numbers. CMS
fits dijet3 between 1530 and 8752 GeV and finds no significant excess.
"""

from pathlib import Path

import numpy as np

LUMINOSITY = 137.0
"""1/fb."""

_TABLE = np.loadtxt(Path(__file__).parents[1] / "data" / "cms_dijets.csv", delimiter=",")

EDGES = np.append(_TABLE[:, 0], _TABLE[-1, 1])
"""[bin + 1], GeV."""

COUNTS = _TABLE[:, 2]
"""[bin]: events."""
