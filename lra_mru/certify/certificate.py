"""The certificate of a run: what a walk over all reachable states has shown, for a second walk to check."""

import copy
from typing import Any

import numpy as np
import torch

from lra_mru.certify.model_machine import ModelMachine
from lra_mru.certify.verdict import judge
from lra_mru.certify.walk import Walk
from lra_mru.model import SequenceModel
from lra_mru.records.proof import ALWAYS, FROM_SOME_LENGTH, OPEN, SCHEMA
from lra_mru.tasks.machine import Machine

CLAIMS = {
    ALWAYS: "right on every word, at every length",
    FROM_SOME_LENGTH: "right on every word of {from_length} or more letters",
    "once settled": "right once a word has entered the recurrent part, but some words of any length do not",
    "wrong": "wrong on words of any length",
    OPEN: "nothing is proven: {limit}",
}
REPEATED = (  # what a second walk of the same weights must find again
    "schema", "task", "variant", "weights_sha256", "grade", "from_length", "states", "steps", "depth",
    "recurrent_states", "wrong_steps", "counterexamples",
)  # fmt: skip


def evaluations(model: SequenceModel, batch: int) -> list[ModelMachine]:
    """The model as it is, at another batch size, and in float64: what rounds differently."""
    smaller = max(1, batch // 3)
    return [ModelMachine(model), ModelMachine(model, smaller), ModelMachine(copy.deepcopy(model).double())]


def certify(found: Walk, model: SequenceModel, task: Machine) -> dict[str, Any]:
    """The facts of a walk in these evaluations."""
    verdict = judge(found)
    counterexamples = [shown for word in verdict.counterexamples if (shown := _shown(word, model, task))]
    grade, limit = verdict.grade, f"the walk met a limit ({found.limit})"
    if verdict.num_wrong and not counterexamples:
        grade, limit = OPEN, "words fail in a mixture of evaluations alone: rounding decides"
    numbers = [
        {"disagreeing_steps": differing, "smallest_margin": _finite(margin), "smallest_logit_gap": _finite(gap)}
        for differing, margin, gap in zip(found.differing, found.margins, found.gaps, strict=True)
    ]
    return {
        "schema": SCHEMA,
        "grade": grade,
        "from_length": verdict.from_length,
        "claim": CLAIMS[grade].format(from_length=verdict.from_length, limit=limit),
        "states": len(found.codes),
        "steps": found.num_steps,
        "depth": int(found.depths.max()),
        "recurrent_states": verdict.num_recurrent,
        "wrong_steps": verdict.num_wrong,
        "counterexamples": counterexamples,
        "smallest_margin": numbers[0]["smallest_margin"],
        "smallest_logit_gap": numbers[0]["smallest_logit_gap"],
        "other_batch_size": numbers[1],
        "float64": numbers[2],
    }


def sentences(certificate: dict[str, Any]) -> list[str]:
    """What a person reads of it."""
    c = certificate
    lines = [
        f"{c['claim']}",
        f"  {c['states']:,} states, {c['steps']:,} steps between them, {c['wrong_steps']:,} wrong; depth {c['depth']}",
        f"  smallest margin {_number(c['smallest_margin'])}, smallest logit gap {_number(c['smallest_logit_gap'])}; in "
        f"float64 {c['float64']['disagreeing_steps']:,} steps differ, at another batch size "
        f"{c['other_batch_size']['disagreeing_steps']:,}",
    ]
    for example in c["counterexamples"][:3]:
        word = " ".join(map(str, example["word"]))
        lines.append(f"  fails on the word {word}: asked for {example['asked']}, answers {example['answered']}")
    return lines


def _shown(word: list[int], model: SequenceModel, task: Machine) -> dict[str, Any] | None:
    """The counterexample as the model itself, run on the whole word, answers it; None if it does not fail on it."""
    with torch.inference_mode():
        logits = model(torch.tensor([word]))
    answered = int((logits[0, -1] if model.spec.per_step else logits[0]).argmax())
    asked = task.read(np.array(word))[-1]
    return None if answered == asked else {"word": word, "asked": asked, "answered": answered}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"
