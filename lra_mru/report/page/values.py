"""What the figures' values are made of: numbers, intervals and configurations, as a reader wants them."""

from collections.abc import Iterable
from typing import Any

from lra_mru.report.load import Record
from lra_mru.report.order import look_of
from lra_mru.report.stats import Summary
from lra_mru.report.tables.cells import percent

Spec = dict[str, Any]  # of one figure, or of a part of it


def looks(models: Iterable[str]) -> dict[str, list[str]]:
    """Colour and marker of every model."""
    return {model: [look_of(model).colour, look_of(model).marker] for model in models}


def mean_text(summary: Summary) -> str:
    """Mean and interval in percent."""
    interval = "" if summary.half_width is None else f" ± {percent(summary.half_width)}"
    return f"{percent(summary.mean)}{interval} %"


def short_config(record: Record) -> str:
    """Size, rate and steps: what a reader asks first. The record holds the rest."""
    rate = record.config.get("optim", {}).get("lr")
    return ", ".join(
        filter(None, [f"{record.num_params:,} parameters", rate and f"lr {rate:g}", f"{record.steps:,} steps"])
    )


def rounded(value: float) -> float:
    """Six digits: more than a figure can show, and the same on every machine."""
    return float(f"{value:.6g}")
