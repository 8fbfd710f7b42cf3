"""From an encoder's output to the logits of a classifier."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from training.models.attention import ClassBlock, padding_bias
from training.models.encoder import Encoded, initialise

HeadName = Literal["linear", "mlp", "class_attention"]


class Head(nn.Module):
    """Logits from the jet embedding: one linear layer, or an MLP with one hidden layer."""

    def __init__(self, dim: int, classes: int, *, hidden: bool) -> None:
        super().__init__()
        layers = [nn.Linear(dim, dim), nn.GELU()] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Linear(dim, classes))
        initialise(self)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits [B, class]."""
        return self.layers(encoded.jet)


class ClassAttentionHead(nn.Module):
    """Logits from a class token of its own that attends to the particles' embeddings.

    It starts from the encoder's jet embedding, and may find in the particles what pretraining left out of that.
    """

    def __init__(self, dim: int, classes: int, heads: int) -> None:
        super().__init__()
        self.block = ClassBlock(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.layer = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits [B, class]."""
        bias = padding_bias(encoded.mask)
        return self.layer(self.norm(self.block(encoded.jet.to(encoded.tokens.dtype), encoded.tokens, bias)))


def build_head(name: HeadName, *, dim: int, classes: int, heads: int) -> nn.Module:
    """The head called ``name`` for embeddings of size ``dim``.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name == "class_attention":
        return ClassAttentionHead(dim, classes, heads)
    if name in get_args(HeadName):
        return Head(dim, classes, hidden=name == "mlp")
    msg = f"head: unknown {name!r}; known: {', '.join(get_args(HeadName))}"
    raise ValueError(msg)
