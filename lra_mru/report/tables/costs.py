"""What a model costs, in a sentence."""

from collections import defaultdict
from collections.abc import Sequence
from math import nan
from statistics import median

from lra_mru.report.load import ACC
from lra_mru.report.matrix import Line, models_of
from lra_mru.report.rows import Row, middle
from lra_mru.report.tables.lengths import Bench

COSTS = {"speed": ("throughput", "train_tokens_per_s"), "activations": ("memory", "activation_bytes_per_token")}


def cost(lines: Sequence[Line], benches: Sequence[Bench]) -> str:
    """Speed and saved bytes as multiples of those of the first model: of a bench, where each model ran alone, or else
    of the records, which may have shared their machine."""
    trained = [line for line in lines if line.metric == ACC]
    return next(filter(None, (_of_bench(trained, bench) for bench in benches)), "") or _of_records(trained)


def _of_bench(trained: Sequence[Line], bench: Bench) -> str:
    """Speeds over all lengths of the bench; saved bytes, which no machine changes, of records."""
    models = [model for model in models_of(trained) if model in bench.models]
    if len(models) < 2 or models[0] != models_of(trained)[0]:
        return ""
    speeds = bench.values["train_tokens_per_s"]
    texts = []
    for model in models[1:]:
        ratios = [
            own / speeds[models[0]][length] for length, own in speeds[model].items() if length in speeds[models[0]]
        ]
        text = f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "—"
        texts.append(f"{model} {text} and {_saved(trained, models[0], model):.2f}")
    span = f"{bench.lengths[0]:,} to {bench.lengths[-1]:,}"
    return (
        f"**What it costs.** As multiples of {models[0]}'s: training speed in tokens/s, lowest and highest over {span} "
        f"steps, each model alone on one machine ({bench.name}), and bytes saved for the backward pass (median "
        f"over tasks): {', '.join(texts)}."
    )


def _saved(trained: Sequence[Line], first: str, model: str) -> float:
    """Activations of a model over those of the first, the median over the tasks that both have rows on; NaN of none."""
    both = [[line.cells[name] for name in (first, model)] for line in trained if {first, model} <= line.cells.keys()]
    found = [[middle(row.records, *COSTS["activations"]) for row in rows] for rows in both]
    return median([own / base for base, own in found if own and base] or [nan])


def _of_records(trained: Sequence[Line]) -> str:
    """On the machine with the most rows."""
    ratios = _ratios(trained)
    if not ratios:
        return ""
    first = models_of(trained)[0]
    machine = max(ratios, key=lambda name: (sum(len(found) for found in ratios[name].values()), name))
    found = {model: pairs for model in models_of(trained) if (pairs := ratios[machine].get(model))}
    most = max(map(len, found.values()))
    texts = []
    for model, pairs in found.items():
        speed, activations = (median(values) for values in zip(*pairs, strict=True))
        fewer = "" if len(pairs) == most else f" ({_tasks(len(pairs))})"
        texts.append(f"{model} {speed:.2f} and {activations:.2f}{fewer}")
    return (
        f"**What it costs.** Training speed in tokens/s, and bytes saved for the backward pass, as multiples of "
        f"{first}'s on one machine ({machine}; median over {_tasks(most)}): {', '.join(texts)}."
    )


def _ratios(trained: Sequence[Line]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """(speed, activations) over those of the first model on the same machine, by machine and model."""
    models = models_of(trained)
    found: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for line in trained:
        if models[0] not in line.cells:
            continue
        base = _costs(line.cells[models[0]])
        for model in models[1:]:
            own = _costs(line.cells[model]) if model in line.cells else {}
            for machine in own.keys() & base.keys():
                (speed, saved), (base_speed, base_saved) = own[machine], base[machine]
                found[machine][model].append((speed / base_speed, saved / base_saved))
    return found


def _costs(row: Row) -> dict[str, tuple[float, float]]:
    """(tokens/s, bytes/token) by machine, where both were measured."""
    costs = {}
    for machine, records in row.by_machine():
        speed, saved = (middle(records, part, name) for part, name in COSTS.values())
        if speed and saved:
            costs[machine] = (speed, saved)
    return costs


def _tasks(count: int) -> str:
    return f"{count} task{'' if count == 1 else 's'}"
