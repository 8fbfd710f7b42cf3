"""How good a classifier, or a frozen encoder, is on jets that it never saw."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from jepa_coffea.errors import BadFileError, did_you_mean
from jepa_coffea.files import replacing, write_text
from jepa_coffea.progress import counted
from training.config import RunConfig
from training.data.batch import Batch
from training.data.config import DataConfig
from training.data.loader import make_loader
from training.data.sources import expand, missing, named
from training.loop.batches import labels_of, take
from training.loop.checkpoint import CheckpointError, load_encoder, load_objective
from training.loop.distributed import process_group
from training.loop.metrics import BACKGROUND, Floats, Ints, classification_metrics, softmax
from training.loop.plots import classifier_figure
from training.loop.probe import Probe
from training.objectives.supervised import Supervised


def _held_out(config: RunConfig, data: Sequence[str] | None) -> DataConfig:
    """Where to find the test jets of a run: all jets of ``data``, or without it the test split of the run's own files.

    Raises
    ------
    BadFileError
        If a file of ``data`` is one that the run trained on, or without it the run's own files are not there or no jets
        of them were held out.
    """
    if data is None:
        problem = missing(config.data.test_files or config.data.files)
        if problem:
            msg = f"{problem}; the run was trained on these files: give test jets with --data"
            raise BadFileError(msg)
        if not (config.data.test_files or config.data.test_fraction):
            msg = "the run trained on all jets of its files (data.test_fraction is 0): give test jets with --data"
            raise BadFileError(msg)
        return config.data
    seen = {str(Path(path).resolve()) for path in _still_there(config)}
    both = [path for path in expand(data) if str(Path(path).resolve()) in seen]
    if both:
        msg = f"{both[0]}: the run was trained on this file; without --data its test split is used"
        raise BadFileError(msg)
    return config.data.model_copy(update={"test_files": tuple(data)})


def _still_there(config: RunConfig) -> list[str]:
    """The files that a run was trained on, as far as they are on this machine."""
    found: list[str] = []
    for source in named(config.data.files).values():
        for pattern in [source.files] if isinstance(source.files, str) else source.files:
            try:
                found += expand(pattern)
            except BadFileError:
                continue
    return found


@torch.no_grad()
def _predict(classifier: Supervised, batches: Iterable[Batch], device: torch.device) -> tuple[Floats, Ints]:
    """Probabilities [jet, class] and labels [jet] of ``batches``, computed in fp32."""
    classifier.eval()
    logits, labels = [], []
    for batch in batches:
        moved = batch.to(device, non_blocking=True)
        logits.append(classifier.logits(moved))
        labels.append(labels_of(moved))
    return softmax(torch.cat(logits).cpu().numpy()), torch.cat(labels).cpu().numpy()


def _report(
    probabilities: Floats, labels: Ints, classes: Sequence[str], folder: Path, background: str = BACKGROUND
) -> dict[str, Any]:
    """Metrics, written to ``folder`` as ``evaluation.json``, ``evaluation.png`` and ``scores.npz``."""
    result = classification_metrics(probabilities, labels, classes, background)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "evaluation.json", json.dumps(result, indent=1) + "\n")
    with replacing(folder / "scores.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, probabilities=probabilities.astype(np.float32), labels=labels)
    classifier_figure(probabilities, labels, result, folder / "evaluation.png", background)
    return result


def _print_metrics(result: Mapping[str, Any], console: Console) -> None:
    """The published table of one classifier."""
    table = Table(title=f"{result['jets']} jets: accuracy {result['accuracy']:.4f}, AUC {result['auc']:.4f}")
    for column in ("class", "signal efficiency", "rejection", "+-"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, row in result["rejection"].items():
        numbers = [f"{row['rejection']:.0f}", f"{row['uncertainty']:.0f}"] if row["rejection"] else ["no jet left", ""]
        table.add_row(name, f"{100 * row['signal_efficiency']:g} %", *numbers)
    console.print(table)


def _print_probes(result: Mapping[str, Any], console: Console) -> None:
    """Probes of an encoder beside a random one and gradient boosting."""
    table = Table(title=f"frozen encoder, {result['jets']['train']} labelled jets, judged on {result['jets']['test']}")
    for column in ("", "probe", "accuracy", "AUC"):
        table.add_column(column, justify="left" if column in ("", "probe") else "right")
    for which, name in (("encoder", "this encoder"), ("random_encoder", "random encoder")):
        for probe, row in result[which].items():
            table.add_row(name, probe, f"{row['accuracy']:.4f}", f"{row['auc']:.4f}")
    if result["boosting"]:
        row = result["boosting"]
        table.add_row("high-level variables", "boosting", f"{row['accuracy']:.4f}", f"{row['auc']:.4f}")
    console.print(table)


def evaluate(args: argparse.Namespace) -> int:
    """Judge runs, each on jets that it never saw.

    Parameters
    ----------
    args
        Options of ``training/evaluate.py``.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    CheckpointError, BadFileError
        If a run or the jets cannot be used.
    """
    console = Console()
    with process_group(args.device) as ranks:
        judge = _probe_run if args.probe else _evaluate_run
        results = [judge(run, args, ranks.device, console) for run in args.runs]
    if len(results) > 1 and not args.probe:
        summary = _spread(results)
        console.print(f"{len(results)} runs: " + ", ".join(f"{k} {m:.4f} +- {s:.4f}" for k, (m, s) in summary.items()))
        if args.output:
            write_text(args.output / "summary.json", json.dumps(summary, indent=1) + "\n")
    return 0


def _spread(results: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over runs of accuracy and AUC."""
    values = {name: np.array([result[name] for result in results]) for name in ("accuracy", "auc")}
    return {name: (float(value.mean()), float(value.std(ddof=1))) for name, value in values.items()}


