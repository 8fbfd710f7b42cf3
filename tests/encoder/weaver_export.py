"""Models trained, configured and exported by weaver-core itself, in small, and what weaver computes with them."""

import argparse
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import torch
from weaver import train
from weaver.utils.data.preprocess import _build_new_variables
from weaver.utils.dataset import DataConfig, _finalize_inputs

from jepa_coffea.constituents.record import FIELDS

BRANCHES = dict(
    zip(
        FIELDS,
        (
            *("part_px", "part_py", "part_pz", "part_energy", "part_charge", "part_isChargedHadron"),
            *("part_isNeutralHadron", "part_isPhoton", "part_isElectron", "part_isMuon"),
            *("part_d0val", "part_d0err", "part_dzval", "part_dzerr"),
        ),
        strict=True,
    )
)

CONFIG = """
new_variables:
    part_mask: ak.ones_like(part_energy)
    part_pt: np.hypot(part_px, part_py)
    part_pt_log: np.log(part_pt)
    part_e_log: np.log(part_energy)
    part_logptrel: np.log(part_pt/jet_pt)
    part_logerel: np.log(part_energy/jet_energy)
    part_deltaR: np.hypot(part_deta, part_dphi)
    part_d0: np.tanh(part_d0val)
    part_dz: np.tanh(part_dzval)
preprocess:
    method: manual
inputs:
    pf_points:
        length: 40
        pad_mode: PAD
        vars: [[part_deta, null], [part_dphi, null]]
    pf_features:
        length: 40
        pad_mode: PAD
        vars:
            - [part_pt_log, 1.7, 0.7]
            - [part_e_log, 2.0, 0.7]
            - [part_logptrel, -4.7, 0.7]
            - [part_logerel, -4.7, 0.7]
            - [part_deltaR, 0.2, 4.0, -2, 3, 0.5]
            - [part_charge, null]
            - [part_isChargedHadron, null]
            - [part_isNeutralHadron, null]
            - [part_isPhoton, null]
            - [part_isElectron, null]
            - [part_isMuon, null]
            - [part_d0, null]
            - [part_d0err, 0, 1, 0, 1]
            - [part_dz, null]
            - [part_dzerr, 0, 1, 0, 1]
            - [part_deta, null]
            - [part_dphi, null]
    pf_vectors:
        length: 40
        pad_mode: PAD
        vars: [[part_px, null], [part_py, null], [part_pz, null], [part_energy, null]]
    pf_mask:
        length: 40
        pad_mode: constant
        vars: [[part_mask, null]]
labels:
    type: simple
    value: [label_QCD, label_Hbb, label_Tbqq]
"""

NETWORKS = {
    "ParT": """
        import torch
        from weaver.nn.model.ParticleTransformer import ParticleTransformer

        class Network(torch.nn.Module):
            def __init__(self, **options):
                super().__init__()
                self.mod = ParticleTransformer(**options)

            def forward(self, points, features, lorentz_vectors, mask):
                return self.mod(features, v=lorentz_vectors, mask=mask)

        OPTIONS = dict(
            embed_dims=(32, 32), pair_embed_dims=(16, 16), num_heads=4, num_layers=2, num_cls_layers=1, fc_params=[],
            pair_input_dim=4,
        )

        def network(data_config, **kwargs):
            return Network(input_dim=17, num_classes=3, for_inference=kwargs.get("for_inference", False), **OPTIONS)
    """,
    "ParticleNet": """
        import torch
        from weaver.nn.model.ParticleNet import ParticleNet

        class Network(torch.nn.Module):
            def __init__(self, **options):
                super().__init__()
                self.mod = ParticleNet(**options)

            def forward(self, points, features, lorentz_vectors, mask):
                return self.mod(points, features, mask)

        def network(data_config, **kwargs):
            return Network(
                input_dims=17, num_classes=3, conv_params=[(16, (24, 24)), (16, (32, 32))], fc_params=[(32, 0.1)],
                for_inference=kwargs.get("for_inference", False),
            )
    """,
}

