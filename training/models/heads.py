"""From an encoder's output to the logits of a classifier."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from training.models.attention import ClassBlock, padding_bias
from training.models.encoder import Encoded, initialise
from training.models.encoders import AnyEncoderConfig

HeadName = Literal["linear", "mlp", "class_attention"]


class Head(nn.Module):
    """Logits from the jet embedding, and variables beside it: one linear layer, or an MLP with one hidden layer.

    Parameters
    ----------
    width
        Size of the jet embedding.
    classes
        Number of classes.
    hidden
        Whether there is a hidden layer.
    variables
        Number of variables beside the embedding.
    """

    def __init__(self, width: int, classes: int, *, hidden: bool, variables: int = 0) -> None:
        super().__init__()
        width += variables
        layers = [nn.Linear(width, width), nn.GELU()] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))
        initialise(self)

    def forward(self, encoded: Encoded, variables: Tensor | None = None) -> Tensor:
        """Logits of the classes.

        Parameters
        ----------
        encoded
            What the encoder gave.
        variables
            [B, variable], standardised; None without variables.

        Returns
        -------
        Tensor
            [B, class].
        """
        return self.layers(_beside(encoded.jet, variables))


class ClassAttentionHead(nn.Module):
    """Logits from a class token of its own that attends to the particles' embeddings.

    It starts from the encoder's class token, and may find in the particles what pretraining left out of that.

    Parameters
    ----------
    dim
        Width D of the particles' embeddings.
    classes
        Number of classes.
    heads
        Number of attention heads.
    variables
        Number of variables beside the embedding.
    """

    def __init__(self, dim: int, classes: int, heads: int, *, variables: int = 0) -> None:
        super().__init__()
        self.dim = dim
        self.block = ClassBlock(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.layer = nn.Linear(dim + variables, classes)
        initialise(self)

    def forward(self, encoded: Encoded, variables: Tensor | None = None) -> Tensor:
        """Logits of the classes.

        Parameters
        ----------
        encoded
            What the encoder gave.
        variables
            [B, variable], standardised; None without variables.

        Returns
        -------
        Tensor
            [B, class].
        """
        bias = padding_bias(encoded.mask)
        token = encoded.jet[:, : self.dim].to(encoded.tokens.dtype)
        return self.layer(_beside(self.norm(self.block(token, encoded.tokens, bias)), variables))


def _beside(jet: Tensor, variables: Tensor | None) -> Tensor:
    return jet if variables is None else torch.cat([jet, variables.to(jet.dtype)], dim=-1)


def build_head(name: HeadName, encoder: AnyEncoderConfig, classes: int, variables: int = 0) -> nn.Module:
    """The head of a classifier.

    Parameters
    ----------
    name
        Which kind.
    encoder
        Configuration of the encoder whose embeddings it takes.
    classes
        Number of classes.
    variables
        Number of variables beside the embedding.

    Returns
    -------
    Module
        Called with an ``Encoded`` and, if any, the variables.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name == "class_attention":
        return ClassAttentionHead(encoder.dim, classes, encoder.heads, variables=variables)
    if name in get_args(HeadName):
        return Head(encoder.embedding_dim, classes, hidden=name == "mlp", variables=variables)
    msg = f"head: unknown {name!r}; known: {', '.join(get_args(HeadName))}"
    raise ValueError(msg)
