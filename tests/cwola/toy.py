"""A falling spectrum with features, and a bump that differs in them: what the tests hunt in."""

import numpy as np


def dijets(events, *, features=4, signal=0, seed=0, low=2000.0, high=5000.0, shift=2.0):
    """X (events, features), mass in GeV, ids (events, 3), truth; background independent of mass, exponential in it."""
    rng = np.random.default_rng(seed)
    slope = 500.0
    u = rng.random(events)
    mass = low - slope * np.log(1 - u * (1 - np.exp(-(high - low) / slope)))
    X = rng.normal(size=(events, features))
    if signal:
        mass = np.concatenate([mass, rng.normal(2800.0, 60.0, signal)])
        bump = rng.normal(size=(signal, features))
        bump[:, :2] = shift + 0.5 * bump[:, :2]
        X = np.concatenate([X, bump])
    number = np.arange(len(mass))
    ids = np.stack([np.ones_like(number), number // 1000, number], axis=1)
    order = rng.permutation(len(mass))
    return X[order], mass[order], ids[order], (number >= events)[order]
