"""What stands behind a section's accuracies: which row is better, what it costs, every seed and its command."""

from statistics import median

from lra_mru.report.compare import probability_better
from lra_mru.report.load import ACC
from lra_mru.report.matrix import estimates_of
from lra_mru.report.rows import Row, middle
from lra_mru.report.sections import Section
from lra_mru.report.tables.cells import accuracy_header, markdown_table, percent, rerun, row_name, where, whole

AGAIN = "\nTo run a row again, at the commit that stands there, as a config may have changed since:\n\n"


def comparisons(section: Section) -> str:
    """For the trained and the longest length the probability that a row beats a column; rows of several seeds."""
    parts = []
    for metric in dict.fromkeys([ACC, section.accuracy_metrics[-1]]):
        found = estimates_of(section, metric)
        if len(found) < 2:
            continue
        names = list(found)
        lines = [
            [
                f"**{a}** better than",
                *("·" if a == b else chance(probability_better(found[a], found[b])) for b in names),
            ]
            for a in names
        ]
        parts.append(f"{where(metric, section).capitalize()} (%):\n\n{markdown_table(['', *names], lines)}")
    if not parts:
        return ""
    return "\n".join(["<details><summary>Which is better, and how sure that is</summary>\n", *parts, "</details>\n"])


def chance(probability: float) -> str:
    """In percent; neither 0 nor 100, which no finite number of seeds can show."""
    return f"{min(99.9, max(0.1, 100 * probability)):.1f}"


def cost_table(section: Section) -> str:
    """A line for each row and machine."""
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
            lines.append([row_name(row, section), *map(whole, numbers), machine, f"n = {len(records)}"])
    return f"### Cost\n\n{markdown_table(head, lines)}"


def seed_table(section: Section) -> str:
    """Every seed with a link to its record, and the commands that repeat the rows."""
    metrics = section.accuracy_metrics
    head = ["model", "seed", *(accuracy_header(metric, section) for metric in metrics), "validation (%)"]
    lines = []
    for row in section.rows:
        for r in row.records:
            values = [percent(r.metrics[metric]) if metric in r.metrics else "—" for metric in [*metrics, "val/acc"]]
            steps = [whole(r.best_step), whole(r.steps)]
            source = [r.machine, r.commit, r.finished_at]
            lines.append([section.label(row), f"[{r.seed}]({r.link})", *values, *steps, *source])
    body = markdown_table([*head, "best step", "steps", "machine", "commit", "finished"], lines)
    commands = [
        f"- {section.label(row)} ({_commits(row)}): `{command}`\n"
        for row in section.rows
        for command in rerun(row.records)
    ]
    again = "".join([AGAIN, *commands]) if commands else ""
    return f"<details><summary>Every seed, and the command for each row</summary>\n\n{body}{again}\n</details>\n"


def _commits(row: Row) -> str:
    return ", ".join(dict.fromkeys(record.commit for record in row.records))
