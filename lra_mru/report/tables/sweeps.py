"""A sweep as Markdown: the Pareto front, and how many trials stand behind it."""

from lra_mru.report.pareto import Candidate, Sweep
from lra_mru.report.tables.cells import markdown_table, percent

LABELS = {
    "val/acc": "validation (%)",
    "train_tokens_per_s": "train (tokens/s)",
    "eval_tokens_per_s": "eval (tokens/s)",
    "step_ms": "step (ms)",
    "peak_bytes": "peak memory (MiB)",
    "activation_bytes_per_token": "activations (bytes/token)",
    "state_bytes": "state (bytes)",
    "num_params": "parameters",
}
BETTER = {"maximize": "more is better", "minimize": "less is better"}
SCALES = {"val/acc": 100.0, "peak_bytes": 2.0**-20}  # from a record's unit to the label's


def front_table(sweep: Sweep) -> str:
    """The Pareto front, best first."""
    head = ["model", *(LABELS[name] for name in sweep.goals), "settings", "seeds", "trials"]
    lines = []
    for candidate in sweep.front:
        cells = [_cell(name, candidate.values[name]) for name in sweep.goals]
        trials = ", ".join(map(str, candidate.trials))
        lines.append([candidate.model, *cells, candidate.settings, f"n = {len(candidate.trials)}", trials])
    return markdown_table(head, lines)


def sweep_section(sweep: Sweep) -> str:
    """Heading, counts, table and figure of one sweep for the leaderboard."""
    total = sum(sweep.states.values())
    states = ", ".join(f"{count} {state}" for state, count in sorted(sweep.states.items()))
    models = ", ".join(f"{model} {count}" for model, count in sweep.per_model.items())
    together = f"; {sweep.jobs} trials at once share the machine, which slows each" if sweep.jobs > 1 else ""
    if not sweep.candidates:
        body = "No trial has finished yet.\n"
    else:
        goals = ", ".join(f"{LABELS[name]}, {BETTER[goal]}" for name, goal in sweep.goals.items())
        body = (
            f"Pareto front, {len(sweep.front)} of {len(sweep.candidates)} configurations by {goals}. "
            f"Means over seeds, chosen by validation alone{together}.\n\n{front_table(sweep)}\n"
            f"![Pareto front of {sweep.study}](figures/sweep_{sweep.study}.png)\n"
        )
    return (
        f"## Sweep {sweep.study}: {sweep.task} (budget: {sweep.budget})\n\n"
        f"{total} trials ({states}); by model: {models}.\n\n{body}"
    )


def scaled(candidate: Candidate, name: str) -> float:
    """An objective in the unit of its label."""
    return candidate.values[name] * SCALES.get(name, 1.0)


def _cell(name: str, value: float) -> str:
    if name == "val/acc":
        return percent(value)
    return short_number(value * SCALES.get(name, 1.0))


def short_number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
