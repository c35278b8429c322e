"""`python -m lra_mru.bench PART [--json FILE] [--threads N]`; a part's own options: `... PART --help`"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does: torch's threads else spin beside our own

import torch

from data_prep.common.arguments import OneLineParser
from data_prep.common.output import printing_program
from lra_mru import files
from lra_mru.bench import models
from lra_mru.bench.arguments import new_file, threads
from lra_mru.bench.gpu import measure
from lra_mru.bench.timing import machine

PARTS = {
    "cpu": "scans against torch on this CPU",
    "data": "every task's loader beside the training step that it feeds",
    "kernels": "the GPU kernels: resources, predicted time, traffic, and on a GPU speed",
    "gpu": "this GPU in a few minutes: copy, kernels and ops beside the floor and peers, training steps",
    "backbones": "every model against length: training speed, time of a step, bytes of state and activations",
    "throughput": "every model: forward and training time at a fixed batch and at fixed tokens",
}


@printing_program
def main() -> None:
    parser = OneLineParser(prog="python -m lra_mru.bench", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    for name, what in PARTS.items():
        part = parts.add_parser(name, help=what, description=what)
        part.add_argument("--json", type=new_file, metavar="FILE", help="also write the figures here")
        part.add_argument("--threads", type=threads, default=min(2, os.cpu_count() or 1), help="torch threads")
        if name in models.LENGTHS:
            models.add_options(part, name)
        if name == "gpu":
            measure.add_options(part)
    options = parser.parse_args()
    if options.part == "gpu" and not torch.cuda.is_available():
        parser.error("the part gpu needs a GPU, and torch.cuda.is_available() is false here")
    torch.set_num_threads(options.threads)
    print(machine(), flush=True)
    report = {"machine": machine()} | run(options)
    if options.json:
        files.write_whole(options.json, (json.dumps(report, indent=1) + "\n").encode(), overwrite=True)
    if failed := failures(report):
        print(f"error: {len(failed)} rows failed; the first said: {failed[0]}", file=sys.stderr)
        sys.exit(1)


def failures(report: Any) -> list[str]:
    """The status of every row that failed; one that ran out of memory or time has given its answer."""
    if isinstance(report, list):
        return [status for row in report for status in failures(row)]
    if not isinstance(report, dict):
        return []
    own = [report["status"]] if str(report.get("status")).startswith("failed") else []
    return own + [status for value in report.values() for status in failures(value)]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one part, printed as they come."""
    if options.part == "cpu":
        from lra_mru.bench import cpu, cpu_sizes

        comparisons = [asdict(row) | {"ratio": row.ratio, "holds": row.holds} for row in cpu.run()]
        return {"comparisons": comparisons, "sizes": cpu_sizes.run()}
    if options.part == "data":
        from lra_mru.bench import data

        return {"loading": [asdict(row) | {"ratio": row.ratio, "holds": row.holds} for row in data.run()]}
    if options.part == "gpu":
        return measure.run(options)
    if options.part == "kernels":
        from lra_mru.bench import kernels

        return kernels.run()
    return models.run_backbones(options) if options.part == "backbones" else models.run_throughput(options)


if __name__ == "__main__":
    main()
