"""A trained encoder as one ONNX file: preprocessing and encoder as a graph, the card in its metadata."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import nn

from jepa_coffea.constituents.record import UNITS
from jepa_coffea.encoder.card import ModelCard, Provenance, save_model, write_card
from jepa_coffea.files import replacing
from training.exporting.onnx_graph import Exported, ExportError, measure_parity, reference_jets, to_onnx
from training.loop.checkpoint import load_encoder, load_objective
from training.models.encoder import Scale
from training.models.encoders import AnyEncoder
from training.models.flops import encoder_macs
from training.objectives import dropped_by
from training.objectives.supervised import Supervised

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
    """Write an encoder to an ONNX file, checked against the module before it is kept.

    Parameters
    ----------
    encoder
        What gives the embedding.
    path
        The file to write; its folder is made.
    name
        Name of the model in the card.
    objective
        Name of the objective that trained it.
    training_data
        What it was trained on, in words.
    provenance
        Commit, configuration and package versions; see :func:`provenance`.
    head
        From what the encoder gives (:class:`training.models.encoder.Encoded`) to logits [batch, class].
    class_names
        Names of the classes of ``head``, in the order of its logits.
    optional_fields
        Fields that training dropped at random, and that events may therefore lack.
    particle_embedding
        Whether the file also gives an embedding of each particle.
    pretraining
        How the encoder of a classifier was trained before.
    results
        What the model reaches on test sets.

    Returns
    -------
    ModelCard
        The card in the file.

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
    with replacing(path) as temporary:
        save_model(model, temporary)
    return card


def provenance(config: dict[str, Any], seed: int) -> Provenance:
    """Commit of the checkout, versions of the packages, and the date.

    Parameters
    ----------
    config
        Configuration of the training.
    seed
        Seed of the training.

    Returns
    -------
    Provenance
    """
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
    scores: bool = True,
) -> ModelCard:
    """Export what a run trained; see :func:`export_encoder`.

    Parameters
    ----------
    run
        Run folder, or a checkpoint in it.
    path
        The file to write.
    name
        Name in the card; by default that of the run.
    training_data
        What it was trained on, in words; by default the names of the files.
    particle_embedding
        Whether the file also gives an embedding of each particle.
    results
        What the model reaches on test sets.
    scale
        Whether an encoder that was trained for both is blind to the jets' scale (the default) or sees it.
    scores
        Whether the file of a classifier also gives the scores of its classes.

    Returns
    -------
    ModelCard
        The card in the file.

    Raises
    ------
    CheckpointError
        If there is no such run.
    ExportError
        If the file does not do what the encoder does, or the encoder was not trained for the ``scale`` asked for.
    """
    encoder, config = load_encoder(run)
    classifier = load_objective(run)[0] if scores and config.objective["name"] == "supervised" else None
    assert classifier is None or isinstance(classifier, Supervised)
    if classifier and classifier.variables:
        msg = (
            f"{run}: its head takes jet observables beside the embedding, which the inputs of an exported file do not "
        )
        msg += "have; fine-tune without --variables to export a tagger, or export the encoder alone with --no-scores"
        raise ExportError(msg)
    dropped = dropped_by(config.objective, config.encoder)
    if scale is not None and scale not in dropped.scales:
        msg = f"{run}: asked for scale {scale}, but it was trained for {' and '.join(dropped.scales)} only"
        raise ExportError(msg)
    encoder.scale = scale or encoder.scale
    settings = without_folders(config.model_dump(mode="json"))
    return export_encoder(
        encoder,
        path,
        name=name or config.name,
        objective=config.objective["name"],
        training_data=training_data or json.dumps(settings["data"]["files"]),
        provenance=provenance(settings, config.seed),
        head=classifier.parts()[1] if classifier else None,
        class_names=classifier.class_names if classifier else (),
        optional_fields=dropped.fields,
        particle_embedding=particle_embedding,
        pretraining=without_folders(config.finetune.pretraining) if config.finetune else None,
        results=results,
    )


def without_folders(value: Any) -> Any:
    """Configuration values with paths cut to file names: a card travels, and need not tell of a disk.

    Parameters
    ----------
    value
        Sections, lists and values of a configuration.

    Returns
    -------
    Any
        The same, every text with a slash in it cut to what follows the last one.
    """
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and "/" in value else value
