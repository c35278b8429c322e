"""Looking back over chunks: whatever has been published when a program asks, it finds the same bits."""

import os
import subprocess
import sys

SCRIPT = """
import itertools
import torch, triton, triton.language as tl
from lra_mru.ops._gpu.lookback import first_state, publish, take_ticket
from lra_mru.ops.bmru_scan.gpu import HOLD, first_bits

@triton.jit
def linear(slots_ptr, first_ptr, out_ptr, chunk, N: tl.constexpr, REACH: tl.constexpr):
    n = tl.arange(0, N)
    state = first_state(slots_ptr + (REACH + chunk) * 3 * N + n, tl.load(first_ptr + n), chunk, N, REACH, tl.float32)
    tl.store(out_ptr + n, state)

@triton.jit
def latched(slots_ptr, first_ptr, out_ptr, chunk, N: tl.constexpr, REACH: tl.constexpr):
    n = tl.arange(0, N)
    tl.store(out_ptr + n, first_bits(slots_ptr + (REACH + chunk) * N + n, tl.load(first_ptr + n), chunk, N, REACH))

@triton.jit
def published(x_ptr, out_ptr, tickets_ptr, counter_ptr, N: tl.constexpr):
    n = tl.arange(0, N)
    publish(out_ptr + n, tl.load(x_ptr + n), n < N)
    tl.store(tickets_ptr + tl.program_id(0), take_ticket(counter_ptr))

N, REACH, EMPTY = 4, 3, -1
torch.manual_seed(0)
decay, end, first = torch.rand(5, N) * 1.5, torch.randn(5, N), torch.randn(N)
last = [first]
for a, b in zip(decay, end):
    last.append(a * last[-1] + b)  # as the interpreter rounds: a GPU rounds once
for chunk in range(6):
    for known in itertools.product((False, True), repeat=min(chunk, REACH)):
        if chunk > REACH and not any(known):
            continue  # then it waits for the oldest one
        slots = torch.full((REACH + 5, 3, N), EMPTY, dtype=torch.int32)
        for i in range(chunk):
            slots[REACH + i, 0], slots[REACH + i, 1] = decay[i].view(torch.int32), end[i].view(torch.int32)
        for back, is_known in enumerate(known, 1):
            if is_known:
                slots[REACH + chunk - back, 2] = last[chunk - back + 1].view(torch.int32)
        out = torch.empty(N)
        linear[(1,)](slots, first, out, chunk, N, REACH)
        assert torch.equal(out, last[chunk]), (chunk, known)

for chunk in range(6):  # the nearest chunk that is not HOLD; each channel on its own
    slots = torch.full((REACH + 5, N), EMPTY, dtype=torch.int32)
    slots[REACH : REACH + chunk] = HOLD.value
    wanted = torch.full((N,), 77, dtype=torch.int32)
    for n in range(min(chunk, N)):
        slots[REACH + chunk - 1 - n % REACH, n] = wanted[n] = 100 + n
    if chunk > REACH:
        slots[chunk] = torch.where(slots[chunk] == HOLD.value, 5, slots[chunk])
        wanted = torch.where(wanted == 77, 5, wanted)
    out = torch.empty(N, dtype=torch.int32)
    latched[(1,)](slots, torch.full((N,), 77, dtype=torch.int32), out, chunk, N, REACH)
    assert torch.equal(out, wanted), (chunk, out, wanted)

x = torch.tensor([EMPTY, -2, 3, 0x7FC00001], dtype=torch.int32).view(torch.float32)  # NaN of four kinds, one a number
x[2] = 1.5
out, tickets = torch.full((N,), EMPTY, dtype=torch.int32), torch.zeros(3, dtype=torch.int32)
published[(3,)](x, out, tickets, torch.full((1,), EMPTY, dtype=torch.int32), N)
assert tickets.tolist() == [0, 1, 2]
assert EMPTY not in out.tolist() and HOLD.value not in out.tolist()
assert out.view(torch.float32).isnan().tolist() == [True, True, False, True]
"""


def test_any_mixture_of_ends_and_last_states_gives_the_same_state(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Interpreted: a look back of up to three chunks, over all that earlier programs may have published by then."""
    script = tmp_path / "script.py"  # Triton reads the source of its kernels from a file
    script.write_text(SCRIPT)
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
