"""The leaderboard as CSV: one line per number, so that it can be filtered and pivoted without parsing headers."""

import csv
import io

from lra_mru.report.load import MEASURES
from lra_mru.report.rows import Row, middle
from lra_mru.report.sections import Section
from lra_mru.report.tables.published import published_rows

COLUMNS = ["task", "variant", "budget", "kind", "model", "config_hash", "dirty_seeds", "machine", "metric", "statistic"]
COLUMNS += ["value", "ci95_half_width", "n", "per_seed", "note"]
Line = dict[str, str | int]


def leaderboard_csv(sections: list[Section]) -> str:
    """All sections, in the order of leaderboard.md.

    kind:     ours, floor or published
    metric:   accuracies in [0, 1] under their names in the records; tokens per second; bytes; parameters
    per_seed: `seed=value` pairs behind a mean
    note:     why a value is missing, or where a published one was read
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for section in sections:
        common: Line = {"task": section.task, "variant": section.variant, "budget": section.budget}
        for row in section.rows:
            writer.writerows({**common, **line} for line in _row(section, row))
        writer.writerows({**common, **line} for line in _others(section))
    return text.getvalue()


def _row(section: Section, row: Row) -> list[Line]:
    dirty = " ".join(map(str, row.dirty_seeds))
    ours: Line = {"kind": "ours", "model": row.model, "config_hash": row.config_hash, "dirty_seeds": dirty}
    lines: list[Line] = []
    for metric in [*section.accuracy_metrics, *(f"test/acc/{name}" for name in section.groups), "val/acc"]:
        line: Line = {**ours, "metric": metric, "statistic": "mean", "note": row.skipped(metric) or ""}
        if summary := row.summary(metric):
            line |= {"value": number(summary.mean), "ci95_half_width": number(summary.half_width), "n": summary.n}
            line["per_seed"] = " ".join(f"{seed}={number(value)}" for seed, value in summary.per_seed.items())
        lines.append(line)
    lines.append({**ours, "metric": "num_params", "statistic": "exact", "value": row.first.num_params})
    for machine, records in row.by_machine():
        for part, names in MEASURES.items():
            for name in names:
                value = number(middle(records, part, name))
                measured: Line = {"machine": machine, "metric": name, "statistic": "median", "n": len(records)}
                lines.append({**ours, **measured, "value": value})
    return lines


def _others(section: Section) -> list[Line]:
    """What is not ours to rank: floors and published results."""
    floors: list[Line] = [
        {"kind": "floor", "model": name, "metric": "test/acc", "statistic": "highest", "value": number(highest)}
        for name, _, highest in section.floors()
    ]
    published: list[Line] = []
    for row in published_rows(section):
        what: Line = {"kind": "published", "model": row.model, "metric": "test/acc", "statistic": "published"}
        note = "; ".join(filter(None, [row.source, row.provenance, row.remark]))
        published.append({**what, "value": number(row.accuracy / 100), "note": note})
    return floors + published


def number(value: float | None) -> str:
    """Ten digits: enough for any reader, and free of the last bits in which machines differ."""
    return "" if value is None else f"{value:.10g}"
