"""One section of the leaderboard: its accuracies, and all that belongs beside them."""

from lra_mru.report.load import ACC
from lra_mru.report.rows import can_lie_above, grouped
from lra_mru.report.sections import Section
from lra_mru.report.tables.cells import (
    accuracy,
    accuracy_header,
    bars,
    failing_length,
    has_certificates,
    markdown_table,
    percent,
    proof,
    row_name,
    where,
    whole,
)
from lra_mru.report.tables.details import comparisons, cost_table, seed_table
from lra_mru.report.tables.published import published_failing_lengths, published_rows


def section_text(section: Section) -> str:
    """Heading, tables, notes and figure."""
    parts = [
        f"## {section.title}\n",
        _accuracy_table(section),
        _notes(section),
        f"![{section.title}](figures/{section.slug}.png)\n",
        f"![{section.title}: memory](figures/{section.slug}_memory.png)\n" if section.has_memory else "",
        _sequence_table(section),
        _group_table(section),
        comparisons(section),
        _published_table(section),
        _published_failing_lengths(section),
        cost_table(section),
        seed_table(section),
    ]
    return "\n".join(part for part in parts if part)


def _accuracy_table(section: Section) -> str:
    metrics, floor = section.accuracy_metrics, section.best_floor()
    head = ["model", *(accuracy_header(metric, section) for metric in metrics), "seeds above floor"]
    head += [f"… {where(metrics[-1], section)}"] if section.lengths else []
    head += [f"failing length (bar {percent(float(bar))} %)" for bar in bars(section)]
    head += ["right at every length"] if has_certificates(section) else []
    lines = []
    for row in section.rows:
        cells = [row_name(row, section), *(accuracy(row, metric) for metric in metrics)]
        for metric in [ACC, metrics[-1]] if section.lengths else [ACC]:
            above = None if floor is None else row.seeds_above(floor, metric)
            cells.append("—" if above is None else f"{above[0]} of {above[1]}")
        cells += [failing_length(row, bar, section.trained_length) for bar in bars(section)]
        cells += [proof(row)] if has_certificates(section) else []
        both = "yes" if row.first.bidirectional else "no"
        lines.append([*cells, both, row.first.pooling, f"n = {len(row.records)}"])
    return markdown_table([*head, "bidirectional", "pooling", "seeds"], lines)


def _notes(section: Section) -> str:
    """Floors, sizes of the test sets and reasons for what is missing: the lines under the table."""
    lines = [
        f"- Floor (no model): {name} {percent(low)}{'' if low == high else f' to {percent(high)}'} %"
        for name, low, high in section.floors()
    ]
    metrics = section.accuracy_metrics
    lines.append(f"- Test sequences: {', '.join(_size(section, metric) for metric in metrics)}")
    floor = section.best_floor()
    for metric in metrics:
        if floor is not None and not any(can_lie_above(floor, n) for n in section.num_sequences(metric)):
            place = where(metric, section)
            lines.append(f"- Sequences {place} are too few for any accuracy to lie above the floor; a proof does")
    for trials, rows in grouped(section.rows, lambda row: max(record.trials for record in row.records)):
        if trials > 1:
            lines.append(f"- {', '.join(map(section.label, rows))}: one of {trials} trials of a sweep")
    for row in section.rows:
        for record in (record for record in row.records if record.attempt > 1):
            lines.append(
                f"- {section.label(row)}, seed {record.seed}: attempt {record.attempt}, the newest that finished"
            )
        if distinction := section.distinction(row):
            lines.append(f"- {section.label(row)}: {distinction}")
        for metric in metrics:
            if reason := row.skipped(metric):
                lines.append(f"- {section.label(row)} {where(metric, section)} — {reason}")
    return "\n".join(lines) + "\n"


def _size(section: Section, metric: str) -> str:
    sequences, targets = section.num_sequences(metric), section.num_examples(metric)
    more = "" if targets == sequences else f" ({' or '.join(map(whole, targets))} targets)"
    return f"{' or '.join(map(whole, sequences))}{more} {where(metric, section)}"


def _sequence_table(section: Section) -> str:
    """Where every step has a target: how many sequences have no wrong answer at all."""
    whole_ones = {metric: metric.replace("/acc", "/seq_acc") for metric in section.accuracy_metrics}
    measured = any(row.summary(metric) for row in section.rows for metric in whole_ones.values())
    if section.records[0].pooling != "per step" or not measured:
        return ""
    head = ["model", *(f"{where(metric, section)} (%)" for metric in whole_ones)]
    lines = [
        [row_name(row, section), *(accuracy(row, metric) for metric in whole_ones.values())] for row in section.rows
    ]
    return f"### Sequences without a wrong answer\n\n{markdown_table(head, lines)}"


def _group_table(section: Section) -> str:
    if not section.groups:
        return ""
    kind = "root operator" if section.task == "listops" else "group"
    head = ["model", *(f"{group} (%)" for group in section.groups)]
    lines = [
        [row_name(row, section), *(accuracy(row, f"{ACC}/{group}") for group in section.groups)] for row in section.rows
    ]
    return f"### Accuracy by {kind}\n\n{markdown_table(head, lines)}"


def _published_table(section: Section) -> str:
    lines = [[r.model, f"{r.accuracy:g}", r.source, r.provenance, r.remark] for r in published_rows(section)]
    if not lines:
        return ""
    about = "Other code, other machines, often other parameter counts. `published.yaml` says what provenance means.\n"
    head = ["model", "accuracy (%)", "source", "provenance", "remark"]
    return f"### Published, not ours\n\n{about}\n{markdown_table(head, lines)}"


def _published_failing_lengths(section: Section) -> str:
    lines = published_failing_lengths(section)
    if not lines:
        return ""
    about = "Medians of the learned seeds of five; *none*: no seed learned the task; +: no failure up to there."
    head = ["model", "failing length", "source", "provenance"]
    return f"### Published failing lengths, not ours\n\n{about}\n\n{markdown_table(head, lines)}"
