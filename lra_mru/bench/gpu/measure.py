"""One GPU in a few minutes: speed of a copy, of every op's kernels beside it, of the ops as called, of whole models."""

import time
from argparse import ArgumentParser, Namespace
from datetime import date
from typing import Any

import torch

from lra_mru.bench.arguments import above_0
from lra_mru.bench.gpu.steps import STEPS, measured_step
from lra_mru.bench.gpu.table import markdown
from lra_mru.engine.recording.provenance import code_version, library_versions


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--minutes", type=above_0, default=4.0, help="no row is begun later than that (default: 4)")


def run(options: Namespace) -> dict[str, Any]:
    """Every row that fits into the minutes; what was left out is named."""
    from lra_mru.bench.gpu.ops import copy_gb_per_s, measured_op, ops  # Triton's timers

    until = time.monotonic() + 60 * options.minutes
    speed = copy_gb_per_s()
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "commit": (code_version() or {}).get("commit"),
        "date": date.today().isoformat(),
        "versions": library_versions(),
        "copy_gb_per_s": speed,
    }
    rows: dict[str, list[dict[str, Any]]] = {"ops": [], "steps": []}
    left_out = []
    for part, names, measure in (
        ("ops", list(ops()), lambda name: measured_op(ops()[name], speed)),
        ("steps", list(STEPS), lambda name: measured_step(STEPS[name])),
    ):
        for name in names:
            if time.monotonic() > until:
                left_out.append(name)
                continue
            rows[part].append({"name": name} | measure(name))
            print({"name": name} | rows[part][-1], flush=True)
            torch.cuda.empty_cache()
    report |= rows | {"left_out": left_out}
    print(markdown([report]))
    return report
