"""The leaderboard as Markdown: results/leaderboard.md and the short table of a README."""

from statistics import median

from lra_mru.report import horizon
from lra_mru.report.cells import accuracy, accuracy_header, markdown_table, percent, row_name, where, whole
from lra_mru.report.load import ACC
from lra_mru.report.published import published_failing_lengths, published_rows
from lra_mru.report.rows import middle
from lra_mru.report.sections import Section

HOW_TO_MAKE_ONE = "No records yet. Make one: `python train.py model=bmru task=copy_first budget=quick seed=0`"
INTRODUCTION = """\
Made from {num_records} by `python -m lra_mru.report`; edits are overwritten.

- One row is one model configuration, named by its model and the hash of its resolved config. Accuracy is on the test
  set, in percent: mean over seeds ± half of its 95 % interval (Student t; not cut at 0 or 100); one seed has none. The
  interval covers what changes with the seed, not that the test set is finite.
- Rows are sorted by accuracy at the longest length evaluated, then at the trained one, then by name.
- *Seeds above floor* counts seeds that beat the best floor by more than two standard errors of the test set. A floor is
  what a shortcut reaches without the model; published rows are not ours; neither is ranked.
- Speed and peak memory depend on the machine, so each machine has a line of its own (medians over seeds; training
  speed is the median step after warm-up). Parameters, activations (bytes saved for the backward pass, per token) and
  recurrent state do not.
- *Failing length* is the shortest length at which fewer sequences than the bar are right throughout: the median of the
  seeds that pass the bar at the trained length. *Right at every length*: ∞ links to the certificate of a walk over all
  states that the model can reach (`python -m lra_mru.certify`); *no* to one that found words on which it fails.
- *dirty* marks seeds that ran from a working tree with uncommitted changes. Budget `full` is a task's whole protocol,
  `quick` is minutes on a CPU, `custom` is neither.
"""


def leaderboard(sections: list[Section]) -> str:
    """The whole page; links to figures are relative to it."""
    if not sections:
        return f"# Leaderboard\n\n{HOW_TO_MAKE_ONE}\n"
    num_records = sum(len(section.records) for section in sections)
    introduction = INTRODUCTION.format(num_records=f"{num_records} record{'s' if num_records > 1 else ''}")
    return "\n".join(["# Leaderboard\n", introduction, *map(_section, sections)])


def short_table(sections: list[Section], link: str) -> str:
    """Accuracy alone, for a README: a small table for each section that compares, or for all while none does.

    `link` leads from there to the whole page.
    """
    if not sections:
        return HOW_TO_MAKE_ONE
    shown = [section for section in sections if len(section.rows) > 1] or sections
    parts = []
    for section in shown:
        metrics, floor = section.accuracy_metrics, section.best_floor()
        title = f"**{section.title}**" + ("" if floor is None else f"; best floor without a model: {percent(floor)} %")
        head = ["model", *(accuracy_header(metric, section) for metric in metrics), "parameters", "seeds"]
        lines = []
        for row in section.rows:
            size = [whole(row.first.num_params), f"n = {len(row.records)}"]
            lines.append([row_name(row), *(accuracy(row, metric) for metric in metrics), *size])
        parts.append(f"{title}\n\n{markdown_table(head, lines)}")
    lone = ", ".join(section.task for section in sections if section not in shown)
    note = "Mean over seeds ± half of the 95 % interval. " + (
        f"One row so far, on the whole page: {lone}. " if lone else ""
    )
    return "\n".join([*parts, f"{note}Speed, memory, floors, figures, every seed: [{link}]({link})."])


def _section(section: Section) -> str:
    parts = [
        f"## {section.title}\n",
        _accuracy_table(section),
        _notes(section),
        f"![{section.title}](figures/{section.slug}.png)\n",
        _group_table(section),
        _published_table(section),
        _published_failing_lengths(section),
        _cost_table(section),
        _seed_table(section),
    ]
    return "\n".join(part for part in parts if part)


