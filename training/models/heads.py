"""From an encoder's output to the logits of a classifier."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from training.models.attention import ClassBlock, padding_bias
from training.models.encoder import Encoded, initialise
from training.models.encoders import AnyEncoderConfig

HeadName = Literal["linear", "mlp", "class_attention"]


class Head(nn.Module):
    """Logits from the jet embedding: one linear layer, or an MLP with one hidden layer."""

    def __init__(self, width: int, classes: int, *, hidden: bool) -> None:
        super().__init__()
        layers = [nn.Linear(width, width), nn.GELU()] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))
        initialise(self)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits [B, class]."""
        return self.layers(encoded.jet)


class ClassAttentionHead(nn.Module):
    """Logits from a class token of its own that attends to the particles' embeddings.

    It starts from the encoder's class token, and may find in the particles what pretraining left out of that.
    """

    def __init__(self, dim: int, classes: int, heads: int) -> None:
        super().__init__()
        self.dim = dim
        self.block = ClassBlock(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.layer = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits [B, class]."""
        bias = padding_bias(encoded.mask)
        token = encoded.jet[:, : self.dim].to(encoded.tokens.dtype)
        return self.layer(self.norm(self.block(token, encoded.tokens, bias)))


def build_head(name: HeadName, encoder: AnyEncoderConfig, classes: int) -> nn.Module:
    """The head called ``name`` for embeddings of the encoder described by ``encoder``.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name == "class_attention":
        return ClassAttentionHead(encoder.dim, classes, encoder.heads)
    if name in get_args(HeadName):
        return Head(encoder.embedding_dim, classes, hidden=name == "mlp")
    msg = f"head: unknown {name!r}; known: {', '.join(get_args(HeadName))}"
    raise ValueError(msg)
