"""Jet observables that need no labels, as targets of a regression from a masked jet."""

from __future__ import annotations

import torch
from torch import Tensor

from training.models.preprocess import DISPLACEMENT, IDENTITY

COMPUTED = ("log_mass", "log_n", "ptd", "width", "lha", "log_e2", "log_e3", "log_d2")
"""Computed from the particles of any jet."""

CONTENT = (
    "charged_hadron_share",
    "neutral_hadron_share",
    "photon_share",
    "electron_share",
    "muon_share",
    "log_n_charged",
    "jet_charge",
)
"""Of jets whose particles have an identity."""

TRACKS = (
    "log_significance_1",
    "log_significance_2",
    "log_significance_3",
    "log_n_displaced",
    "displaced_share",
    "log_mass_displaced",
)
"""Of jets whose particles have impact parameters."""

RATIOS = {"tau21": ("tau2", "tau1"), "tau32": ("tau3", "tau2"), "tau43": ("tau4", "tau3")}
"""Ratios of observables that some sources store: numerator, denominator."""

SOFT_DROP = "softdrop_mass"

SCALE = ("log_pt_gev", "log_mass_gev")
"""In GeV: wanted only of jets whose scale the encoder is shown."""

TRACK_PT_MIN, DISPLACED = 1.0, 3.0
"""Tracks (GeV) whose impact parameters are looked at, and the significance above which one is displaced."""


def observable_names(stored: tuple[str, ...], fields: tuple[str, ...], *, scale: bool) -> tuple[str, ...]:
    """Names of the columns that :func:`jet_observables` gives.

    Parameters
    ----------
    stored
        Names of the observables that are stored with the jets.
    fields
        Names of the fields of the particles.
    scale
        Whether to add those in GeV.

    Returns
    -------
    tuple of str
    """
    content = CONTENT if IDENTITY[0] in fields else ()
    tracks = TRACKS if DISPLACEMENT[0] in fields else ()
    ratios = tuple(name for name, needs in RATIOS.items() if set(needs) <= set(stored))
    soft_drop = ("log_softdrop_mass",) if SOFT_DROP in stored else ()
    return COMPUTED + content + tracks + (SCALE if scale else ()) + ratios + soft_drop


