"""The names and transforms of weaver's preprocess.json: which inputs a weaver export takes, and how they are made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jepa_coffea.constituents.record import FIELDS
from jepa_coffea.errors import ModelError

REFERENCE_PT = 500.0
"""GeV, pT to which the ``*_scale`` variables of Sophon (arXiv 2405.12972) bring every jet."""

Array = NDArray[np.float32]


class Particles:
    """Particles of some jets, one after the other, with the quantities that weaver configurations derive from them.

    Parameters
    ----------
    rows
        [particle, field], the canonical fields in their order.
    jets
        [particle, 4], px py pz energy of the jet of each particle, in GeV.
    """

    def __init__(self, rows: Array, jets: Array) -> None:
        self.columns = {name: rows[:, i] for i, name in enumerate(FIELDS)}
        self.jet_px, self.jet_py, self.jet_pz, self.jet_energy = jets.T
        self.pt = np.hypot(self.columns["px"], self.columns["py"])
        self.jet_pt = np.hypot(self.jet_px, self.jet_py)
        self.scale = REFERENCE_PT / self.jet_pt

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    @property
    def deta(self) -> Array:
        """Pseudorapidity from the jet axis, towards larger |eta| positive.

        Returns
        -------
        numpy.ndarray
        """
        jet = np.arcsinh(self.jet_pz / self.jet_pt)
        return (np.arcsinh(self["pz"] / self.pt) - jet) * np.where(jet > 0, np.float32(1), np.float32(-1))

    @property
    def dphi(self) -> Array:
        """Azimuth from the jet axis, in [-pi, pi).

        Returns
        -------
        numpy.ndarray
        """
        turn = np.arctan2(self["py"], self["px"]) - np.arctan2(self.jet_py, self.jet_px)
        return (turn + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi)


VARIABLES: dict[str, Any] = {
    "part_mask": lambda p: np.ones_like(p.pt),
    "part_px": lambda p: p["px"],
    "part_py": lambda p: p["py"],
    "part_pz": lambda p: p["pz"],
    "part_energy": lambda p: p["energy"],
    "part_pt": lambda p: p.pt,
    "part_pt_log": lambda p: np.log(p.pt),
    "part_e_log": lambda p: np.log(p["energy"]),
    "part_logptrel": lambda p: np.log(p.pt / p.jet_pt),
    "part_logerel": lambda p: np.log(p["energy"] / p.jet_energy),
    "part_deltaR": lambda p: np.hypot(p.deta, p.dphi),
    "part_deta": lambda p: p.deta,
    "part_dphi": lambda p: p.dphi,
    "part_charge": lambda p: p["charge"],
    "part_isChargedHadron": lambda p: p["is_charged_hadron"],
    "part_isNeutralHadron": lambda p: p["is_neutral_hadron"],
    "part_isPhoton": lambda p: p["is_photon"],
    "part_isElectron": lambda p: p["is_electron"],
    "part_isMuon": lambda p: p["is_muon"],
    "part_d0val": lambda p: p["d0"],
    "part_dzval": lambda p: p["dz"],
    "part_d0": lambda p: np.tanh(p["d0"]),
    "part_dz": lambda p: np.tanh(p["dz"]),
    "part_d0err": lambda p: p["d0_err"],
    "part_dzerr": lambda p: p["dz_err"],
    "part_pt_scale": lambda p: p.pt * p.scale,
    "part_px_scale": lambda p: p["px"] * p.scale,
    "part_py_scale": lambda p: p["py"] * p.scale,
    "part_pz_scale": lambda p: p["pz"] * p.scale,
    "part_energy_scale": lambda p: p["energy"] * p.scale,
    "part_pt_scale_log": lambda p: np.log(p.pt * p.scale),
    "part_e_scale_log": lambda p: np.log(p["energy"] * p.scale),
}
"""Names of JetClass and of its configurations in weaver (arXiv 2202.03772) to their definition; mm and GeV."""

NEEDS = {
    "part_charge": ("charge",),
    "part_isChargedHadron": ("is_charged_hadron",),
    "part_isNeutralHadron": ("is_neutral_hadron",),
    "part_isPhoton": ("is_photon",),
    "part_isElectron": ("is_electron",),
    "part_isMuon": ("is_muon",),
    "part_d0val": ("d0",),
    "part_d0": ("d0",),
    "part_d0err": ("d0_err",),
    "part_dzval": ("dz",),
    "part_dz": ("dz",),
    "part_dzerr": ("dz_err",),
}
"""Fields that a variable needs beyond the four-momentum."""


EMPTY = {"part_px": 1e-7, "part_px_scale": 1e-7}
"""Instead of a padding of 0: the exporter writes atan2(py, px) as a division. The NaN of 0 / 0 in an empty slot would
spread through the attention of the whole jet, however well the slot is masked. Half precision makes 0 of less."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class VarInfo(_Section):
    """``clip((x - median) * norm_factor, lower_bound, upper_bound)``, and what stands in empty slots."""

    median: float = 0.0
    norm_factor: float = 1.0
    lower_bound: float = -1e32
    upper_bound: float = 1e32
    pad: float = 0.0


