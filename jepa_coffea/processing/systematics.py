"""Systematic variations as named functions, so that a user's own needs no more than a function."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jepa_coffea.errors import JepaCoffeaError
from jepa_coffea.processing.fingerprint import fingerprint

NOMINAL = "nominal"
"""Name of what is not varied."""

JetVariation = Callable[[ak.Array, ak.Array], ak.Array]
"""``(events, jets)`` to the jets with other ``pt``, ``mass`` and so on, in their order; eta and phi stay."""

WeightVariation = Callable[[ak.Array], ArrayLike]
"""``events`` to a factor on the weight of each, or one for all."""

EventVariation = Callable[[ak.Array], ak.Array]
"""``events`` to events with other candidates (and jets), such as with a fraction of the tracks lost."""


class SystematicError(JepaCoffeaError, ValueError):
    """A variation that does not give what its kind must give."""


@dataclass(frozen=True)
class Systematics:
    """Variations by name, each a category of the axis ``systematic``.

    Raises
    ------
    SystematicError
        If a name is given twice, or is ``nominal``.

    Examples
    --------
    >>> from jepa_coffea.processing import EnergyScale, Systematics
    >>> variations = Systematics(
    ...     jets={"jes_up": EnergyScale(1.02), "jes_down": EnergyScale(0.98)},
    ...     weights={"pileup_up": lambda events: events.puWeightUp / events.puWeight},
    ... )
    """

    jets: Mapping[str, JetVariation] = field(default_factory=dict)
    """Selected anew. The embedding is the nominal one, as the constituents are."""
    weights: Mapping[str, WeightVariation] = field(default_factory=dict)
    """The nominal events with other weights."""
    constituents: Mapping[str, EventVariation] = field(default_factory=dict)
    """Selected and embedded anew, which takes as long as the nominal events."""

    def __post_init__(self) -> None:
        names = [NOMINAL, *self.jets, *self.weights, *self.constituents]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"systematics: {twice} are given more than once; every variation, and {NOMINAL!r}, needs its own name"
            raise SystematicError(msg)

    def identity(self) -> dict[str, dict[str, str]]:
        """What tells these variations from others, for checkpoints and for the metadata of files.

        Returns
        -------
        dict
        """
        kinds: dict[str, Mapping[str, Callable[..., Any]]]
        kinds = {"jets": self.jets, "weights": self.weights, "constituents": self.constituents}
        return {kind: {name: fingerprint(vary) for name, vary in given.items()} for kind, given in kinds.items()}

    def varied_jets(self, name: str, events: ak.Array, jets: ak.Array) -> ak.Array:
        """``jets`` as the variation ``name`` has them, with the fields that they had.

        Parameters
        ----------
        name
            Of the variation.
        events
            NanoEvents.
        jets
            The nominal jets, ``events * jets``.

        Returns
        -------
        ak.Array

        Raises
        ------
        SystematicError
            If they are not the same jets in the same order.
        """
        varied = self.jets[name](events, jets)
        same = len(varied) == len(jets) and ak.all(ak.num(varied, axis=1) == ak.num(jets, axis=1))
        if not (same and all(ak.all(varied[angle] == jets[angle], axis=None) for angle in ("eta", "phi"))):
            msg = (
                f"systematic {name!r}: expected the {ak.count(jets.pt)} jets that it was given, in their order and "
                "with their eta and phi; the selection sorts them, and their constituents are found by direction"
            )
            raise SystematicError(msg)
        return ak.zip({column: varied[column] for column in jets.fields})

    def factor(self, name: str, events: ak.Array) -> NDArray[np.float64]:
        """Factor on the weight of each event in the variation ``name``.

        Parameters
        ----------
        name
            Of the variation.
        events
            NanoEvents.

        Returns
        -------
        numpy.ndarray
            float64, [event].

        Raises
        ------
        SystematicError
            If it is not one finite number an event.
        """
        given = np.asarray(self.weights[name](events), dtype=np.float64)
        if given.shape not in ((), (len(events),)) or not np.isfinite(given).all():
            msg = (
                f"systematic {name!r}: expected one finite factor for each of {len(events)} events, got shape "
                f"{given.shape} with {np.count_nonzero(~np.isfinite(given))} that are not finite"
            )
            raise SystematicError(msg)
        return np.broadcast_to(given, (len(events),))

    def varied_events(self, name: str, events: ak.Array) -> ak.Array:
        """``events`` as the variation ``name`` has them.

        Parameters
        ----------
        name
            Of the variation.
        events
            NanoEvents.

        Returns
        -------
        ak.Array

        Raises
        ------
        SystematicError
            If there are not as many of them.
        """
        varied = self.constituents[name](copy.copy(events))  # a field assigned to the copy leaves the others alone
        if len(varied) != len(events):
            msg = f"systematic {name!r}: expected the {len(events)} events that it was given, got {len(varied)}"
            raise SystematicError(msg)
        return varied


@dataclass(frozen=True)
class EnergyScale:
    """Four-momenta of all jets times a factor: a variation of the jet energy scale."""

    factor: float

    def __call__(self, events: ak.Array, jets: ak.Array) -> ak.Array:  # noqa: ARG002  one of many
        """The jets, scaled; groomed masses scale with the rest."""
        for name in {"pt", "mass", "msoftdrop"} & set(jets.fields):
            jets = ak.with_field(jets, jets[name] * np.float32(self.factor), name)
        return jets