def _folder_of(run: Path, args: argparse.Namespace) -> Path:
    """Where results of ``run`` go: the run folder, or a folder of its name in ``--output``."""
    own = run if run.is_dir() else run.parent
    if args.output is None:
        return own
    folder: Path = args.output / own.name if len(args.runs) > 1 else args.output
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _evaluate_run(run: Path, args: argparse.Namespace, device: torch.device, console: Console) -> dict[str, Any]:
    """Metrics of the classifier of one run, on test jets."""
    classifier, config = load_objective(run)
    if not isinstance(classifier, Supervised):
        msg = f"{run}: is no classifier but an encoder trained by {config.objective['name']}; --probe judges encoders"
        raise CheckpointError(msg)
    data = _held_out(config, args.data)
    if args.jets:
        data = data.model_copy(update={"bucketed": False})
    loader = make_loader(data, split="test", labels=True)
    if loader.class_names != config.class_names:
        msg = f"{run}: was trained for {list(config.class_names)}, the data have {list(loader.class_names)}"
        raise BadFileError(msg)
    if args.background not in (BACKGROUND, *config.class_names):
        msg = f"--background {args.background}: no such class; {did_you_mean(args.background, config.class_names)}"
        raise BadFileError(msg)
    total = min(args.jets or loader.jets_per_epoch, loader.jets_per_epoch)
    batches = counted(_limited(loader, total), total, str(run), Console(stderr=True), size=len)
    probabilities, labels = _predict(classifier.to(device), batches, device)
    if (labels == labels[0]).all():
        msg = f"{run}: all test jets are of class {config.class_names[labels[0]]!r}; give jets of two classes or more"
        raise BadFileError(msg)
    result = _report(probabilities, labels, config.class_names, _folder_of(run, args), args.background)
    _print_metrics(result, console)
    return result


def _limited(batches: Iterable[Batch], jets: int) -> Iterator[Batch]:
    """Batches until there are at least ``jets`` jets."""
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch)
        if seen >= jets:
            return


def _probe_run(run: Path, args: argparse.Namespace, device: torch.device, console: Console) -> dict[str, Any]:
    """Probes of the frozen encoder of one run: fitted to training jets, judged on test jets."""
    encoder, config = load_encoder(run)
    test = _held_out(config, args.data).model_copy(update={"bucketed": False})
    update = {"labels_per_class": args.labels_per_class, "bucketed": False}
    if args.train_data:
        update["files"] = tuple(args.train_data)
        again = sorted(set(expand(args.train_data)) & set(expand(args.data or ())))
        if again:
            msg = (
                f"{again[0]}: is in --data and in --train-data; probes are judged on jets that they were not fitted to"
            )
            raise BadFileError(msg)
    elif problem := missing(config.data.files):
        msg = f"{problem}; the run was trained on these files: give labelled jets to fit probes to with --train-data"
        raise BadFileError(msg)
    fit_loader = make_loader(config.data.model_copy(update=update), labels=True)
    test_loader = make_loader(test, split="test", labels=True)
    shown = Console(stderr=True)
    fit, judged = (
        take(counted(loader, total, "reading labelled jets", shown, size=len), total)
        for loader, total in (
            (fit_loader, fit_loader.jets_per_epoch),
            (test_loader, min(args.jets or test_loader.jets_per_epoch, test_loader.jets_per_epoch)),
        )
    )
    probe = Probe(fit, judged, test_loader.observable_names, device, console=shown)
    result = probe.compare(encoder.to(device))
    write_text(_folder_of(run, args) / "probe.json", json.dumps(result, indent=1) + "\n")
    _print_probes(result, console)
    return result
