"""Freed blocks are kept: counted in page faults, in a process of its own."""

import subprocess
import sys

PROGRAM = """
import resource, sys, torch
from lra_mru.engine.training.allocator import keep_freed_blocks
if sys.argv[1] == "kept":
    assert keep_freed_blocks()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(20_000_000).add(1)  # 80 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults_after_warm_up(mode):
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_large_tensor_is_not_mapped_anew_every_time():
    assert faults_after_warm_up("kept") < 0.3 * faults_after_warm_up("plain")
