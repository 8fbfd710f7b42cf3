"""How far a training is, with its latest numbers."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from jepa_coffea.progress import Bar

SHOWN = ("loss", "lr", "jets_per_s", "val_loss", "accuracy", "rankme")


class TrainingBar(Bar):
    """Progress of a training.

    Parameters
    ----------
    title
        Name of the run.
    console
        Where to show it.
    """

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(title, console)
        self._numbers: dict[str, float] = {}

    def update(self, step: int, progress: float, values: Mapping[str, float]) -> None:
        """Show how far the training is.

        Parameters
        ----------
        step
            Optimiser steps so far.
        progress
            Part of the training that is over.
        values
            The latest numbers; those in ``SHOWN`` are shown, until there are newer ones.
        """
        self._numbers |= {name: values[name] for name in SHOWN if name in values}
        numbers = " ".join(f"{name} {value:.4g}" for name, value in self._numbers.items())
        self.show(progress, f"step {step} {numbers}")
