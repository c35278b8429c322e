"""The neural finite-state machine: tables made from the input send each head from state to state, exactly."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from lra_mru.mixers.base import Mixer, check_batch, count_states, last_state, real_steps
from lra_mru.ops.table_scan import MAX_STATES, table_scan
from lra_mru.ops.table_scan.states import one_hot_or_lost, states_of

GUMBEL_SPREAD = math.pi / math.sqrt(6)  # standard deviation of Gumbel noise


class NFSM(Mixer):
    """K heads, each a finite machine of n states whose next state the input looks up in a table of its own.

        theta[t]    = W x[t] + b                               (n, K, n): theta[l, k, j] scores going from j to l
        tau[t](j)   = argmax_l theta[t, l, k, j]
        s[t]        = tau[t](s[t-1]),   s[-1] = 0              one state for every head: nothing fades, no error adds up
        y[t]        = W_o concat_k V_k[s_k[t]]

    In training Gumbel noise on theta explores: a table's entry now and then goes elsewhere. It is drawn anew for every
    step, from one key a step out of torch's generator, which the engine seeds with (seed, step). In evaluation there is
    none. So that a table can still be changed by the noise, scores that lie further apart than the noise does cost
    something (auxiliary_loss): spread_cost times the mean of relu(std_l theta[t, l, k, s[t-1]] - pi / sqrt(6))^2, over
    all heads at one random step of every row that has two.

    Shapes:  x (B, L, D) -> y (B, L, D); state (B, K) uint8. K = round(expand * D / n), at least 1; V_k (n, D / K)
    Starts:  theta ~ N(0, table_std^2) for a normalised x
    Backward: straight-through at this temperature; see table_scan
    Raises:  ValueError for sizes or costs outside their range
    Source:  Brandoit et al., "Length-independent state tracking under a parallel scan" (2026). Theirs takes the cost
             at the first error of a row; a mixer knows no targets
    """

    causal = True

    def __init__(
        self,
        *,
        d_model: int,
        train_length: int,
        expand: float,
        num_states: int,
        temperature: float,
        table_std: float,
        spread_cost: float,
    ) -> None:
        super().__init__()
        if not 2 <= num_states <= MAX_STATES:
            raise ValueError(f"num_states={num_states} must be from 2 to {MAX_STATES}: so many states a head has")
        if temperature <= 0 or table_std <= 0 or spread_cost < 0:
            given = f"temperature={temperature}, table_std={table_std}, spread_cost={spread_cost}"
            raise ValueError(f"{given}: the first two must be above 0, the third at least 0")
        num_heads = max(1, round(count_states(expand, d_model) / num_states))
        d_value = max(1, round(d_model / num_heads))
        self.num_states, self.num_heads = num_states, num_heads
        self.temperature, self.spread_cost = temperature, spread_cost
        self.to_table = nn.Linear(d_model, num_states * num_heads * num_states)
        self.values = nn.Parameter(torch.randn(num_heads, num_states, d_value))  # V
        self.to_output = nn.Linear(num_heads * d_value, d_model, bias=False)
        nn.init.normal_(self.to_table.weight, std=table_std * d_model**-0.5)
        nn.init.zeros_(self.to_table.bias)
        self._cost: Tensor | None = None

    def initial_state(self, batch_size: int) -> Int[Tensor, "B K"]:
        return torch.zeros(batch_size, self.num_heads, dtype=torch.uint8, device=self.values.device)

    def state_bytes(self, num_steps: int) -> int:
        """Bytes of state for one sequence, whatever its length."""
        return self.num_heads

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        lengths: Int[Tensor, " B"] | None = None,
        state: Int[Tensor, "B K"] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Int[Tensor, "B K"]]:
        """Whole sequences; returns the outputs and the state after each row's last real step."""
        state = self.initial_state(x.shape[0]) if state is None else state
        check_batch(x, state, lengths)
        h = self._scan(x, state)  # (B, L, K n)
        if self.training and self.spread_cost:
            self._cost = self.spread_cost * self._sampled_excess(x, h.detach(), lengths)
        weight = self.to_output.weight.unflatten(1, (self.num_heads, -1))  # (D, K, v)
        readout = torch.einsum("dkv,knv->dkn", weight, self.values).flatten(1)  # on the few weights, not on every step
        return linear(h, readout.to(h.dtype)), states_of(self._by_head(last_state(h, lengths))).to(torch.uint8)

    def auxiliary_loss(self) -> Tensor | None:
        cost, self._cost = self._cost, None
        return cost

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: a cost that nobody has asked for yet belongs to this mixer's last forward alone."""
        return super().__getstate__() | {"_cost": None}

    def encode_state(self, state: Int[Tensor, "B K"]) -> Int[Tensor, "B K"]:
        return state.view(torch.int8)

    def decode_state(self, codes: Int[Tensor, "B K"]) -> Int[Tensor, "B K"]:
        return codes.contiguous().view(torch.uint8)

    def margin(self, x: Float[Tensor, "B D"], state: Int[Tensor, "B K"]) -> Float[Tensor, " B"]:
        """The smallest lead of the best next state over the second best, in the columns in use, of all heads."""
        theta = self.to_table(x).unflatten(1, (self.num_states, self.num_heads, self.num_states))  # (B, n, K, n)
        best = theta.gather(3, state.long()[:, None, :, None].expand(-1, self.num_states, -1, 1)).topk(2, dim=1).values
        return (best[:, 0] - best[:, 1]).amin(dim=(1, 2))

    def gauges(self, x: Float[Tensor, "B L D"], lengths: Int[Tensor, " B"] | None = None) -> dict[str, Tensor]:
        """moves: share of steps at which a head changes its state; excess: by how much scores lie too far apart."""
        h = self._by_head(self._scan(x, self.initial_state(x.shape[0])))  # (B, L, K, n)
        real = real_steps(x, lengths)
        before, after = h[:, :-1][real[:, 1:]], h[:, 1:][real[:, 1:]]
        if len(after) == 0:
            return {}
        return {
            "moves": (before != after).any(-1).float().mean(),
            "excess": self._excess(x[:, 1:][real[:, 1:]], before).mean(),
        }

    def _by_head(self, h: Tensor) -> Tensor:
        """(..., K n) -> (..., K, n)"""
        return h.unflatten(-1, (self.num_heads, self.num_states))

    def _scan(self, x: Tensor, state: Tensor) -> Tensor:
        """One-hot states after every step, (B, L, K n)."""
        logits = self.to_table(x)
        h0 = one_hot_or_lost(state, self.num_states, logits.dtype).flatten(1)
        keys = torch.randint(2**32, (*x.shape[:2], 1), device=x.device) if self.training else None
        return table_scan(logits, self.num_states, self.temperature, h0, keys)

    def _sampled_excess(self, x: Tensor, h: Tensor, lengths: Tensor | None) -> Tensor:
        """Its mean over the rows of two steps or more, at one random step of each that has one before it."""
        rows, length = torch.arange(x.shape[0], device=x.device), x.shape[1]
        last = torch.full_like(rows, length) if lengths is None else lengths
        if length == 1:
            return x.new_zeros(())
        step = (1 + (torch.rand(x.shape[0], device=x.device) * (last - 1)).long()).minimum(last - 1)  # 0 in rows of one
        excess = self._excess(x[rows, step], self._by_head(h[rows, (step - 1).clamp(min=0)]))  # (B, K)
        counts = last > 1
        share = counts.sum().clamp(min=1) / len(rows)  # a full batch is divided by 1, and so keeps its bits
        return excess.masked_fill(~counts[:, None], 0).mean() / share

    def _excess(self, x: Float[Tensor, "M D"], before: Float[Tensor, "M K n"]) -> Float[Tensor, "M K"]:
        """The square of what the scores' spread, in the columns in use, has above that of the noise."""
        theta = self.to_table(x).float().unflatten(1, (self.num_states, self.num_heads, self.num_states))
        column = torch.einsum("mlkj,mkj->mlk", theta, before.float())
        return (column.std(1, correction=0) - GUMBEL_SPREAD).relu().square()
