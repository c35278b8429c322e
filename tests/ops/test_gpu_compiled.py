"""Every Triton kernel, as it ships, compiled ahead of time for NVIDIA and AMD."""

import re
from typing import Any

import pytest

from lra_mru.bench.kernels.compiled import (
    TARGETS,
    Launch,
    compile_launch,
    listing,
    registers_and_stack,
    resources,
    shipped_launches,
)
from lra_mru.bench.kernels.sass import count, parse

LAUNCHES = shipped_launches()
EVERYWHERE = [launch for launch in LAUNCHES if "bf16" not in launch.dtypes]


@pytest.mark.parametrize("launch", LAUNCHES, ids=str)
def test_on_sm_90_without_spills(launch: Launch) -> None:
    kernel = compile_launch(launch, TARGETS["sm_90"])
    found = resources(kernel)
    assert not found["spilled"]
    if "REACH" in launch.constants:
        check_look_back(kernel)
    else:
        assert found["widest_load_bytes"] == 16
    assert found["shared_bytes"] <= 100_000  # so that two programs fit on a multiprocessor


def check_look_back(kernel: Any) -> None:
    """A chunk's end is published before its program waits, and no warp waits for another inside such a loop, for warps
    may leave it at different times. Time lies inside a lane: no step takes a shuffle.
    """
    assert "threadsPerWarp = [1, 1, 32]" in kernel.asm["ttgir"]  # lanes are neighbouring channels: whole lines
    code = parse(listing(kernel))
    assert count(code.instructions)["shuffle"] < 32
    published = [at for at, x in enumerate(code.instructions) if x.operation.startswith("ATOMG.E.EXCH")]
    assert code.waits()
    for start, stop in code.waits():
        assert any(at < start for at in published)
        assert any(at > stop for at in published)
        assert not [x for x in code.instructions[start:stop] if x.operation.startswith(("BAR", "STS", "ATOM"))]


@pytest.mark.parametrize("target", ["sm_80", "gfx942"])
@pytest.mark.parametrize("launch", EVERYWHERE, ids=str)
def test_compiles_elsewhere(launch: Launch, target: str) -> None:
    kernel = compile_launch(launch, TARGETS[target])
    assert kernel.asm["cubin" if target == "sm_80" else "hsaco"]
    if target == "sm_80":
        assert registers_and_stack(kernel)[1] == 0  # bytes of stack: what spills lies there
        if "REACH" in launch.constants:
            check_look_back(kernel)
    else:  # spilled scalar registers go into lanes of vector registers, not into memory
        if "REACH" in launch.constants:  # every slot is read anew: a plain load would leave the loop that waits for it
            reads = [line for line in kernel.asm["llir"].splitlines() if "load volatile" in line]
            assert len(reads) > launch.constants["REACH"]
            assert len(re.findall(r"global_load_dword\S* .* sc0 sc1", kernel.asm["amdgcn"])) >= len(reads)
        assert re.findall(r"\.vgpr_spill_count:\s*(\d+)", kernel.asm["amdgcn"]) == ["0"]


def test_every_kernel_is_among_them() -> None:
    from lra_mru.ops.bmru_scan import gpu as bmru_scan
    from lra_mru.ops.linear_scan import gpu as linear_scan
    from lra_mru.ops.selective_scan import gpu as selective_scan
    from lra_mru.ops.table_scan import gpu as table_scan

    modules = (linear_scan, bmru_scan, selective_scan, table_scan)
    kernels = {name for module in modules for name in vars(module) if name.endswith("_kernel")}
    assert {launch.name for launch in LAUNCHES} == kernels
