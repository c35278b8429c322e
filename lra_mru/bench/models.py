"""Whole models side by side: speed and memory against length, each row measured in a process of its own.

backbones:   one sequence at a time, up to 64k steps: tokens/s in training, milliseconds of one step, bytes of state and
             of activations; says whether memory grows faster than length
throughput:  the table that papers print: forward and training milliseconds at a fixed batch and at fixed tokens

Warm-up is excluded, medians stand beside the 20th and 80th percentile, and peaks are reset after the warm-up. Attention
runs on scaled_dot_product_attention, causal and unmasked. What did not fit or took too long is a row as well.
"""

import itertools
import json
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lra_mru.bench.arguments import above_0, positive
from lra_mru.bench.model_row import Setting
from lra_mru.engine.recording.provenance import code_version, library_versions
from lra_mru.places import CONF

LENGTHS = {"backbones": [1024, 4096, 16384, 65536], "throughput": [1024, 2048, 4096, 8192, 16384]}
GIB = 2**30
Column = tuple[str, str, str, int]  # heading, key of the row, format, divided by
NAMED: list[Column] = [("model", "model", "<16", 1), ("L", "length", ">6", 1)]
BACKBONES: list[Column] = [
    ("train tokens/s", "train_tokens_per_s", ">14,.0f", 1),
    ("step ms", "step_ms", ">9.3f", 1),
    ("state bytes", "state_bytes", ">13,", 1),
    ("act. bytes/token", "activation_bytes_per_token", ">16,.0f", 1),
    ("peak MiB", "train_peak_bytes", ">9,.0f", 2**20),
]
THROUGHPUT: list[Column] = [
    ("batch", "batch", ">6", 1),
    ("forward ms", "forward_ms", ">11,.1f", 1),
    ("train ms", "train_ms", ">11,.1f", 1),
    ("p20", "train_ms_p20", ">11,.1f", 1),
    ("p80", "train_ms_p80", ">11,.1f", 1),
    ("steps/s", "steps_per_s", ">8.2f", 1),
    ("tokens/s", "train_tokens_per_s", ">11,.0f", 1),
    ("peak MiB", "train_peak_bytes", ">9,.0f", 2**20),
    ("reserved", "train_peak_reserved_bytes", ">9,.0f", 2**20),
    ("params", "params", ">11,", 1),
    ("dynamics", "dynamics_params", ">9,", 1),
]


