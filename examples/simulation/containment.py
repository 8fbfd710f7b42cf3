"""A filter on the hard process: shower only those events that can give a jet worth keeping."""

from __future__ import annotations

import math

import pythia8mc

from examples.simulation.particles import NEUTRINOS

PT_MARGIN = 0.85
ETA_MARGIN = 0.4
CONE = 1.2


class ContainmentFilter(pythia8mc.UserHooks):
    """Veto events in which no outgoing particle of the hard process decays into what can be a jet in range.

    Of an outgoing particle that decays the visible products (partons, charged leptons) together must have nearly the
    smallest jet pT, be nearly within the range in eta, and all be within a cone of 1.2 (jets have R = 0.8); the margins
    are for what showers and detector move. Of the jets that would be kept this loses 2 to 3 % where a neutrino takes
    part of the momentum and below 0.1 % elsewhere.

    Parameters
    ----------
    pt_range, eta_max
        jets that will be kept, GeV.
    """

    def __init__(self, pt_range: tuple[float, float], eta_max: float) -> None:
        pythia8mc.UserHooks.__init__(self)
        self._pt_min, self._pt_max = PT_MARGIN * pt_range[0], pt_range[1] / PT_MARGIN
        self._eta_max = eta_max + ETA_MARGIN
        self.trials = 0
        """Events seen, vetoed ones included."""

    def canVetoProcessLevel(self) -> bool:  # noqa: N802  Pythia's name
        """Ask for the call below.

        Returns
        -------
        bool
        """
        return True

    def doVetoProcessLevel(self, process: pythia8mc.Event) -> bool:  # noqa: N802  Pythia's name
        """Whether to drop the event, once resonances have decayed and before anything is showered.

        Parameters
        ----------
        process
            The hard process.

        Returns
        -------
        bool
        """
        self.trials += 1
        products: dict[int, list[pythia8mc.Particle]] = {}
        for i in range(5, process.size()):
            particle = process[i]
            if not particle.isFinal() or abs(particle.id()) in NEUTRINOS:
                continue
            top = i
            while (mother := process[top].mother1()) > 4:
                top = mother
            products.setdefault(top, []).append(particle)
        return not any(self._can_be_a_jet(group) for group in products.values())

    def _can_be_a_jet(self, group: list[pythia8mc.Particle]) -> bool:
        px, py, pz = (sum(getattr(p, axis)() for p in group) for axis in ("px", "py", "pz"))
        pt = math.hypot(px, py)
        if not self._pt_min < pt < self._pt_max:
            return False
        eta, phi = math.asinh(pz / pt), math.atan2(py, px)
        if abs(eta) > self._eta_max:
            return False
        return all(math.hypot(p.eta() - eta, math.remainder(p.phi() - phi, 2 * math.pi)) < CONE for p in group)