INFO = """
def get_model(data_config, **kwargs):
    names = list(data_config.input_names)
    axes = {name: {0: "N", 2: "n_pf"} for name in names} | {"softmax": {0: "N"}}
    info = dict(
        input_names=names,
        input_shapes={name: (1, *shape[1:]) for name, shape in data_config.input_shapes.items()},
        output_names=["softmax"],
        dynamic_axes=axes if not kwargs.get("fixed") else {name: {0: "N"} for name in axes},
    )
    return network(data_config, **kwargs), info
"""


@dataclass
class Exported:
    """A model file, its preprocess.json, and the same network in PyTorch with weaver's own preprocessing."""

    model: Path
    preprocess: Path
    network: torch.nn.Module
    config: DataConfig

    def scores(self, particles: np.ndarray, counts: np.ndarray, jets: np.ndarray) -> np.ndarray:
        """Class probabilities by weaver: its new variables, its standardisation and padding, its network."""
        made = inputs(self.config, particles, counts, jets)
        tensors = [torch.from_numpy(made[name]) for name in self.config.input_names]
        tensors[-1] = tensors[-1].bool()
        with torch.no_grad():
            return torch.softmax(self.network(*tensors), dim=1).numpy()


def inputs(config: DataConfig, particles: np.ndarray, counts: np.ndarray, jets: np.ndarray) -> dict[str, np.ndarray]:
    """What weaver feeds to a network."""
    table = _build_new_variables(jetclass_table(particles, counts, jets), config.test_var_funcs)
    finished = _finalize_inputs(table, config)
    return {name: np.asarray(finished["_" + name]) for name in config.input_names}


def jetclass_table(particles: np.ndarray, counts: np.ndarray, jets: np.ndarray) -> ak.Array:
    """The jets as branches of JetClass."""
    columns = {branch: particles[:, i].astype(float) for i, branch in enumerate(BRANCHES.values())}
    px, py, pz = (np.repeat(jets[:, i].astype(float), counts) for i in range(3))
    eta = np.arcsinh(pz / np.hypot(px, py))
    own = np.arcsinh(columns["part_pz"] / np.hypot(columns["part_px"], columns["part_py"]))
    turn = np.arctan2(columns["part_py"], columns["part_px"]) - np.arctan2(py, px)
    columns["part_deta"] = (own - eta) * np.where(eta > 0, 1, -1)
    columns["part_dphi"] = (turn + np.pi) % (2 * np.pi) - np.pi
    table: dict[str, Any] = {name: ak.unflatten(values, counts) for name, values in columns.items()}
    table["jet_pt"] = np.hypot(jets[:, 0], jets[:, 1]).astype(float)
    table["jet_energy"] = jets[:, 3].astype(float)
    for name in ("label_QCD", "label_Hbb", "label_Tbqq"):
        table[name] = np.zeros(len(counts))
    return ak.Array(table)


def export(name: str, folder: Path, *, fixed: bool = False) -> Exported:
    """Write a network with random weights by ``weaver --export-onnx``."""
    data, code, weights = folder / "data.yaml", folder / "network.py", folder / "weights.pt"
    data.write_text(CONFIG.replace("PAD", "constant"))
    code.write_text(textwrap.dedent(NETWORKS[name]) + INFO)
    config = DataConfig.load(str(data))
    words = ["--data-config", str(data), "--network-config", str(code), "--model-prefix", str(weights)]
    words += [
        "--export-onnx",
        str(folder / "model.onnx"),
        "--network-option",
        "fixed",
        str(fixed),
        "--onnx-opset",
        "17",
    ]
    arguments: argparse.Namespace | SimpleNamespace = train.parser.parse_args(words)
    torch.manual_seed(3)
    arguments.export_onnx, wanted = None, arguments.export_onnx
    network = train.model_setup(arguments, config)[0].eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
    torch.save(network.state_dict(), weights)
    arguments.export_onnx = wanted
    with warnings.catch_warnings():
        # weaver exports by tracing, which torch calls legacy; tracing warns of every Python value it sees.
        warnings.simplefilter("ignore")
        train.onnx(arguments)
    return Exported(folder / "model.onnx", folder / "preprocess.json", network, config)
