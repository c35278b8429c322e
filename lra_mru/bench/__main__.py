"""`python -m lra_mru.bench cpu [--json FILE] [--threads N]`"""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch

from lra_mru.bench import cpu
from lra_mru.bench.timing import machine


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lra_mru.bench", description=__doc__)
    parser.add_argument("part", choices=["cpu"], help="cpu: scans against torch on this CPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="torch threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine(), flush=True)
    rows = [asdict(row) | {"ratio": row.ratio, "holds": row.holds} for row in cpu.run()]
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "comparisons": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
