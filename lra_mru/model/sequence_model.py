"""One model for every task: encoder -> blocks of mixer and MLP -> pooling -> head."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lra_mru.mixers.base import Mixer, check_batch, wide
from lra_mru.mixers.bidirectional import Bidirectional
from lra_mru.mixers.parallel import Parallel
from lra_mru.model.blocks import Block, PairHead, checkpoint_contexts, make_mlp, taken_costs
from lra_mru.model.embedding import Embedding
from lra_mru.model.pooling import checked_lengths, last_real, mean_real
from lra_mru.model.pretrained import Pretrained
from lra_mru.spec import TaskSpec

MakeMixer = Callable[..., Mixer]
NORMS: dict[str, Callable[[int], nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}
POOLINGS = {"last": last_real, "mean": mean_real}


class ModelState(NamedTuple):
    """All that a model must remember of the steps it has read, to read the next ones.

    mixers: the state of every block's mixer
    mean:   (B, D) mean of the last block's outputs so far; None where no mean is read
    steps:  (B,) int64: how many steps were read
    """

    mixers: Sequence[Any]
    mean: Tensor | None
    steps: Tensor


def make_encoder(spec: TaskSpec, d_model: int) -> nn.Module:
    """(B, L) ids or (B, L, d_input) vectors -> (B, L, D)"""
    if spec.vocab_size is not None:  # kind="tokens"
        return Embedding(spec.vocab_size, d_model)
    assert spec.d_input is not None  # kind="vectors": TaskSpec has checked it
    return nn.Linear(spec.d_input, d_model)


def make_mixer(make: Callable[[], Mixer], bidirectional: bool) -> Mixer:
    """The mixer; two of its kind, one for each direction, if the model reads both ways and the mixer does not."""
    mixer = make()  # of three, the first is only asked for its direction: its draws are part of what a seed gives
    return Bidirectional(make) if bidirectional and mixer.causal else mixer


class SequenceModel(Pretrained):
    """A stack of blocks whose mixers follow `pattern`, repeated over the depth.

    mixers:        name -> constructor of (d_model, train_length) -> Mixer
    pattern:       names in the order of the blocks: [bmru, lru] at depth 6 gives bmru lru bmru lru bmru lru;
                   a name like bmru+lru puts two mixers side by side in one block
    block_params:  parameters of a block over D^2: the MLP takes what the mixer leaves, so that models of any mixer,
                   state size and direction are of one size; None stacks mixers alone, of whatever size they are
    norm:          "layer" or "rms", before mixer and MLP
    pooling:       "last" reads the last real step, "mean" averages the real steps; ignored by per-step tasks
    bidirectional: wraps every causal mixer so that it reads both ways
    recompute:     an attribute, False at first: True keeps of each block its input alone, and computes the block again
                   for the backward pass, with the same random draws

    Shapes:  inputs (B, L) ids or (B, L, d_input) vectors, lengths (B,), or None where no row is padded
             -> logits (B, C), or (B, L, C) per step
             pairs: inputs (2B, L), lengths (2B,) -> (B, C); where targets are numbers, C = 1 and no logits
    Raises:  ValueError for sizes below 1, a pattern that names no mixer or does not fit the depth, block_params that
             leave no MLP, dropout outside [0, 1), lengths outside [1, L]
    """

    def __init__(
        self,
        *,
        spec: TaskSpec,
        d_model: int,
        depth: int,
        block_params: float | None,
        norm: Literal["layer", "rms"],
        dropout: float,
        pooling: Literal["last", "mean"],
        bidirectional: bool,
        mixers: Mapping[str, MakeMixer],
        pattern: Sequence[str],
    ) -> None:
        super().__init__()
        if d_model < 1 or depth < 1:
            raise ValueError(f"d_model={d_model} and depth={depth} must both be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must be in [0, 1)")
        if pooling not in POOLINGS or norm not in NORMS:
            raise ValueError(f"pooling={pooling!r} must be last or mean, norm={norm!r} layer or rms")
        names = [name.split("+") for name in pattern]
        if not names or {name for parts in names for name in parts} - set(mixers):
            raise ValueError(f"pattern={list(pattern)} must name mixers among {sorted(mixers)}")
        if depth < len(names):
            raise ValueError(f"depth={depth} has no room for pattern={list(pattern)}: it must be at least {len(names)}")
        self.settings = {
            "spec": spec, "d_model": d_model, "depth": depth, "block_params": block_params, "norm": norm,
            "dropout": dropout, "pooling": pooling, "bidirectional": bidirectional, "mixers": dict(mixers),
            "pattern": list(pattern),
        }  # fmt: skip
        self.spec, self.pooling = spec, "per step" if spec.per_step else pooling
        self.encoder = make_encoder(spec, d_model)
        make_norm = functools.partial(NORMS[norm], d_model)
        blocks = []
        for i in range(depth):
            makers = [
                functools.partial(mixers[name], d_model=d_model, train_length=spec.max_length)
                for name in names[i % len(names)]
            ]
            mixer = functools.reduce(Parallel, [make_mixer(make, bidirectional) for make in makers])
            mlp = make_mlp(mixer, d_model, block_params)
            blocks.append(Block(mixer=mixer, mlp=mlp, make_norm=make_norm, dropout=dropout))
        self.blocks = nn.ModuleList(blocks)
        self.norm = make_norm()
        self.head = PairHead(d_model, spec.num_classes) if spec.pairs else nn.Linear(d_model, spec.num_classes)
        self.recompute = False

    def forward(
        self, inputs: Shaped[Tensor, "B L *d_input"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B *L C"]:
        lengths = checked_lengths(lengths, inputs)
        x = self.encoder(inputs)  # (B, L, D)
        for block in self.blocks:
            if self.recompute and torch.is_grad_enabled():
                contexts = functools.partial(checkpoint_contexts, block)
                x, _ = checkpoint(block, x, lengths, use_reentrant=False, context_fn=contexts)
            else:
                x, _ = block(x, lengths)
        return self.head(self.norm(x if self.spec.per_step else POOLINGS[self.pooling](x, lengths)))

    def initial_state(self, batch_size: int) -> ModelState:
        """The state before the first step. Raises ValueError for a model that reads both ways."""
        weight = next(self.norm.parameters())
        shape, dtype = (batch_size, len(weight)), wide(weight.dtype)
        mean = weight.new_zeros(shape, dtype=dtype) if self.pooling == "mean" else None
        steps = weight.new_zeros(batch_size, dtype=torch.int64)
        return ModelState([mixer.initial_state(batch_size) for mixer in self.mixers()], mean, steps)

    def advance(
        self, inputs: Shaped[Tensor, "B L *d_input"], state: ModelState, lengths: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B *L C"], ModelState]:
        """The next piece of sequences, of which state holds what came before.

        Returns logits as forward gives on all that was read so far (of this piece alone where they are per step), and
        the next state
        """
        check_batch(inputs, state.steps)
        lengths = checked_lengths(lengths, inputs)
        x, mixers = self.encoder(inputs), []
        for block, mixer_state in zip(self.blocks, state.mixers, strict=True):
            x, mixer_state = block(x, lengths, mixer_state)
            mixers.append(mixer_state)
        new = x.shape[1] if lengths is None else lengths
        steps, mean = state.steps + new, state.mean
        if mean is not None:  # the mean of all steps so far moves towards that of the new ones by their share
            mean = mean + (mean_real(x, lengths) - mean) * (new / steps.to(torch.float64)).to(mean.dtype)[:, None]
            x = mean.to(x.dtype)
        elif not self.spec.per_step:
            x = last_real(x, lengths)
        return self.head(self.norm(x)), ModelState(mixers, mean, steps)

    def step(self, inputs: Shaped[Tensor, " B *d_input"], state: ModelState) -> tuple[Float[Tensor, "B C"], ModelState]:
        """One step: equals forward on all inputs so far, in constant memory (attention's grows with its cache)."""
        logits, state = self.advance(inputs[:, None], state)
        return (logits[:, 0] if self.spec.per_step else logits), state

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """torch.compile for every block: what reads the lengths stays outside, so unpadded batches still skip masks."""
        for block in self.blocks:
            block.compile(*args, **kwargs)

    def auxiliary_loss(self) -> Float[Tensor, ""] | None:
        """The sum of what mixers, also those inside others, ask to be added to the loss of the last forward.

        To be asked for before its backward pass.
        """
        costs = taken_costs(self)
        return torch.stack(costs).sum() if costs else None

    def mixers(self) -> list[Mixer]:
        """The mixers in the order of their blocks."""
        return [cast(Block, block).mixer for block in self.blocks]

    @property
    def bidirectional(self) -> bool:
        """True if an output may depend on a later step."""
        return not all(mixer.causal for mixer in self.mixers())

    @property
    def max_length(self) -> int | None:
        """Longest sequence the model accepts, in steps; None where it has no limit."""
        return min((mixer.max_length for mixer in self.mixers() if mixer.max_length), default=None)

    @property
    def streams(self) -> bool:
        """Whether the model reads a sequence of any length in pieces, in memory that does not grow with its length."""
        return not self.bidirectional and self.state_bytes(2) == self.state_bytes(1)

    def state_bytes(self, num_steps: int) -> int | None:
        """Bytes that carry one sequence on after num_steps; None where a later step changes earlier outputs."""
        return None if self.bidirectional else sum(mixer.state_bytes(num_steps) for mixer in self.mixers())