class Group(_Section):
    """One input of the model, [jet, variable, slot]."""

    var_names: Annotated[tuple[str, ...], Field(min_length=1)]
    var_infos: dict[str, VarInfo]
    var_length: int = Field(gt=0)
    pad_mode: Literal["constant", "wrap"] = "constant"
    """``wrap`` repeats the particles of the jet in the empty slots."""

    @model_validator(mode="after")
    def _described(self) -> Group:
        unknown = [name for name in self.var_names if name not in VARIABLES]
        if unknown:
            msg = f"unknown variables {unknown}; known are {[*VARIABLES]}; rename= maps others to them"
            raise ValueError(msg)
        bare = [name for name in self.var_names if name not in self.var_infos]
        if bare:
            msg = f"var_infos: no entry for {bare}"
            raise ValueError(msg)
        return self

    def values(self, particles: Particles) -> Array:
        """[particle, variable], transformed; not a number becomes 0, as in weaver.

        Parameters
        ----------
        particles
            Particles of some jets.

        Returns
        -------
        numpy.ndarray
            float32, [particle, variable].
        """
        out = np.empty((len(particles.pt), len(self.var_names)), dtype=np.float32)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for column, name in enumerate(self.var_names):
                info = self.var_infos[name]
                shifted = (VARIABLES[name](particles) - np.float32(info.median)) * np.float32(info.norm_factor)
                out[:, column] = np.clip(shifted, np.float32(info.lower_bound), np.float32(info.upper_bound))
        return np.nan_to_num(out, copy=False)

    @property
    def pads(self) -> Array:
        """What stands in empty slots, [variable].

        Returns
        -------
        numpy.ndarray
        """
        pads = {name: self.var_infos[name].pad for name in self.var_names}
        return np.array([pad or EMPTY.get(name, 0.0) for name, pad in pads.items()], dtype=np.float32)


class Preprocess(_Section):
    """A whole preprocess.json."""

    output_names: tuple[str, ...]
    input_names: Annotated[tuple[str, ...], Field(min_length=1)]
    groups: dict[str, Group]

    @model_validator(mode="after")
    def _classes_once(self) -> Preprocess:
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice:
            msg = f"output_names: {twice} more than once (without label_); columns of scores need names of their own"
            raise ValueError(msg)
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """Canonical fields that the variables need.

        Returns
        -------
        tuple of str
        """
        names = {name for group in self.groups.values() for name in group.var_names}
        extra = {field for name in names for field in NEEDS.get(name, ())}
        return tuple(field for field in FIELDS if field in extra or field in FIELDS[:4])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The outputs, without weaver's ``label_``.

        Returns
        -------
        tuple of str
        """
        return tuple(name.removeprefix("label_") for name in self.output_names)

    @property
    def length(self) -> int:
        """Most particles that any input holds.

        Returns
        -------
        int
        """
        return max(group.var_length for group in self.groups.values())

    @property
    def wraps(self) -> bool:
        """Whether any input is filled up to its length.

        Returns
        -------
        bool
        """
        return any(group.pad_mode == "wrap" for group in self.groups.values())


def renamed(text: str, rename: Mapping[str, str], where: str) -> str:
    """A preprocess.json with other names of its variables.

    Parameters
    ----------
    text
        JSON.
    rename
        Name of a variable in it (``pfcand_pt_log``) to the known one of the same meaning and unit (``part_pt_log``).
    where
        Name of the file, for errors.

    Returns
    -------
    str
        JSON.

    Raises
    ------
    ModelError
        If a name does not occur, two variables of an input get one name, or the text is no preprocess.json.
    """
    try:
        content = json.loads(text)
        groups = [content[name] for name in content["input_names"]]
        met = {name for group in groups for name in group["var_names"]}
        for group in groups:
            names = [rename.get(name, name) for name in group["var_names"]]
            if len(set(names)) < len(names):
                msg = f"{where}: rename={dict(rename)} gives two variables one name: {names}"
                raise ModelError(msg)
            group["var_infos"] = {rename.get(name, name): info for name, info in group["var_infos"].items()}
            group["var_names"] = names
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        msg = f"{where}: not a preprocess.json that can be used ({error})"
        raise ModelError(msg) from None
    absent = sorted(set(rename) - met)
    if absent:
        msg = f"{where}: rename= names {absent}, which its inputs do not have; those are {sorted(met)}"
        raise ModelError(msg)
    return json.dumps(content)


def parse_preprocess(text: str, where: str) -> Preprocess:
    """The content of a preprocess.json; ``where`` names the file in errors.

    Parameters
    ----------
    text
        JSON.
    where
        Name of the file, for errors.

    Returns
    -------
    Preprocess

    Raises
    ------
    ModelError
        If it is none, or needs variables that are not known here.
    """
    try:
        content = json.loads(text)
        groups = {name: content[name] for name in content["input_names"]}
        return Preprocess(output_names=content["output_names"], input_names=content["input_names"], groups=groups)
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        msg = f"{where}: not a preprocess.json that can be used ({error})"
        raise ModelError(msg) from None
