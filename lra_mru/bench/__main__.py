"""`python -m lra_mru.bench cpu|kernels [--json FILE] [--threads N]`"""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does: torch's threads else spin beside our own

import torch

from lra_mru.bench.timing import machine


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lra_mru.bench", description=__doc__)
    parser.add_argument(
        "part", choices=["cpu", "kernels"], help="cpu: scans against torch on this CPU; kernels: the GPU kernels"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="torch threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine(), flush=True)
    report: dict[str, Any] = {"machine": machine()}
    if options.part == "cpu":
        from lra_mru.bench import cpu

        report["comparisons"] = [asdict(row) | {"ratio": row.ratio, "holds": row.holds} for row in cpu.run()]
        report["sizes"] = cpu.sizes()
    else:
        from lra_mru.bench import kernels

        report |= kernels.run()
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
