"""The performance model: what is counted in machine code, and its predictions beside the times of an H100."""

import json

import pytest
import torch
import triton
import triton.language as tl

from lra_mru.bench.kernels import page, sass
from lra_mru.bench.kernels.compiled import Launch
from lra_mru.bench.kernels.counts import Counts, counts_of
from lra_mru.bench.kernels.predict import predict
from lra_mru.bench.kernels.predicted import counted, line, measured_ms, predicted_ms
from lra_mru.bench.kernels.shapes import passes

SHIPPED = page.counts(page.SHIPPED)
LISTING = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   LDGSTS.E.BYPASS.128 [R8+0x200], desc[UR18][R30.64], P6 ;
        /*0020*/                   LDGDEPBAR ;
        /*0030*/                   DEPBAR.LE SB0, 0x1 ;
        /*0040*/                   LDS.128 R4, [R9] ;
        /*0050*/                   SHFL.UP P1, R5, R7, 0x1, RZ ;
        /*0060*/              @!P1 FFMA R5, R5, R3, R3 ;
        /*0070*/               @P0 BRA `(.L_x_0) ;
        /*0080*/                   EXIT ;
"""


@triton.jit
def polynomial_kernel(x_ptr, y_ptr, L, chunk, BLOCK_T: tl.constexpr):
    at = tl.program_id(0) * 32 + tl.arange(0, 32)
    y = tl.zeros((32,), tl.float32)
    for start in range(0, chunk, BLOCK_T):
        x = tl.load(x_ptr + start * 32 + at)
        for _ in tl.static_range(BLOCK_T):
            y = y * x + x
    tl.store(y_ptr + at, y)


def test_instructions_of_a_kernel_whose_number_is_known():
    steps, x = 128, torch.empty(32 * 1024, device="meta")
    found = counts_of(Launch("", polynomial_kernel, (7, 2), 1, (x, x, 1024, 1024), {"BLOCK_T": steps}))
    assert (found.programs, found.num_warps, found.bytes, found.load_bytes) == (14, 1, 2 * x.nbytes, 128)
    assert 1024 <= found.instructions["float"] <= 1024 + 8  # one multiplication and addition a step
    assert found.instructions["memory"] == 1024 // steps + 1
    assert not {"shuffle", "shared", "special"} & set(found.instructions)
    alone = 4 * 1024 + 800 * (1024 // steps)  # each step waits for the one before, and each round for its load
    assert alone < found.chain_cycles < 1.05 * alone
    assert found.issue_cycles < found.chain_cycles / 4


def test_registers_waits_and_loops_are_read():
    code = sass.parse(LISTING)
    assert code.loops() == [(1, 7)]
    body = code.instructions[1:8]
    assert sass.count(body) == {"memory": 1, "branch": 3, "shared": 1, "shuffle": 1, "float": 1}
    load, shuffle, fma = body[3], body[4], body[5]
    assert load.writes == ("R4", "R5", "R6", "R7")
    assert (shuffle.reads, shuffle.writes) == (("R7",), ("P1", "R5"))
    assert set(fma.reads) == {"P1", "R5", "R3"}
    alone = sass.LATENCY["shared"] + sass.LATENCY["shuffle"]
    assert alone < sass.once(body) < alone + 20  # the load ahead is waited for in the next round
    assert sass.each_round(body) == pytest.approx((sass.LATENCY["memory"] + alone) / 2, rel=0.02)


def test_the_largest_of_four_limits_is_the_time():
    made_of = {"num_warps": 4, "registers": 128, "shared_bytes": 0, "load_bytes": 1024, "instructions": {}}
    few = {"bytes": 3000, "look_backs": 0, "issue_cycles": 170, "chain_cycles": 1700}
    for limit, change, ms in (
        ("memory", {"bytes": 3_000_000_000}, 1.0),
        ("issue", {"issue_cycles": 170_000}, 1.0),  # 10 programs of 4 warps on each multiprocessor, 4 at a time
        ("chain", {"chain_cycles": 680_000}, 1.0),
        ("look back", {"look_backs": 850}, 1.0),
    ):
        found = predict(Counts(kernel="", programs=1320, **made_of | few | change))
        assert (found.limit, found.resident) == (limit, 4)
        assert found.ms == pytest.approx(ms, rel=0.01)
    assert found.bytes_in_flight == 132 * 4 * 4 * 1024


def test_predictions_stand_up_to_an_h100():
    """Of the kernels of one commit, by their counts: none is off by half of it, and they are in the right order."""
    for row in SHIPPED:
        if (ms := measured_ms(row)) is not None and ms > page.NOTICED_MS:
            assert ms / 1.5 < predicted_ms(row) < 1.5 * ms, line(row)
    assert len(page.ratios(SHIPPED)) == 26
    assert page.rank_correlation(SHIPPED) > 0.99


@pytest.mark.skipif(
    triton.__version__ != json.loads((page.COUNTS / f"{page.SHIPPED}.json").read_text())["triton"],
    reason="counted in the code of another compiler",
)
def test_the_kernels_that_ship_are_those_that_were_counted():
    one = next(passes())
    found, expected = counted(one), page.counts(page.ASIDE)[0]
    assert json.loads(json.dumps(found)) == expected, "count anew: lra_mru/bench/kernels/page.py says how"
    assert [(row["op"], row["pass"]) for row in SHIPPED] == [(one.op, one.name) for one in passes()]


def test_the_page_is_made_from_the_counts():
    assert page.page(page.PAGE.read_text()) == page.PAGE.read_text()
    assert len(page.PAGE.read_text().splitlines()) <= 100
