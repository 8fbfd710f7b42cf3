"""The encoder as ONNX Runtime runs it fastest: the same function, up to rounding, in another order of operations.

What takes the time besides the large matrix products are copies, short inner loops and passes over memory. So

- tokens are [N * B, D], particle by particle: then q, k and v of all heads are views that a batched product reads in
  place, biases ride along with the products, and gathering a particle or a pair copies whole rows of jets;
- constants are multiplied into weights: the scale of the scores and of the heads, the standardisation of the pair
  features. What is the same for all keys (the bias of k, the last bias of the pair network) drops out of the softmax;
  the bias of v goes through it unchanged into that of the output;
- padding is added to the bias of the pairs once, not in every block.

The export checks that the numbers are those of the encoder; see :func:`training.exporting.onnx_graph.measure_parity`.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.models.attention import MASKED, Block
from training.models.encoder import Encoded, Encoder
from training.models.pairs import PairBias, corner, pair_features, triangle


class _Product(nn.Module):
    """Rows times a weight matrix [in, out], plus a bias: of a linear layer, or of what was folded into one."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().float().T.contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        self.weight: Tensor
        self.bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        """[rows, in] to [rows, out]."""
        y = torch.matmul(x, self.weight)
        return y if self.bias is None else y + self.bias


def _with_products(module: nn.Module) -> nn.Module:
    """A copy of ``module`` with products for its linear layers."""
    new = copy.deepcopy(module)
    for parent in list(new.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(parent, name, _Product(layer.weight, layer.bias))
    return new


class _InferencePairs(nn.Module):
    """Attention bias of every pair and head, padding included."""

    def __init__(self, pairs: PairBias) -> None:
        super().__init__()
        first, *others = (layer for layer in pairs.layers if isinstance(layer, nn.Linear))
        weight, bias = first.weight.double(), first.bias.double()
        scaled = weight * pairs.multiply
        layers = [_Product(scaled, bias - scaled @ pairs.subtract.double())]
        layers += [_Product(layer.weight, layer.bias) for layer in others]
        self.layers = nn.ModuleList(layers)
        self.head = _Product(pairs.head.weight)

    def forward(self, p4: Tensor, padding: Tensor) -> Tensor:
        """Bias [B * H, N, N] from ``p4`` [N, B, 4] and ``padding`` [N, B * H]."""
        n = p4.shape[0]
        row, column = triangle(n, p4.device)
        values = pair_features(p4, row, column, particle=0).flatten(0, 1)
        for layer in self.layers:
            values = F.gelu(layer(values))
        values = self.head(values).reshape(row.shape[0], padding.shape[1])
        square = values.index_select(0, corner(n, p4.device).flatten()).unflatten(0, (n, n))
        return (square + padding).permute(2, 0, 1)


class _InferenceBlock(nn.Module):
    """Self-attention block on tokens [N * B, D]."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.heads, self.width = block.heads, block.width
        self.norm, self.out_norm = block.norm, block.out_norm
        q, k, v = block.qkv.weight.double().chunk(3)
        q_bias, _, v_bias = block.qkv.bias.double().chunk(3)
        scale = self.width**-0.5
        self.q, self.k, self.v = _Product(q * scale, q_bias * scale), _Product(k), _Product(v)
        out = block.out.weight.double() * block.head_scale.double().repeat_interleave(self.width)[:, None]
        out_bias = block.out.bias.double() * block.head_scale.double().repeat_interleave(self.width)
        self.out = _Product(out, out_bias + out @ v_bias)
        self.feed_forward = _with_products(block.feed_forward)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Tokens [N * B, D] and bias [B * H, N or 1, N] to tokens."""
        n, rows = bias.shape[-1], bias.shape[0]
        y = self.norm(x)
        q, k, v = (product(y).reshape(n, rows, self.width) for product in (self.q, self.k, self.v))
        scores = torch.matmul(q.transpose(0, 1), k.permute(1, 2, 0)) + bias
        heads = torch.matmul(F.softmax(scores, dim=-1), v.transpose(0, 1))
        x = x + self.out_norm(self.out(heads.transpose(0, 1).reshape(x.shape)))
        return self.feed_forward(x)


class InferenceEncoder(nn.Module):
    """:class:`training.models.encoder.Encoder` for inference, called the same way.

    Weights that something is folded into are copies, so that later changes of the original do not reach them.

    Parameters
    ----------
    encoder
        A trained encoder; it stays as it is.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.config = encoder.config
        self.preprocess = encoder.preprocess
        self.embedding = _with_products(encoder.embedding)
        self.pairs = _InferencePairs(encoder.pairs) if encoder.pairs is not None else None
        self.blocks = nn.ModuleList(_InferenceBlock(block) for block in encoder.blocks if isinstance(block, Block))
        self.class_token = encoder.class_token
        self.class_blocks = encoder.class_blocks
        self.embed_jet = encoder.embed_jet
        self.scale = encoder.scale
        if encoder.config.scale_input:
            self.scale_input = encoder.scale_input

    def forward(self, particles: Tensor, mask: Tensor, jets: Tensor) -> Encoded:
        """The numbers of :meth:`training.models.encoder.Encoder.forward`.

        Parameters
        ----------
        particles
            Fields of each particle, float32 [B, N, field]; 0 where there is none.
        mask
            Which particles there are, bool [B, N].
        jets
            Four-momenta of the jets (px, py, pz, energy in GeV), float32 [B, 4].

        Returns
        -------
        Encoded
            Embeddings of jets [B, D] and of particles [B, N, D], and the mask.
        """
        (b, n), heads = mask.shape, self.config.heads
        features, p4 = self.preprocess(particles, mask, jets)
        outside = torch.where(mask, 0.0, MASKED)
        padding = outside.T.unsqueeze(-1).expand(n, b, heads).reshape(n, b * heads)
        bias = padding.T.unsqueeze(1) if self.pairs is None else self.pairs(p4.transpose(0, 1), padding)
        x, token = self.embedding(features.transpose(0, 1).flatten(0, 1)), self.class_token.expand(b, -1)
        if self.config.scale_input:
            scale = self.scale_input(jets, torch.tensor(self.scale == "seen"))
            x, token = (x.reshape(n, b, self.config.dim) + scale).flatten(0, 1), token + scale
        for block in self.blocks:
            x = block(x, bias)
        tokens = x.reshape(n, b, self.config.dim).transpose(0, 1)
        for block in self.class_blocks:
            token = block(token, tokens, outside[:, None, None, :])
        return Encoded(self.embed_jet(token, tokens, p4, mask), tokens, mask)
