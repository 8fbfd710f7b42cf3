"""The first fit of a spectrum, from no knowledge of its parameters to coordinates in which every later fit is easy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jepa_coffea.bumphunt.functions import Function, quadrature
from jepa_coffea.bumphunt.likelihood import BackgroundModel, fit_batch
from jepa_coffea.bumphunt.newton import Array
from jepa_coffea.errors import FitError


def reference_model(
    function: Function, sqrt_s: float, edges: Array, counts: Array, used: npt.NDArray[np.bool_]
) -> BackgroundModel:
    """Fit one spectrum, and prepare the coordinates in which later fits are easy.

    Parameters
    ----------
    function
        Of the background.
    sqrt_s
        Centre-of-mass energy, GeV.
    edges
        [bin + 1], GeV.
    counts
        [bin]: observed events.
    used
        [bin]: bins that enter the likelihood.

    Returns
    -------
    BackgroundModel
        ``phi = 0`` is the fit, and the Fisher information there is the unit matrix.

    Raises
    ------
    FitError
        Naming function and cause, when the data do not determine the parameters.
    """
    mass, weights = quadrature(edges)
    terms = function.design(mass / sqrt_s)[used]
    n = counts[used]
    where = f"{function.name} on {int(used.sum())} bins with {n.sum():g} events"
    _check_determined(function, n, where)
    centre = (terms * weights[used][..., None]).sum(axis=1) / weights[used].sum(axis=1)[:, None]
    # First guess: weighted least squares on the logarithm of the density.
    root = np.sqrt(n + 0.1)
    target = np.log((n + 0.1) / weights[used].sum(axis=1))
    theta = np.linalg.lstsq(centre * root[:, None], target * root, rcond=None)[0]
    transform = np.linalg.pinv(np.linalg.qr(centre * root[:, None])[1])
    for _ in range(8):
        model = BackgroundModel.build(function, sqrt_s, edges, theta, transform)
        fit = fit_batch(model.bins(used), n[None])
        if not np.isfinite(fit.information).all():
            break
        theta = theta + transform @ fit.phi[0]
        try:
            root_information = np.linalg.cholesky(fit.information[0])
        except np.linalg.LinAlgError:
            break
        transform = transform @ np.linalg.inv(root_information).T
        if fit.converged[0] and np.linalg.norm(fit.phi[0]) < 1e-3:
            return BackgroundModel.build(function, sqrt_s, edges, theta, transform)
    msg = (
        f"the fit of {where} did not converge: the counts do not determine its {function.n_parameters} parameters. "
        f"Try fewer parameters, a wider fit range or wider bins"
    )
    raise FitError(msg)


def _check_determined(function: Function, n: Array, where: str) -> None:
    filled = int((n > 0).sum())
    if filled < function.n_parameters + 1:
        msg = (
            f"the fit of {where} has {function.n_parameters} parameters and only {filled} bins with events. "
            f"Widen the fit range or the bins, loosen the selection, or take a function with fewer parameters"
        )
        raise FitError(msg)
