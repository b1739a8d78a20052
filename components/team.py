"""Several processes that train one model together.

Every member draws the same batches, computes the loss on its share of each, and adds its gradients to the others'.
A loss that is a sum over the share, divided by a count over all shares, then has the gradient of the whole batch; so
all members take the same steps as one process would, up to rounding.

The members run on one machine and talk through gloo, on its loopback interface: nothing outside can join them. A
member that dies closes its connections, which the others notice at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

MEETING = timedelta(minutes=2)
"""Time that members have to find each other."""
PATIENCE = timedelta(days=1)
"""Time that a member waits for the others' part of a sum; long, because the first one evaluates meanwhile."""


class Divisible(Protocol):
    """A batch that can be shared out."""

    @property
    def size(self) -> int:
        """Number of examples."""

    def part(self, rows: slice) -> Self:
        """Return the batch with these examples alone."""


B = TypeVar("B", bound=Divisible)


class Team:
    """One member's view of the processes that train a model; by default a team of one, in which nothing is shared."""

    def __init__(self, rank: int = 0, size: int = 1, group: Any = None) -> None:
        """See a team of `size` as its member number `rank`, from 0; `group` connects several members."""
        self.rank = rank
        self.size = size
        self._group = group

    def share(self, batch: B) -> B:
        """Return this member's examples of a batch; each member has all of a batch that is too small for all.

        The sums over such a batch count everything equally often, so their quotients stay what they are.
        """
        if self.size == 1 or batch.size < self.size:
            return batch
        return batch.part(slice(self.rank, None, self.size))

    def rows(self, batch: B) -> int:
        """Return the number of examples in the members' shares of a batch."""
        return int(self.total(torch.tensor(batch.size)))

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of the members' values, without gradients.

        Raises `ConnectionError` if another member is gone.
        """
        if self._group is None:
            return value
        total = value.detach().cpu().clone()
        self._add_up(total)
        return total.to(value.device)

    def add_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by the sum of the members' gradients. Raises `ConnectionError` as `total` does."""
        if self._group is None:
            return
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients]).cpu()
        self._add_up(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _add_up(self, value: Tensor) -> None:
        assert self._group is not None
        options = dist.AllreduceOptions()
        options.timeout = PATIENCE
        try:
            self._group.allreduce([value], options).wait()
        except RuntimeError as error:
            raise ConnectionError(f"the connection to another worker of the trial broke: {error}") from error


@contextmanager
def joined(rank: int, size: int, meeting: Path) -> Iterator[Team]:
    """Meet the other members of a team of `size` at the file `meeting`, and leave them in the end.

    The file must not exist before the first member comes. Raises `ConnectionError` if not all come in time.
    """
    store = dist.FileStore(str(meeting), size)
    store.set_timeout(MEETING)
    gloo: Any = dist.ProcessGroupGloo  # torch's stubs know neither its options nor its sums
    options = gloo._Options()
    options._timeout = MEETING
    options._devices = [gloo.create_device(hostname="127.0.0.1")]
    try:
        group = gloo(store, rank, size, options)
    except RuntimeError as error:
        raise ConnectionError(f"the workers of the trial did not find each other: {error}") from error
    team = Team(rank, size, group)
    del group
    try:
        yield team
    finally:
        team._group = None  # the last reference: closes the connections
