"""Processes that train one network together: torch.distributed, as much of it as neocog uses.

One process alone is `ALONE`: what it is told it says, and nobody waits. Of several, each calls the
same of these in the same order. What they exchange are numbers and bytes; nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from neocog.data.part import Part
from neocog.engine import exchange
from neocog.engine.exchange import Exchange
from neocog.engine.passes import Outputs, Passes
from neocog.errors import NeocogError, UsageError

WORDS = ("stop", "terminated", "save", "time", "diverged")  # what one says holds for all


class Ranks:
    """One process among those of a run. `wishes` are asked at the end of each step; `heard` are
    those words that any of the processes then said.
    """

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world
        self.wishes: dict[str, Callable[[], bool]] = {}
        self.heard: frozenset[str] = frozenset()
        self._way: _Way | None = None
        self._spoken: Tensor | None = None  # the words of the pass under way, to be multiplied
        self.together = world > 1  # whether norms meet
        self._exchange: Exchange | None = None
        self.idle = False  # whether there is nothing for it in this step's batch

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and talks."""
        return self.rank == 0

    @property
    def part(self) -> Part:
        return Part(self.rank, self.world)

    def agree(self, **own: bool) -> frozenset[str]:
        """The words that any process says now, kept in `heard`."""
        votes = self._votes(own)
        self._hear(self.total(votes) if self.world > 1 else votes)
        return self.heard

    def aside(self, own: Callable[[Tensor], dict[str, bool]]) -> Callable[[Tensor], Tensor] | None:
        """What to add to the loss of a step, so that the words `own(loss)` go with its gradient:
        an exchange of their own would take as long again. None where they do not: alone, and on a
        GPU, where to read them is to wait.
        """
        if self._way is None or self._way.words.device.type != "cpu":
            return None

        def spoken(loss: Tensor) -> Tensor:
            assert self._spoken is not None
            return (self._spoken * torch.tensor(self._votes(own(loss)))).sum()

        return spoken

    def heard_aside(self) -> None:
        """What went with the gradient of this step, kept in `heard`."""
        assert self._way is not None
        assert self._way.words.grad is not None
        self._hear(self._way.words.grad.tolist())
        self._way.words.grad = None

    def _votes(self, own: dict[str, bool]) -> list[float]:
        said = {word: wish() for word, wish in self.wishes.items()} | own
        return [float(said.get(word, False)) for word in WORDS]

    def _hear(self, votes: list[float]) -> None:
        self.heard = frozenset(word for word, vote in zip(WORDS, votes, strict=True) if vote > 0)

    def total(self, numbers: Sequence[float]) -> list[float]:
        """The sum of each over the processes, in float64."""
        values = torch.tensor(list(numbers), dtype=torch.float64)
        if self.world > 1:
            dist.all_reduce(values)
        return [float(value) for value in values]

    def added(self, values: Tensor) -> Tensor:
        """A tensor (n,) like `values`: their sums over the processes."""
        made = values.clone()
        if self._exchange is not None:
            return self._exchange.total(made)
        if self.world > 1:
            dist.all_reduce(made)
        return made

    def gathered(self, numbers: Sequence[float]) -> list[list[float]]:
        """The numbers of each process, in order of rank."""
        own = torch.tensor(list(numbers), dtype=torch.float64)
        if self.world == 1:
            return [own.tolist()]
        parts = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(parts, own)
        return [part.tolist() for part in parts]

    def rows(self, own: Tensor) -> Tensor:
        """Rows of all processes, one's after the other's, on the processor: (n, ...) each, of any
        n.
        """
        if self.world == 1:
            return own
        counts = [int(count) for (count,) in self.gathered([len(own)])]
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def shared(self, content: bytes = b"") -> bytes:
        """What the first process gives, in all."""
        if self.world == 1:
            return content
        (length,) = self.total([len(content) if self.first else 0])
        if self.first:
            values = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8)
        else:
            values = torch.empty(max(int(length), 1), dtype=torch.uint8)
        dist.broadcast(values, 0)
        return content if self.first else values.numpy().tobytes()[: int(length)]

    def check_share(self, batch_size: int) -> None:
        """`UsageError` if a batch is too small for each process to have two pictures of it."""
        if self.world > 1 and batch_size < 2 * self.world:
            raise UsageError(
                f"batch_size: {batch_size} for {self.world} processes; each takes two pictures at "
                f"least: a batch of {2 * self.world}, or fewer processes"
            )

    def said(self, words: str) -> list[str]:
        """What each process says, in order of rank."""
        own = torch.frombuffer(bytearray(words.encode() + b"\n"), dtype=torch.uint8)
        return bytes(self.rows(own).tolist()).decode().split("\n")[:-1]

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Nobody else takes part in what this process now sends through the network."""
        before, self.together = self.together, False
        try:
            yield
        finally:
            self.together = before

    def part_with(self) -> None:
        """Let go of what is kept between steps."""
        self._way = self._spoken = None
        if self._exchange is not None:
            self._exchange.leave()
            self._exchange = None

    def wait(self) -> None:
        """For all to come here."""
        self.total([0.0])

    @torch.no_grad()
    def alike(self, network: nn.Module, *, statistics: bool = False) -> None:
        """The weights and statistics of the first process in all; or its statistics alone."""
        if self.world == 1:
            return
        tensors = dict(network.named_buffers() if statistics else network.state_dict().items())
        for tensor in tensors.values():
            values = tensor.cpu().contiguous()
            dist.broadcast(values, 0)
            tensor.copy_(values)

    @torch.no_grad()
    def check_alike(self, network: nn.Module) -> None:
        """`NeocogError` if the weights of the processes are not the same, as they are by
        construction: another kind of processor, or a broken one.
        """
        if self.world == 1:
            return
        sums = [float(weight.double().sum()) for weight in network.parameters()]
        if any(own != sums for own in self.gathered(sums)):
            raise NeocogError(
                "the weights of the processes are not the same any more, and they should be to the "
                "bit: do all machines have the same processor and torch? The last checkpoint is "
                "from before"
            )

    def _opened(self, device: torch.device) -> Exchange | None:
        if device.type != "cpu":
            return None
        return exchange.opened(
            self.rank,
            self.world,
            shared=self.shared,
            all_have=lambda own: self.total([own])[0] == self.world,
        )

    def passes(self, passes: Passes, network: nn.Module, like: Tensor) -> Passes:
        """The way through the network whose gradients are those of all. `like` is a batch of two.

        torch's DistributedDataParallel groups gradients anew after its first pass, and in which
        order more than two are added up follows from the groups. A pass that counts nothing is made
        beforehand: so a run that goes on adds in the order in which it began.
        """
        from torch.nn.parallel import DistributedDataParallel

        statistics = [buffer.clone() for buffer in network.buffers()]
        _backward(passes.training(like))
        unused = any(w.requires_grad and w.grad is None for w in network.parameters())
        self._way = _Way(network, passes, like.device)
        whole = DistributedDataParallel(self._way, find_unused_parameters=unused)
        self._exchange = self._exchange or self._opened(like.device)
        if self._exchange is not None:
            whole.register_comm_hook(self._exchange, _mean)
        outputs, words = whole(like)
        _backward([*outputs, (1.0, words)])
        self._way.zero_grad()
        with torch.no_grad():
            for buffer, before in zip(network.buffers(), statistics, strict=True):
                buffer.copy_(before)

        def training(images: Tensor) -> Outputs:
            outputs: Outputs
            outputs, self._spoken = whole(images)
            return outputs

        return Passes(training, passes.logits, whole.no_sync)


ALONE = Ranks()  # for what exchanges nothing; a run has one of its own, which remembers


class _Way(nn.Module):
    """`Passes.training` as a module, for torch to watch; and words that go with its gradients."""

    def __init__(self, network: nn.Module, passes: Passes, device: torch.device) -> None:
        super().__init__()
        self.network, self._training = network, passes.training
        self.words = nn.Parameter(torch.ones(len(WORDS), device=device))

    def forward(self, images: Tensor) -> tuple[Outputs, Tensor]:
        return self._training(images), self.words * 1.0


def _mean(exchange, bucket):  # type: ignore[no-untyped-def]
    """For DistributedDataParallel, which wants its own types written here or none: the mean of some
    gradients, in their place.
    """
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(exchange.total(bucket.buffer().div_(exchange.world)))
    return done


def _backward(outputs: Outputs) -> None:
    torch.stack([logits.sum() for _, logits in outputs]).sum().backward()
