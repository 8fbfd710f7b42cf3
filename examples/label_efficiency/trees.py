"""Tuned classifiers on jet variables, on frozen embeddings, and on both: what any trained network has to beat.

Boosting and its like are tried on variables, logistic regressions on embeddings alone. The candidates are compared by
cross-validation on the labelled jets themselves, so that no further label is spent.
``run.py`` calls this; by hand: ``python examples/label_efficiency/trees.py --help``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, of which the wheel has a part

from examples.label_efficiency.points import Point, name_of
from jepa_coffea.commands.command_line import Parser
from jepa_coffea.files import write_text
from training.data.batch import Batch
from training.data.loader import make_loader
from training.loop.batches import labels_of, take
from training.loop.checkpoint import load_encoder
from training.loop.entry import add_device_option, explained
from training.loop.metrics import Floats, Ints, classification_metrics
from training.loop.probe import embed
from training.models.encoder import Encoder, Scale
from training.models.encoders import AnyEncoder
from training.objectives.variables import Variables

MOST = 200_000
"""At most so many labelled jets are kept in memory and trained on."""
TUNED_ON = 10_000
"""At most so many of them decide between the candidates."""
FOLDS = 5
INPUTS = ("variables", "embedding", "both")


def candidates(seed: int) -> dict[str, Any]:
    """Classifiers that compete, from strongly to weakly regularised.

    Parameters
    ----------
    seed
        Of those that draw.

    Returns
    -------
    dict
        Unfitted scikit-learn classifiers by name.
    """

    def _boosting(**options: Any) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **options)

    def _extra(leaf: int) -> Any:
        trees = ExtraTreesClassifier(400, min_samples_leaf=leaf, max_features=0.3, random_state=seed)
        return make_pipeline(SimpleImputer(keep_empty_features=True), trees)

    return {
        "boosting, 4 leaves": _boosting(max_iter=100, learning_rate=0.05, max_leaf_nodes=4, l2_regularization=1.0),
        "boosting, 8 leaves": _boosting(max_iter=100, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=10),
        "boosting, 31 leaves": _boosting(max_iter=200, learning_rate=0.05),
        "extra trees": _extra(1),
        "extra trees, 5 jets a leaf": _extra(5),
    } | regressions((0.01, 0.1))


def regressions(strengths: Sequence[float] = (0.003, 0.01, 0.03, 0.1)) -> dict[str, Any]:
    """Logistic regressions on standardised features, from strongly to weakly regularised.

    Parameters
    ----------
    strengths
        Inverse regularisation strengths ``C``, as in scikit-learn.

    Returns
    -------
    dict
        Unfitted scikit-learn classifiers by name.
    """
    return {
        f"logistic regression, C = {c:g}": make_pipeline(
            SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(C=c, max_iter=500)
        )
        for c in strengths
    }


def tuned(X: Floats, y: Ints, seed: int, every: Mapping[str, Any]) -> tuple[Any, dict[str, float]]:
    """The candidate with the lowest cross-entropy in cross-validation, fitted to all jets.

    Parameters
    ----------
    X, y
        Features [jet, feature], of which NaN are missing, and labels [jet].
    seed
        Of the folds.
    every
        The candidates by name.

    Returns
    -------
    tuple
        The classifier, and the cross-entropy of every candidate by name.
    """
    some = np.random.default_rng(seed).permutation(len(y))[:TUNED_ON]
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    losses = {
        name: float(
            log_loss(y[some], cross_val_predict(clone(one), X[some], y[some], cv=folds, method="predict_proba"))
        )
        for name, one in every.items()
    }
    return every[min(losses, key=lambda name: losses[name])].fit(X, y), losses


class Features:
    """Variables of jets, embeddings, or both.

    Parameters
    ----------
    inputs
        One of ``INPUTS``.
    encoder
        Embeds the jets; its configuration says which fields particles have.
    scale
        Of the jets: shown to an encoder that can do without, or not.
    observables
        Names of the observables stored with the jets.
    device
        Where the encoder runs.
    """

    def __init__(
        self, inputs: str, encoder: AnyEncoder, scale: Scale, observables: tuple[str, ...], device: torch.device
    ) -> None:
        self.variables = None if inputs == "embedding" else Variables(observables, encoder.config.fields)
        self.encoder = None if inputs == "variables" else encoder.to(device)
        if isinstance(encoder, Encoder) and encoder.config.scale_input:
            encoder.scale = scale
        self.device = device

    def __call__(self, jets: Batch) -> Floats:
        """Features of jets.

        Parameters
        ----------
        jets
            Any number.

        Returns
        -------
        ndarray
            float32 [jet, feature], NaN where there is none.
        """
        parts: list[Floats] = []
        if self.variables is not None:
            chunks = torch.arange(len(jets)).split(1024)
            parts.append(np.concatenate([self.variables.raw(_rows(jets, chunk)).numpy() for chunk in chunks]))
        if self.encoder is not None:
            parts.append(embed(self.encoder, jets, self.device))
        return np.hstack(parts)


def _rows(jets: Batch, index: torch.Tensor) -> Batch:
    observables = None if jets.observables is None else jets.observables[index]
    return Batch(particles=jets.particles[index], mask=jets.mask[index], jets=jets.jets[index], observables=observables)


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    options = Parser(description=__doc__)
    options.add_argument(
        "--run", type=Path, required=True, metavar="RUN", help="its configuration says how jets are read"
    )
    options.add_argument("--inputs", choices=INPUTS, default="variables", help="of the jets, or of its encoder")
    options.add_argument(
        "--scale", choices=("seen", "blind"), default="seen", help="of the jets, for an encoder that can do without"
    )
    options.add_argument("--curve", required=True, metavar="NAME", help="its name in the picture")
    options.add_argument("--pretraining", type=int, default=0, metavar="I", help="number of the pretraining")
    options.add_argument("--data", nargs="+", required=True, metavar="GLOB", help="labelled jets")
    options.add_argument("--test", nargs="*", default=[], metavar="GLOB", help="test jets; a part of --data if absent")
    options.add_argument("--labels", nargs="+", required=True, metavar="N", help="labelled jets per class, or all")
    options.add_argument("--draws", type=int, required=True, help="choices of the labelled jets")
    options.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the study")
    add_device_option(options)
    return options


def main(argv: list[str] | None = None) -> int:
    """Fit and judge what the command line says; points that are there already are left as they are.

    Parameters
    ----------
    argv
        Words of the command line; those of the process if None.

    Returns
    -------
    int
        0, or 2 for what the user has to mend.
    """
    return explained(lambda: _main(parser().parse_args(argv)))


def _main(args: argparse.Namespace) -> int:
    encoder, config = load_encoder(args.run)
    update = {"files": tuple(args.data), "val_files": None, "test_files": tuple(args.test) or None, "bucketed": False}
    data = config.data.model_copy(update=update)
    device = torch.device("cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu")
    loader = make_loader(data, split="test", labels=True)
    features = Features(args.inputs, encoder, args.scale, loader.observable_names, device)
    test = take(loader, loader.jets_per_epoch)
    X_test, y_test = features(test), labels_of(test).numpy()
    for labels in args.labels:
        for draw in range(args.draws):
            count = None if labels == "all" else int(labels)
            folder = Point(args.curve, count, draw, args.pretraining).folder(args.output)
            if (folder / "evaluation.json").is_file() or (count is None and draw):
                continue
            subset = data.model_copy(update={"labels_per_class": count, "subset_seed": draw})
            jets = make_loader(subset, labels=True, seed=draw)
            train = take(jets, min(jets.jets_per_epoch, MOST))
            every = regressions() if args.inputs == "embedding" else candidates(draw)
            classifier, losses = tuned(features(train), labels_of(train).numpy(), draw, every)
            # Data need not have all classes; those that they lack have no column.
            probabilities = np.zeros((len(X_test), len(loader.class_names)))
            probabilities[:, classifier.classes_] = classifier.predict_proba(X_test)
            found = classification_metrics(probabilities, y_test, loader.class_names)
            found |= {"candidates": losses, "trained_on": len(train)}
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "evaluation.json", json.dumps(found, indent=1) + "\n")
            print(f"{args.curve}, {name_of(count)} labels per class, draw {draw}: accuracy {found['accuracy']:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
