"""Bidirectional recurrent layers that are fast on a CPU: all matrix products come before the recurrence.

Lei et al., Simple Recurrent Units for Highly Parallelizable Recurrence, EMNLP 2018, without the gates' view of the
previous state. Over padded sequences of some 150 tokens, a GRU's many small steps cost several times as much.

Dimensions: T tokens, B sequences, H units, of which the first half reads onward and the second half backward. Inside
the layers tokens come first, so that each step of the recurrence reads one stretch of memory.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_tanh_backward = torch.ops.aten.tanh_backward.default
_sigmoid_backward = torch.ops.aten.sigmoid_backward.default
KEPT_AT_FIRST = 1.0
"""Added to the gates' logits, so that untrained states live for some tokens."""


class GatedRecurrence(torch.autograd.Function):
    """A layer after its matrix product, in as few passes over memory as it takes.

    Its arguments are the input and, of each unit, (new, keep, gate) as logits; keep and gate pass a sigmoid here.
    c_t = keep_t c_{t-1} + (1 - keep_t) new_t, from c = 0 on, with nothing new in padding; the output is the input,
    moved by gate_t towards tanh(c_t).
    """

    @staticmethod
    def forward(ctx: Any, input_TBH: Tensor, logit_TBX: Tensor, padding_N: Tensor) -> Tensor:
        """Return (T, B, H) from (T, B, H) and (T, B, 3 H); `padding_N` numbers the rows of (T B) that are padding."""
        units = input_TBH.shape[-1]
        new = logit_TBX[..., :units]
        keep, gate = torch.sigmoid(logit_TBX[..., units:]).chunk(2, dim=-1)
        state = torch.addcmul(new, keep, new, value=-1)
        _silence(state, padding_N)
        half = units // 2
        _accumulate(state[..., :half].unbind(0), keep[..., :half].unbind(0), shift=0)
        _accumulate(state[..., half:].unbind(0)[::-1], keep[..., half:].unbind(0)[::-1], shift=0)
        seen = torch.tanh(state)
        ctx.save_for_backward(input_TBH, new, keep, gate, state, seen, padding_N)
        return torch.lerp(input_TBH, seen, gate)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        """Run the recurrence of the gradients, against each direction."""
        input_TBH, new, keep, gate, state, seen, padding_N = ctx.saved_tensors
        units = input_TBH.shape[-1]
        half = units // 2
        of_output = grads[0].contiguous()
        of_seen = of_output * gate
        of_input = of_output - of_seen
        of_logit = new.new_empty(*new.shape[:-1], 3 * units)
        of_logit[..., 2 * units :] = _sigmoid_backward(of_output * (seen - input_TBH), gate)
        total = _tanh_backward(of_seen, seen)
        _accumulate(total[..., :half].unbind(0)[::-1], keep[..., :half].unbind(0)[::-1], shift=1)
        _accumulate(total[..., half:].unbind(0), keep[..., half:].unbind(0), shift=1)
        of_keep = torch.zeros_like(total)
        torch.mul(total[1:, :, :half], state[:-1, :, :half], out=of_keep[1:, :, :half])
        torch.mul(total[:-1, :, half:], state[1:, :, half:], out=of_keep[:-1, :, half:])
        _silence(total, padding_N)
        of_keep.addcmul_(total, new, value=-1)
        of_logit[..., units : 2 * units] = _sigmoid_backward(of_keep, keep)
        torch.addcmul(total, total, keep, value=-1, out=of_logit[..., :units])
        return of_input, of_logit, None


def _accumulate(state: tuple[Tensor, ...], keep: tuple[Tensor, ...], shift: int) -> None:
    """Add to each state what is kept of the one before: this step's share, or (shift 1) the one before's."""
    for step in range(1, len(state)):
        state[step].addcmul_(keep[step - shift], state[step - 1])


def _silence(rows_TBH: Tensor, padding_N: Tensor) -> None:
    if len(padding_N):
        rows_TBH.view(-1, rows_TBH.shape[-1]).index_fill_(0, padding_N, 0)


class Bidirectional(nn.Module):
    """Reads padded sequences in both directions; padding leaves no trace in the states of what is no padding."""

    offset: Tensor

    def __init__(self, units: int, dropout: float) -> None:
        super().__init__()
        assert units % 2 == 0, units
        self.project = nn.Linear(units, 3 * units)
        self.dropout = SharedDropout(dropout, tokens=0)
        offset = torch.tensor([0.0, KEPT_AT_FIRST, 0.0]).repeat_interleave(units)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, input_TBH: Tensor, padding_N: Tensor) -> Tensor:
        """Return (T, B, H)."""
        bias = self.project.bias + self.offset
        logit_TBX = nn.functional.linear(self.dropout(input_TBH), self.project.weight, bias)
        # Sums over many tokens need full precision.
        return GatedRecurrence.apply(input_TBH.float(), logit_TBX.float(), padding_N)


class BidirectionalLayers(nn.ModuleList):
    """Several such layers, one on top of the other."""

    def __init__(self, layers: int, units: int, dropout: float) -> None:
        super().__init__(Bidirectional(units, dropout) for _ in range(layers))

    def forward(self, input_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """Return (B, T, H); `mask_BT` is False at padding."""
        state_TBH = input_BTH.transpose(0, 1).contiguous()
        padding_N = (~mask_BT.t()).flatten().nonzero()[:, 0]
        for layer in self:
            state_TBH = layer(state_TBH, padding_N)
        return state_TBH.transpose(0, 1).contiguous()


class SharedDropout(nn.Module):
    """Dropout of the same units at every token of a sequence; `tokens` is the dimension of the tokens."""

    def __init__(self, share: float, tokens: int = 1) -> None:
        super().__init__()
        self.share = share
        self.tokens = tokens

    def forward(self, input: Tensor) -> Tensor:
        """Drop units while training."""
        if not self.training or self.share == 0:
            return input
        ones = torch.ones_like(input.narrow(self.tokens, 0, 1))
        return input * nn.functional.dropout(ones, self.share)