@torch.no_grad()
def jet_observables(
    particles: Tensor,
    mask: Tensor,
    jets: Tensor,
    stored: Tensor | None,
    names: tuple[str, ...],
    fields: tuple[str, ...],
    shown: Tensor | None = None,
) -> Tensor:
    """Observables of whole jets.

    log(m / pT), log n, pTD = sqrt(sum pT^2) / sum pT, angularities sum z dR^k (k = 1: width, 1/2: LHA), energy
    correlators e2 = sum_ij z_i z_j R_ij and e3 = sum_ijk z_i z_j z_k R_ij R_jk R_ik over distinct unordered particles
    (arXiv 1305.0007) and D2 = e3 / e2^3 (arXiv 1409.6298); shares of pT of each kind of particle, charged particles,
    jet charge sum q z^(1/2) (arXiv 1209.2421); the three largest significances |d0| / error, number, share of pT and
    mass of displaced tracks; N-subjettiness ratios and the soft-drop mass where stored. All of these stay as they are
    when the jet's pT scale changes, but for those of tracks; jets that show their scale also have log pT and log m.

    Parameters
    ----------
    particles
        f32 [B, N, field], the columns ``fields``, of which the first four are px py pz energy.
    mask
        bool [B, N].
    jets
        f32 [B, 4].
    stored
        f32 [B, K] with the columns ``names``, or None.
    names
        Names of the observables stored with the jets.
    fields
        Names of the fields of the particles.
    shown
        bool [B], jets that show their scale; None: without observables in GeV.

    Returns
    -------
    f32 [B, len(observable_names(names, fields, scale=shown is not None))], NaN where an observable does not exist.
    """
    with torch.autocast(particles.device.type, enabled=False):
        jet_pt = (jets[:, 0].square() + jets[:, 1].square()).clamp(min=1e-6).sqrt()
        p4 = particles[..., :4].float() * mask.unsqueeze(-1)
        pt = (p4[..., 0].square() + p4[..., 1].square()).sqrt()
        total = pt.sum(1).clamp(min=1e-6)
        z = pt / total.unsqueeze(1)
        mass2 = _mass2(p4.sum(1))
        columns = [0.5 * _log((mass2 / total.square()).clamp(min=1e-8)), *_shapes(p4, pt, z, mask, jets, jet_pt)]
        if IDENTITY[0] in fields:
            start = fields.index(IDENTITY[0])
            columns += _content(particles[..., start : start + len(IDENTITY)].float(), z, mask)
        if DISPLACEMENT[0] in fields:
            start = fields.index(DISPLACEMENT[0])
            columns += _tracks(particles[..., start : start + len(DISPLACEMENT)].float(), p4, pt, z, mask)
        if shown is not None:
            columns += [torch.where(shown, _log(jet_pt), torch.nan)]
            columns += [torch.where(shown, 0.5 * _log(mass2.clamp(min=1e-2)), torch.nan)]
        if stored is not None:
            column = dict(zip(names, stored.float().unbind(1), strict=True))
            columns += [
                _positive(column[above]) / _positive(column[below])
                for above, below in RATIOS.values()
                if above in column and below in column
            ]
            if SOFT_DROP in column:
                columns.append(_log(column[SOFT_DROP] / jet_pt))
        missing = len(observable_names(names, fields, scale=shown is not None)) - len(columns)
        return torch.stack(columns + [torch.full_like(jet_pt, torch.nan)] * missing, dim=1)


def _shapes(p4: Tensor, pt: Tensor, z: Tensor, mask: Tensor, jets: Tensor, jet_pt: Tensor) -> list[Tensor]:
    px, py, pz, _ = p4.unbind(-1)
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
    return [
        _log(mask.sum(1).float()),
        z.square().sum(1).sqrt(),
        (z * to_axis).sum(1),
        (z * to_axis.sqrt()).sum(1),
        _log(e2),
        _log(e3),
        _log(e3) - 3 * _log(e2),
    ]


def _content(identity: Tensor, z: Tensor, mask: Tensor) -> list[Tensor]:
    charge = identity[..., 0] * mask
    shares = (identity[..., 1:] * z.unsqueeze(-1)).sum(1)
    known = (identity * mask.unsqueeze(-1)).abs().sum((1, 2)) > 0
    columns = [*shares.unbind(-1), (charge != 0).float().sum(1).log1p(), (charge * z.sqrt()).sum(1)]
    return [torch.where(known, column, torch.nan) for column in columns]


def _tracks(displacement: Tensor, p4: Tensor, pt: Tensor, z: Tensor, mask: Tensor) -> list[Tensor]:
    d0, d0_err = displacement[..., 0], displacement[..., 1]
    track = mask & (d0_err > 0) & (pt > TRACK_PT_MIN)
    significance = torch.where(track, d0.abs() / d0_err.clamp(min=1e-6), 0.0)
    three = torch.cat([significance, significance.new_zeros(len(significance), 3)], 1).topk(3, dim=1).values
    displaced = (significance > DISPLACED).float()
    mass2 = _mass2((p4 * displaced.unsqueeze(-1)).sum(1)).clamp(min=0)
    columns = [*three.log1p().unbind(1), displaced.sum(1).log1p(), (displaced * z).sum(1), mass2.sqrt().log1p()]
    return [torch.where(track.any(1), column, torch.nan) for column in columns]


def _mass2(p4: Tensor) -> Tensor:
    return p4[:, 3].square() - p4[:, :3].square().sum(1)


def _wrap(angle: Tensor) -> Tensor:
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi


def _positive(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.nan)


def _log(x: Tensor) -> Tensor:
    return _positive(x).log()
