"""Background without signal to calibrate on: falling masses in one window, and features of the kinds of real tables."""

import numpy as np

from jepa_coffea.cwola import Windows
from jepa_coffea.cwola.sample import Sample, make_sample

WINDOWS = Windows.single(2600, 3000, sidebands=(2200, 3600), fit_range=(2200, 3600), bins=28)


def falling_spectrum(events: int, features: int, seed: int = 0) -> Sample:
    """Background: exponential masses (slope 500 GeV) over the fit range and normal features independent of them.

    Parameters
    ----------
    events
        How many events.
    features
        How many features.
    seed
        Of the random numbers.

    Returns
    -------
    Sample
        Masses in GeV.
    """
    rng = np.random.default_rng(seed)
    low, high = WINDOWS.fit_range
    mass = low - 500 * np.log(1 - rng.random(events) * (1 - np.exp((low - high) / 500)))
    return make_sample(rng.normal(size=(events, features)).astype(np.float32), mass, np.arange(events))


def with_integers(events: int, seed: int = 0) -> Sample:
    """Background with the features of real tables: numbers of constituents, classes, ratios, energies in whole GeV.

    Parameters
    ----------
    events
        How many events.
    seed
        Of the random numbers.

    Returns
    -------
    Sample
        Masses in GeV, and features of two jets: a Poisson number of constituents and a class, which grow a little with
        the mass, and a ratio between 0 and 1, which falls. The last two are of the event: energies in whole GeV, of
        jets above a cut and missing, which fall exponentially and grow a little with the mass.
    """
    plain, rng = falling_spectrum(events, 1, seed), np.random.default_rng([seed, 1])
    log = np.log(plain.mass / 2800)
    columns = []
    for _ in range(2):
        columns += [rng.poisson(50 + 5 * log), rng.binomial(3, 0.3 + 0.04 * log), rng.beta(4 - 0.4 * log, 3)]
    columns += [cut + np.round(rng.exponential(width * (1 + 0.3 * log))) for cut, width in ((1000, 800), (0, 60))]
    X = np.stack(columns, axis=1).astype(np.float32)
    return make_sample(X, plain.mass, np.arange(events))
