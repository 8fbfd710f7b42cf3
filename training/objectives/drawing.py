"""Random numbers of objectives that make views of jets: they follow from the batches seen, however ranks share them."""

from __future__ import annotations

import torch
from torch import Tensor

from training.objectives.base import Objective
from training.objectives.masks import draws
from training.objectives.ranks import world


class Drawing(Objective):
    """An objective whose random numbers follow from a seed and the number of batches that it has seen.

    Parameters
    ----------
    seed
        Of the numbers.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.seen = 0

    def get_extra_state(self) -> Tensor:
        """Number of batches seen, of which the random numbers are a function.

        Returns
        -------
        Tensor
            A scalar.
        """
        return torch.tensor(self.seen)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with the random numbers of a checkpoint.

        Parameters
        ----------
        state
            What :meth:`get_extra_state` gave.
        """
        self.seen = int(state)

    def uniform(self, jets: int, numbers: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numbers in [0, 1) for the next batch.

        Parameters
        ----------
        jets
            Jets of the batch.
        numbers
            How many for each.
        device
            Where the result is.

        Returns
        -------
        tuple of Tensor
            float32 [jets, numbers], and one float32 [] for all jets.
        """
        rank, world_size = world()
        # Outside training always the same numbers, so that two evaluations agree.
        step = self.seen if self.training else -1
        self.seen += self.training
        return draws((jets, numbers), seed=self.seed, step=step, rank=rank, world_size=world_size, device=device)
