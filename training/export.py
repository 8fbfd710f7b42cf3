"""From a trained encoder to the one ONNX file: preprocessing and encoder as a graph, the card in its metadata.

python training/export.py runs/a --output encoder.onnx
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import onnx
from rich.console import Console
from torch import nn

from jepa_coffea.constituents.record import UNITS
from jepa_coffea.encoder.card import ModelCard, Provenance, write_card
from training.loop.checkpoint import CheckpointError, load_objective
from training.models.encoder import Scale
from training.models.encoders import AnyEncoder
from training.models.flops import encoder_macs
from training.objectives.supervised import Supervised
from training.onnx_graph import Exported, ExportError, measure_parity, reference_jets, to_onnx

TOLERANCE = 1e-4
"""Largest relative difference between file and module that an export in fp32 may show."""


def export_encoder(
    encoder: AnyEncoder,
    path: str | Path,
    *,
    name: str,
    objective: str,
    training_data: str,
    provenance: Provenance,
    head: nn.Module | None = None,
    class_names: tuple[str, ...] = (),
    optional_fields: tuple[str, ...] = (),
    particle_embedding: bool = False,
    pretraining: dict[str, Any] | None = None,
    results: dict[str, Any] | None = None,
) -> ModelCard:
    """Write ``encoder`` (and ``head``, from its :class:`Encoded` to logits) to the ONNX file ``path``.

    The file is checked against the module before it is kept.

    Raises
    ------
    ExportError
        If the file's outputs differ from the module's by more than ``TOLERANCE``, or class names lack a head.
    """
    if (head is None) == bool(class_names):
        msg = (
            f"class_names: got {list(class_names)} with head {head}; a head needs names for its classes and vice versa"
        )
        raise ExportError(msg)
    path = Path(path)
    config = encoder.config
    module = Exported(encoder, head, particle_embedding=particle_embedding).cpu().float().eval()
    model = to_onnx(module, config.fields)
    parity = measure_parity(model, module, config.max_particles)
    if parity.max_relative > TOLERANCE:
        got = f"{parity.max_relative:.1e}"
        msg = f"{path}: differs from the PyTorch module by {got}, allowed {TOLERANCE:.0e}; not written"
        raise ExportError(msg)
    card = ModelCard(
        name=name,
        objective=objective,
        fields=config.fields,
        optional_fields=optional_fields,
        units={field: UNITS[field] for field in config.fields},
        max_particles=config.max_particles,
        embedding_dim=config.embedding_dim,
        class_names=class_names,
        particle_embedding=particle_embedding,
        scaled_to_jet_pt=encoder.scale == "blind",
        macs_per_jet={n: encoder_macs(config, n) for n in (16, 32, 64, 128) if n <= config.max_particles},
        training_data=training_data,
        provenance=provenance,
        parity=parity,
        reference=reference_jets(model, fields=config.fields, max_particles=config.max_particles),
        pretraining=pretraining or {},
        results=results or {},
    )
    write_card(model, card)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return card


def provenance(config: dict[str, Any], seed: int) -> Provenance:
    """What there is to know of this moment: the commit of the checkout, package versions, the date."""
    root = Path(__file__).parent
    try:
        describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        commit = subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        commit = "unknown"
    packages = {
        package: metadata.version(package) for package in ("torch", "onnx", "onnxruntime", "onnxscript", "numpy")
    }
    return Provenance(
        git_hash=commit,
        config=config,
        seed=seed,
        packages=packages,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def export_run(
    run: str | Path,
    path: str | Path,
    *,
    name: str | None = None,
    training_data: str | None = None,
    particle_embedding: bool = False,
    results: dict[str, Any] | None = None,
    scale: Scale | None = None,
) -> ModelCard:
    """Export what the run folder (or checkpoint) ``run`` trained; see :func:`export_encoder`.

    ``scale`` chooses whether an encoder that was trained for both is blind to the jets' scale (the default) or sees it.

    Raises
    ------
    CheckpointError
        If there is no such run.
    ExportError
        If the file does not do what the encoder does, or the encoder was not trained for the ``scale`` asked for.
    """
    objective, config = load_objective(run)
    encoder = objective.exported()
    trained = objective.scales or (encoder.scale,)
    if scale is not None and scale not in trained:
        msg = f"{run}: asked for scale {scale}, but it was trained for {' and '.join(trained)} only"
        raise ExportError(msg)
    encoder.scale = scale or encoder.scale
    settings = without_folders(config.model_dump(mode="json"))
    classifier = objective if isinstance(objective, Supervised) else None
    return export_encoder(
        encoder,
        path,
        name=name or config.name,
        objective=config.objective["name"],
        training_data=training_data or json.dumps(settings["data"]["files"]),
        provenance=provenance(settings, config.seed),
        head=classifier.head if classifier else None,
        class_names=classifier.class_names if classifier else (),
        optional_fields=objective.optional_fields,
        particle_embedding=particle_embedding,
        pretraining=without_folders(config.finetune.pretraining) if config.finetune else None,
        results=results,
    )


def without_folders(value: Any) -> Any:
    """Configuration values with paths cut to file names: a card travels further than it should tell of a disk."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and "/" in value else value


def parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path, help="run folder, or a checkpoint in it")
    options.add_argument("--output", type=Path, required=True, metavar="FILE.onnx")
    options.add_argument("--name", help="name in the card; by default that of the run")
    options.add_argument(
        "--training-data", metavar="TEXT", help="what it was trained on, in words; default: file names"
    )
    options.add_argument("--particle-embedding", action="store_true", help="also give an embedding of each particle")
    options.add_argument(
        "--scale", choices=("blind", "seen"), help="blind to the scale of the jets, for searches, or not, for tagging"
    )
    options.add_argument("--results", type=Path, metavar="JSON", help="what it reaches on test sets, for the card")
    options.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32")
    return options


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 2 for what the user has to mend."""
    args = parser().parse_args(argv)
    try:
        results = json.loads(args.results.read_text()) if args.results else None
        card = export_to(args.precision, args, results)
    except (CheckpointError, ExportError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return 2
    check = card.parity or card.drift
    assert check is not None
    distance = f"within {check.max_relative:.1e} of {'PyTorch' if card.parity else 'fp32'}"
    size = args.output.stat().st_size / 1e6
    Console().print(f"{args.output}: {card.name}, {card.embedding_dim} numbers a jet, {size:.1f} MB, {distance}")
    return 0


def export_to(
    precision: Literal["fp32", "fp16", "int8"], args: argparse.Namespace, results: dict[str, Any] | None
) -> ModelCard:
    """Export in fp32 and, where asked, convert that."""
    options = {
        "name": args.name,
        "training_data": args.training_data,
        "particle_embedding": args.particle_embedding,
        "scale": args.scale,
    }
    if precision == "fp32":
        return export_run(args.run, args.output, results=results, **options)
    from training.precision import reduce  # it needs this module

    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "fp32.onnx"
        export_run(args.run, full, results=results, **options)
        return reduce(full, args.output, precision)


if __name__ == "__main__":
    sys.exit(main())
