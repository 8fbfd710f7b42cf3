"""The interface of an objective: all the loop knows of what it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from jepa_coffea.errors import JepaCoffeaError
from training.data.batch import Batch
from training.models.compiled import compile_regions
from training.models.encoder import Encoded, Encoder
from training.models.encoders import AnyEncoder
from training.models.slices import encode, slices


class ObjectiveError(JepaCoffeaError, ValueError):
    """An objective that its options, its data or its encoder make impossible."""


Takes = Literal["particles", "subjets"] | None


class Objective(nn.Module, ABC):
    """A module that owns the encoder in training and whatever else its loss needs (target, predictor, heads).

    The loop wraps it in DDP, calls it on a batch, back-propagates ``losses["loss"]``, steps the optimiser, then calls
    :meth:`after_step`. Every tensor that training changes is a parameter or a buffer, so that ``state_dict`` is
    complete; parameters that the optimiser must not touch have ``requires_grad=False``. The average of a loss over
    ranks is the loss that one process would have on the global batch.
    """

    compiled: bool = False
    """Whether parts are compiled for the shapes of whole batches."""
    sometimes_unused: bool = False
    """Whether some losses leave out parameters that are trained at other times."""
    options: ClassVar[type[BaseModel]]
    """What a configuration may say of it."""
    takes: ClassVar[Takes]
    """The kind of encoder that it trains; None: either."""

    @classmethod
    def make(
        cls,
        encoder: Any,
        config: Any,
        *,
        class_names: tuple[str, ...],  # noqa: ARG003  for those that learn from labels
        observable_names: tuple[str, ...],  # noqa: ARG003  for those that learn observables
        seed: int,
    ) -> Self:
        """A new objective; one that looks at the names overrides this.

        Parameters
        ----------
        encoder
            Of the kind that it takes.
        config
            Its options.
        class_names
            Names of the labels of the data.
        observable_names
            Names of the columns of ``Batch.observables``.
        seed
            Of masks and copies.

        Returns
        -------
        Objective
        """
        return cls(encoder, config, seed=seed)

    @abstractmethod
    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """The losses of a batch.

        Parameters
        ----------
        batch
            Jets.
        progress
            Part of the training that is over.

        Returns
        -------
        dict
            Scalars by name, ``loss`` (the one to minimise) among them.
        """

    def after_step(self, progress: float) -> dict[str, float]:  # noqa: ARG002
        """Called after each optimiser step, as for the moving average of a target.

        Parameters
        ----------
        progress
            Part of the training that is over.

        Returns
        -------
        dict
            What is worth logging; nothing here may wait for the device.
        """
        return {}

    @abstractmethod
    def exported(self) -> AnyEncoder:
        """The encoder that is probed, fine-tuned and exported (for JEPA: the EMA target).

        Returns
        -------
        Encoder or SubjetEncoder
        """

    @abstractmethod
    def flops(self, batch: Batch) -> float:
        """Floating-point operations of a training step, padding included: what the device computes.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        float
        """

    def whole(self, mask: Tensor) -> bool:
        """Whether a batch is computed as it comes, not in slices.

        Parameters
        ----------
        mask
            bool [B, N], which particles there are.

        Returns
        -------
        bool
        """
        return mask.is_cuda or self.compiled

    def shapes(self, mask: Tensor) -> list[tuple[int, int]]:
        """Jets and padded particles of what is computed at once.

        Parameters
        ----------
        mask
            bool [B, N], which particles there are.

        Returns
        -------
        list of tuple of int
        """
        if self.whole(mask):
            return [(mask.shape[0], mask.shape[1])]
        return [(len(rows), length) for rows, length in slices(mask)]

    def monitors(self, batch: Batch) -> dict[str, float]:
        """Costly numbers computed now and then: whether the embeddings collapse.

        Parameters
        ----------
        batch
            Jets.

        Returns
        -------
        dict
        """
        return spread(self.exported(), batch)

    def compile(self) -> None:
        """Compile the repeated parts in place; names of parameters stay."""
        compile_regions(self)
        self.compiled = True


Made = TypeVar("Made", bound=type[Objective])
OBJECTIVES: dict[str, type[Objective]] = {}
"""The objectives by name; :func:`register` adds to it."""


def register(name: str, options: type[BaseModel], *, takes: Takes = "particles") -> Callable[[Made], Made]:
    """Give an objective the name by which configurations ask for it: the one step to add one.

    Parameters
    ----------
    name
        Of the objective.
    options
        What a configuration may say of it.
    takes
        The kind of encoder that it trains; None: either.

    Returns
    -------
    callable
        A decorator that leaves the class as it is.
    """

    def _decorate(objective: Made) -> Made:
        objective.options, objective.takes = options, takes
        OBJECTIVES[name] = objective
        return objective

    return _decorate


@torch.no_grad()
def spread(encoder: AnyEncoder, batch: Batch) -> dict[str, float]:
    """Collapse monitors of the jet and particle embeddings of whole jets.

    Parameters
    ----------
    encoder
        In evaluation mode.
    batch
        Jets.

    Returns
    -------
    dict
        ``rankme`` and ``rankme_particles``; ``std`` and ``std_min``, the mean and the smallest standard deviation of a
        dimension of the jet embedding.
    """
    encoded = encoded_whole(encoder, batch)
    jets, tokens = encoded.jet.float(), encoded.tokens[encoded.mask].float()
    deviation = jets.std(0)
    return {
        "rankme": rank_me(jets),
        "rankme_particles": rank_me(tokens[: 16 * tokens.shape[1]]),
        "std": float(deviation.mean()),
        "std_min": float(deviation.min()),
    }


def encoded_whole(encoder: AnyEncoder, batch: Batch) -> Encoded:
    """What an encoder makes of whole jets, for monitors; on a CPU in slices, which need less memory.

    Parameters
    ----------
    encoder
        In evaluation mode.
    batch
        Jets.

    Returns
    -------
    Encoded
    """
    if not isinstance(encoder, Encoder):
        return encoder(batch.particles, batch.mask, batch.jets)
    return encode(encoder, batch.particles, batch.mask, batch.jets, whole=batch.mask.is_cuda)


def rank_me(x: Tensor) -> float:
    """Effective rank: exp of the entropy of the singular values (arXiv 2210.02885).

    The singular values are the roots of the eigenvalues of the smaller of x x^T and x^T x, which in double precision
    loses nothing that matters here. They are found on the CPU: the matrix is small, and on a GPU that many
    processes shared the library that would do it there was seen to fail.

    Parameters
    ----------
    x
        [B, D].

    Returns
    -------
    float
        From 1 to D.
    """
    x = x.double()
    gram = x.T @ x if x.shape[0] > x.shape[1] else x @ x.T
    values = torch.linalg.eigvalsh(gram.cpu()).clamp(min=0).sqrt()
    share = values / values.sum().clamp(min=1e-12) + 1e-7
    return float(torch.exp(-(share * share.log()).sum()))
