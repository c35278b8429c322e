"""The leaderboard as Markdown: results/leaderboard.md and the block of a README."""

from collections.abc import Sequence

from lra_mru.report.matrix import make_matrix
from lra_mru.report.sections import Section
from lra_mru.report.tables.cells import accuracy, accuracy_header, markdown_table, percent, row_name, whole
from lra_mru.report.tables.failing import failing_lengths
from lra_mru.report.tables.lengths import Bench
from lra_mru.report.tables.overview import overview
from lra_mru.report.tables.section import section_text

HOW_TO_MAKE_ONE = "No records yet. Make one: `python train.py model=bmru task=copy_first budget=quick seed=0`"
INTRODUCTION = "Made from {num_records} by `python -m lra_mru.report`; edits are overwritten.\n"
PAGE_LINK = "To sort, to filter and to look into its figures: [index.html](index.html), one file for a browser.\n"
EXPLANATION = """\
<details><summary>How to read the tables</summary>

- One row is one model configuration; its name links to its records, and a hash behind it tells apart rows that share
  a name. Accuracy is on the test set, in percent: mean over seeds ± half of its 95 % interval (Student t; not cut at 0
  or 100); one seed has none. The interval covers what changes with the seed, not that the test set is finite. Where
  every answer of every seed is right, (≥ ...) is the 95 % bound that the number of test sequences allows for these
  trained models, and (≤ ...) where none is.
- Rows are sorted by accuracy at the longest length evaluated, those at the floor there by that at the trained length.
- *Seeds above floor* counts seeds that beat the best floor (a binomial test over sequences, at 2.5 %), or that are
  proven right at every length. A floor is what a shortcut reaches without the model, measured at the trained length;
  published rows are not ours; neither is ranked.
- *Which is better* gives how sure it is that a row beats a column: Student's t over seeds (Welch), with the noise of
  the finite test set added. 50 % is a coin; between 2.5 % and 97.5 % two models cannot be told apart.
- Speed and peak memory depend on the machine, and on what else ran there: each machine has a line of its own (medians
  over seeds; training speed is the median step after warm-up), and speeds are compared under *Cost against length*,
  where each model had the machine alone. Parameters, activations (bytes saved for the backward pass, per token) and
  recurrent state do not.
- *Failing length* is the shortest length at which fewer sequences than the bar are right throughout: the median of the
  seeds that pass the bar at the trained length. *Right at every length*: ∞ links to the certificate of a walk over all
  states that the model can reach (`python -m lra_mru.certify`); *no* to one that found words on which it fails, ? to
  one that met its limit, or in which rounding decides.
- *dirty* marks seeds that ran from a working tree with uncommitted changes. Budget `full` is a task's whole protocol,
  `quick` is minutes on a CPU, `long` is quick's training with tests at far greater lengths, `custom` is none of them.

</details>
"""


def leaderboard(sections: list[Section], benches: Sequence[Bench] = ()) -> str:
    """The whole page; links to figures are relative to it."""
    if not sections:
        return f"# Leaderboard\n\n{HOW_TO_MAKE_ONE}\n"
    num_records = sum(len(section.records) for section in sections)
    introduction = INTRODUCTION.format(num_records=f"{num_records} record{'s' if num_records > 1 else ''}")
    matrix = make_matrix(sections)
    head = ["# Leaderboard\n", introduction, PAGE_LINK, overview(matrix, benches=benches), EXPLANATION]
    return "\n".join([*head, *failing_lengths(sections), *map(section_text, sections)])


def short_table(sections: list[Section], link: str, benches: Sequence[Bench] = ()) -> str:
    """For a README: findings and overview, or accuracy alone while no row has several seeds: a small table for each
    section that compares, or for all while none does.

    `link` leads from there to the whole page.
    """
    if not sections:
        return HOW_TO_MAKE_ONE
    if matrix := make_matrix(sections):
        return f"{overview(matrix, link, benches)}\nSpeed, memory, floors, figures, every seed: [{link}]({link})."
    folder = link.rpartition("/")[0]
    shown = [section for section in sections if len(section.rows) > 1] or sections
    parts = []
    for section in shown:
        metrics, floor = section.accuracy_metrics, section.best_floor()
        title = f"**{section.title}**" + ("" if floor is None else f"; best floor without a model: {percent(floor)} %")
        head = ["model", *(accuracy_header(metric, section) for metric in metrics), "parameters", "seeds"]
        lines = []
        for row in section.rows:
            size = [whole(row.first.num_params), f"n = {len(row.records)}"]
            name = row_name(row, section).replace("](", f"]({folder}/")
            lines.append([name, *(accuracy(row, metric) for metric in metrics), *size])
        parts.append(f"{title}\n\n{markdown_table(head, lines)}")
    lone = ", ".join(section.task for section in sections if section not in shown)
    note = "Mean over seeds ± half of the 95 % interval. " + (
        f"One row so far, on the whole page: {lone}. " if lone else ""
    )
    return "\n".join([*parts, f"{note}Speed, memory, floors, figures, every seed: [{link}]({link})."])
