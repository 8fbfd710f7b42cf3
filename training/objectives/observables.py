"""Jet observables that need no labels, as targets of a regression from a masked jet."""

from __future__ import annotations

import torch
from torch import Tensor

COMPUTED = ("log_mass", "log_n", "ptd", "width", "lha", "log_e2", "log_e3", "log_d2")
"""Computed from the particles of any jet."""

RATIOS = {"tau21": ("tau2", "tau1"), "tau32": ("tau3", "tau2"), "tau43": ("tau4", "tau3")}
"""Ratios of observables that some sources store: numerator, denominator."""

SOFT_DROP = "softdrop_mass"


def observable_names(stored: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns that :func:`jet_observables` gives for jets that come with the observables ``stored``."""
    ratios = tuple(name for name, needs in RATIOS.items() if set(needs) <= set(stored))
    soft_drop = ("log_softdrop_mass",) if SOFT_DROP in stored else ()
    return COMPUTED + ratios + soft_drop


@torch.no_grad()
def jet_observables(
    particles: Tensor, mask: Tensor, jets: Tensor, stored: Tensor | None, names: tuple[str, ...]
) -> Tensor:
    """Observables of whole jets, all invariant under a change of the jet's pT scale.

    log(m / pT), log n, pTD = sqrt(sum pT^2) / sum pT, angularities sum z dR^k (k = 1: width, 1/2: LHA), energy
    correlators e2 = sum_ij z_i z_j R_ij and e3 = sum_ijk z_i z_j z_k R_ij R_jk R_ik over distinct unordered particles
    (arXiv 1305.0007) and D2 = e3 / e2^3 (arXiv 1409.6298), N-subjettiness ratios and the soft-drop mass where stored.

    Parameters
    ----------
    particles
        f32 [B, N, field], whose first four fields are px py pz energy.
    mask
        bool [B, N].
    jets
        f32 [B, 4].
    stored
        f32 [B, K] with the columns ``names``, or None.
    names
        Names of the observables stored with the jets.

    Returns
    -------
    f32 [B, len(observable_names(names))], NaN where an observable does not exist.
    """
    with torch.autocast(particles.device.type, enabled=False):
        jet_pt = (jets[:, 0].square() + jets[:, 1].square()).clamp(min=1e-6).sqrt()
        px, py, pz, energy = (particles[..., :4] * mask.unsqueeze(-1)).unbind(-1)
        pt = (px.square() + py.square()).sqrt()
        total = pt.sum(1).clamp(min=1e-6)
        z = pt / total.unsqueeze(1)
        sums = torch.stack([px, py, pz, energy], -1).sum(1)
        mass2 = sums[:, 3].square() - sums[:, :3].square().sum(1)
        eta = torch.asinh(pz / pt.clamp(min=1e-6))
        phi = torch.atan2(py, px)
        axis = torch.asinh(jets[:, 2] / jet_pt), torch.atan2(jets[:, 1], jets[:, 0])
        dphi = _wrap(phi - axis[1].unsqueeze(1))
        to_axis = ((eta - axis[0].unsqueeze(1)).square() + dphi.square()).sqrt()
        deta, dphi = eta.unsqueeze(2) - eta.unsqueeze(1), _wrap(phi.unsqueeze(2) - phi.unsqueeze(1))
        distance = (deta.square() + dphi.square()).sqrt()
        # S_ij = sqrt(z_i z_j) R_ij: the sum over ordered triples of z z z R R R is the trace of S^3.
        s = distance * (z.unsqueeze(2) * z.unsqueeze(1)).sqrt()
        e2 = (distance * z.unsqueeze(2) * z.unsqueeze(1)).sum((1, 2)) / 2
        e3 = ((s @ s) * s).sum((1, 2)) / 6
        columns = [
            0.5 * _log((mass2 / total.square()).clamp(min=1e-8)),
            _log(mask.sum(1).float()),
            z.square().sum(1).sqrt(),
            (z * to_axis).sum(1),
            (z * to_axis.sqrt()).sum(1),
            _log(e2),
            _log(e3),
            _log(e3) - 3 * _log(e2),
        ]
        if stored is not None:
            column = dict(zip(names, stored.float().unbind(1), strict=True))
            columns += [
                _positive(column[above]) / _positive(column[below])
                for above, below in RATIOS.values()
                if above in column and below in column
            ]
            if SOFT_DROP in column:
                columns.append(_log(column[SOFT_DROP] / jet_pt))
        else:
            missing = len(observable_names(names)) - len(COMPUTED)
            columns += [torch.full_like(jet_pt, torch.nan)] * missing
        return torch.stack(columns, dim=1)


def _wrap(angle: Tensor) -> Tensor:
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi


def _positive(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.nan)


def _log(x: Tensor) -> Tensor:
    return _positive(x).log()