def _accuracy_table(section: Section) -> str:
    metrics, floor = section.accuracy_metrics, section.best_floor()
    head = ["model", *(accuracy_header(metric, section) for metric in metrics), "seeds above floor"]
    head += [f"… {where(metrics[-1], section)}"] if section.lengths else []
    head += [f"failing length (bar {percent(float(bar))} %)" for bar in horizon.bars(section)]
    head += ["right at every length"] if horizon.has_certificates(section) else []
    lines = []
    for row in section.rows:
        cells = [row_name(row), *(accuracy(row, metric) for metric in metrics)]
        for metric in [ACC, metrics[-1]] if section.lengths else [ACC]:
            above = None if floor is None else row.seeds_above(floor, metric)
            cells.append("—" if above is None else f"{above[0]} of {above[1]}")
        cells += [horizon.failing_length(row, bar, section.trained_length) for bar in horizon.bars(section)]
        cells += [horizon.proof(row, "")] if horizon.has_certificates(section) else []
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
    sizes = [f"{' or '.join(whole(n) for n in section.num_examples(m))} {where(m, section)}" for m in metrics]
    lines.append(f"- Test examples: {', '.join(sizes)}")
    for row in section.rows:
        for record in (record for record in row.records if record.attempt > 1):
            lines.append(
                f"- {section.label(row)}, seed {record.seed}: attempt {record.attempt}, the newest that finished"
            )
        if (trials := max(record.trials for record in row.records)) > 1:
            lines.append(f"- {section.label(row)}: one of {trials} trials of a sweep")
        if distinction := section.distinction(row):
            lines.append(f"- {section.label(row)}: {distinction}")
        for metric in metrics:
            if reason := row.skipped(metric):
                lines.append(f"- {section.label(row)} {where(metric, section)} — {reason}")
    return "\n".join(lines) + "\n"


def _group_table(section: Section) -> str:
    if not section.groups:
        return ""
    kind = "root operator" if section.task == "listops" else "group"
    head = ["model", *(f"{group} (%)" for group in section.groups)]
    lines = [[row_name(row), *(accuracy(row, f"{ACC}/{group}") for group in section.groups)] for row in section.rows]
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


def _cost_table(section: Section) -> str:
    head = ["model", "parameters", "train (tokens/s)", "eval (tokens/s)", "peak memory (MiB)"]
    head += ["activations (bytes/token)", "state (bytes)", "wall (s)", "machine", "seeds"]
    lines = []
    for row in section.rows:
        for machine, records in row.by_machine():
            peak = middle(records, "memory", "peak_bytes")
            numbers = [
                row.first.num_params,
                middle(records, "throughput", "train_tokens_per_s"),
                middle(records, "throughput", "eval_tokens_per_s"),
                None if peak is None else peak / 2**20,
                middle(records, "memory", "activation_bytes_per_token"),
                middle(records, "memory", "state_bytes"),
                median(record.wall_s for record in records),
            ]
            lines.append([row_name(row), *map(whole, numbers), machine, f"n = {len(records)}"])
    return f"### Cost\n\n{markdown_table(head, lines)}"


def _seed_table(section: Section) -> str:
    metrics = section.accuracy_metrics
    head = ["model", "seed", *(accuracy_header(metric, section) for metric in metrics), "validation (%)"]
    lines = []
    for row in section.rows:
        for r in row.records:
            values = [percent(r.metrics[metric]) if metric in r.metrics else "—" for metric in [*metrics, "val/acc"]]
            steps = [whole(r.best_step), whole(r.steps)]
            source = [r.machine, r.commit, r.finished_at]
            lines.append([f"{row.model} `{row.config_hash}`", str(r.seed), *values, *steps, *source])
    body = markdown_table([*head, "best step", "steps", "machine", "commit", "finished"], lines)
    return f"<details><summary>Every seed</summary>\n\n{body}\n</details>\n"
