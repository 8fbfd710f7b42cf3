"""The centre-of-mass energy of a hunt: its document gives it, or its files say it of themselves."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jepa_coffea.bumphunt.functions import check_masses
from jepa_coffea.documents import in_gev
from jepa_coffea.errors import BadFileError
from jepa_coffea.files import find_files
from jepa_coffea.files.parquet import opened
from jepa_coffea.hunt.config import HuntConfig, HuntError


def with_energy(config: HuntConfig) -> HuntConfig:
    """A hunt whose ``statistics.sqrt_s`` is that of its document or of its files.

    Parquet files of events say it in their metadata (entry ``jepa_coffea``, JSON, key ``sqrt_s``; ``embed.sqrt_s``
    writes it), histograms in JSON under ``sqrt_s``. ROOT files do not say it.

    Parameters
    ----------
    config
        Of any hunt.

    Returns
    -------
    HuntConfig

    Raises
    ------
    HuntError
        If nobody says it, files say different energies, another one than the document, or one in TeV or MeV.
    HistogramError
        If the mass axis does not go with it, for instance in TeV.
    BadFileError
        If there are no files, or one is damaged.
    """
    found = _said(config)
    said = {file: float(energy) for file, energy in found.items() if energy is not None}
    silent = [file for file, energy in found.items() if energy is None]
    given = config.statistics.sqrt_s
    for file, energy in said.items():
        first = next(iter(said))
        other, of = (given, "statistics.sqrt_s") if given is not None else (said[first], first)
        if energy != other:
            msg = f"hunt: {file} is of collisions at {energy:g} GeV, {of} says {other:g}; a hunt is at one energy"
            raise HuntError(msg)
    if given is None and said and silent:
        first, energy = next(iter(said.items()))
        msg = (
            f"hunt: {first} is of collisions at {energy:g} GeV, {silent[0]} does not say it; if it is of the same, "
            f"statistics: {{sqrt_s: {energy:g}}} says so"
        )
        raise HuntError(msg)
    if given is None and not said:
        msg = (
            "hunt: statistics.sqrt_s is not given, and the input does not say it; give the centre-of-mass energy of "
            "the collisions in GeV, e.g. statistics: {sqrt_s: 13000} (13600 in Run 3), of which mass the background "
            "functions are a fraction. Files embedded with embed.sqrt_s say it themselves"
        )
        raise HuntError(msg)
    sqrt_s = given if given is not None else next(iter(said.values()))
    check_masses(np.asarray(config.mass.build().edges), sqrt_s)
    statistics = config.statistics.model_copy(update={"sqrt_s": sqrt_s})
    return config.model_copy(update={"statistics": statistics})


def _said(config: HuntConfig) -> dict[str, float | None]:
    """The energy that each file says; None where it says none."""
    source = config.input.histogram
    if source is not None:
        found = {str(source): _of_histogram(str(source))}
    else:
        files = find_files(config.input.events, "embedded events")
        found = {str(file): _of_events(str(file)) for file in files}
    wrong = {file: energy for file, energy in found.items() if not _usable(energy)}
    if wrong:
        file, energy = next(iter(wrong.items()))
        msg = f"hunt: {file} says sqrt_s = {energy!r}; expected a number above 0, in GeV"
        raise HuntError(msg)
    for file, energy in found.items():
        if energy is None:
            continue
        try:
            in_gev(energy)
        except ValueError as doubt:
            msg = f"hunt: {file} says {doubt}"
            raise HuntError(msg) from None
    return found


def _usable(energy: Any) -> bool:
    number = isinstance(energy, int | float) and not isinstance(energy, bool)
    return energy is None or (number and 0 < energy < float("inf"))


def _of_histogram(file: str) -> Any:
    if not file.endswith(".json"):
        return None
    try:
        with open(file) as content:  # noqa: PTH123  a JSON file that cannot be read is named where its counts are read
            document = json.load(content)
    except (OSError, ValueError):
        return None
    return document.get("sqrt_s") if isinstance(document, dict) else None


def _of_events(file: str) -> Any:
    if file.endswith(".root"):
        return None
    try:
        with opened(file) as source:
            metadata = pq.read_schema(source).metadata or {}
        return json.loads(metadata.get(b"jepa_coffea", b"{}")).get("sqrt_s")
    except (OSError, ValueError, AttributeError, pa.ArrowException) as error:
        msg = f"{file} is damaged, or no parquet ({str(error).strip()}); write it again"
        raise BadFileError(msg) from None