def add_options(parser: ArgumentParser, part: str) -> None:
    names = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
    parser.add_argument("--models", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {names}")
    parser.add_argument("--lengths", nargs="+", type=positive, default=LENGTHS[part], metavar="L", help="steps")
    parser.add_argument("--d-model", type=positive, default=256, help="width (default: 256)")
    parser.add_argument("--depth", type=positive, default=6, help="blocks (default: 6)")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32", help="bf16: autocast")
    parser.add_argument("--compile", action="store_true", help="torch.compile every block")
    parser.add_argument("--row-seconds", type=above_0, default=300.0, help="a row that takes longer says so (300)")
    parser.add_argument("--memory", type=above_0, metavar="GIB", help="a CPU may allocate this (80 %% of what is free)")
    if part == "throughput":
        parser.add_argument("--batch", type=positive, default=8, help="rows of the fixed batch (default: 8)")
        parser.add_argument("--tokens", type=positive, default=16384, help="of the fixed number of tokens (16384)")


def run_backbones(options: Namespace) -> dict[str, Any]:
    """Rows of every model at every length, one sequence at a time, and how memory grew along them."""
    print(heading(BACKBONES))
    rows = []
    for model, length in itertools.product(options.models, options.lengths):
        row = measured(setting_of(options, model, length, batch=1, parts=["train", "step"]), options.row_seconds)
        print(line(BACKBONES, row), flush=True)
        rows.append(row)
    growth = [memory_growth([row for row in rows if row["model"] == model]) for model in options.models]
    for found in filter(None, growth):
        print(
            "{model:<16} L = {from} to {to}: length x {length:.1f}, activations x {activations:.2f}, peak x {peak:.2f}"
            ": {verdict}".format(verdict="at most linear" if found["linear"] else "FASTER THAN LINEAR", **found)
        )
    return report(options) | {"rows": rows, "memory_growth": [found for found in growth if found]}


def memory_growth(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How memory grew from the shortest to the longest row that trained; None with fewer than two of them."""
    done = [row for row in rows if row.get("train_peak_bytes")]
    if len(done) < 2:
        return None
    first, last = done[0], done[-1]
    length = last["length"] / first["length"]
    activations = length * last["activation_bytes_per_token"] / first["activation_bytes_per_token"]
    peak = last["train_peak_bytes"] / first["train_peak_bytes"]
    growth = {"model": first["model"], "from": first["length"], "to": last["length"], "length": length}
    return growth | {"activations": activations, "peak": peak, "linear": max(activations, peak) <= 1.05 * length}


def run_throughput(options: Namespace) -> dict[str, Any]:
    """Rows of every model at every length, at a fixed batch and then at fixed tokens."""
    rows = []
    for fixed, amount in (("batch", options.batch), ("tokens", options.tokens)):
        print(f"fixed {fixed}: {amount:,}\n{heading(THROUGHPUT)}")
        for model, length in itertools.product(options.models, options.lengths):
            batch = amount if fixed == "batch" else max(1, amount // length)
            setting = setting_of(options, model, length, batch=batch, parts=["forward", "train"])
            row = {"fixed": fixed} | measured(setting, options.row_seconds)
            if "train_ms" in row:
                row["steps_per_s"] = 1e3 / row["train_ms"]
            print(line(THROUGHPUT, row), flush=True)
            rows.append(row)
    return report(options) | {"rows": rows}


def setting_of(options: Namespace, model: str, length: int, *, batch: int, parts: list[str]) -> Setting:
    memory = free_bytes() * 0.8 if options.memory is None else options.memory * GIB
    return Setting(
        model=model, length=length, batch=batch, d_model=options.d_model, depth=options.depth,
        precision=options.precision, compile=options.compile, threads=options.threads, max_calls=20,
        call_seconds=options.row_seconds / 30, memory_bytes=int(memory), parts=parts,
    )  # fmt: skip


def measured(setting: Setting, row_seconds: float) -> dict[str, Any]:
    """The row of a setting, with whatever was found; status says how it ended: ok, out of memory, over time, failed."""
    command = [sys.executable, "-m", "lra_mru.bench.model_row"]
    row: dict[str, Any] = asdict(setting)
    try:
        done = subprocess.run(
            command, input=json.dumps(asdict(setting)), capture_output=True, text=True, timeout=row_seconds
        )
        output, status = done.stdout, f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        if done.returncode == -9:
            status = "out of memory"  # stopped by the system
    except subprocess.TimeoutExpired as error:
        output, status = (error.stdout or b"").decode(), f"over {row_seconds:g} s"
    for line in output.splitlines():
        row |= json.loads(line)
    return {"status": status} | row


def free_bytes() -> int:
    """Memory that this machine could still give away."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo does not say what is available: give --memory GIB")


def heading(columns: list[Column]) -> str:
    return "  ".join(f"{name:{form[0]}{width(form)}}" for name, _, form, _ in NAMED + columns)


def line(columns: list[Column], row: dict[str, Any]) -> str:
    """One row of the table; "-" for what was not found, and at the end how it ended, unless well."""
    cells = []
    for _, key, form, unit in NAMED + columns:
        value = row.get(key)
        cells.append(f"{'-':>{width(form)}}" if value is None else format(value if unit == 1 else value / unit, form))
    return "  ".join(cells + [row["status"]] * (row["status"] != "ok"))


def width(form: str) -> int:
    return int("".join(itertools.takewhile(str.isdigit, form[1:])))


def report(options: Namespace) -> dict[str, Any]:
    """What the figures depend on besides the rows."""
    kept = ("d_model", "depth", "precision", "compile", "threads")
    return {name: getattr(options, name) for name in kept} | {
        "versions": library_versions(),
        "code": code_version(),
    }
