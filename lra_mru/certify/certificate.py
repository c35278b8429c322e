"""The certificate of a run: what a walk over all reachable states has shown, for a second walk to check."""

from typing import Any

import numpy as np
import torch

from lra_mru.certify.model_machine import ModelMachine
from lra_mru.certify.verdict import judge
from lra_mru.certify.walk import Walk, disagreeing
from lra_mru.model import SequenceModel
from lra_mru.tasks.machine import Machine

SCHEMA = 1
CLAIMS = {
    "every word": "right on every word, at every length",
    "from length n": "right on every word of {from_length} or more letters",
    "once settled": "right once a word has entered the recurrent part, but some words of any length do not",
    "wrong": "wrong on words of any length",
    "open": "nothing is proven: the walk met a limit ({limit})",
}
REPEATED = (  # what a second walk of the same weights must find again
    "schema", "task", "variant", "weights_sha256", "grade", "from_length", "states", "steps", "depth",
    "recurrent_states", "wrong_steps", "counterexamples",
)  # fmt: skip


def certify(found: Walk, model: SequenceModel, task: Machine, *, batch: int) -> dict[str, Any]:
    """The facts of a walk, with its steps taken again in float64 and at another batch size.

    Raises:  ValueError if the model, run as usual on a counterexample, does not fail on it
    """
    verdict = judge(found)
    smaller = max(1, batch // 3)
    disagree_batch, _, _ = disagreeing(found, ModelMachine(model), task, batch=smaller)
    counterexamples = [_shown(word, model, task) for word in verdict.counterexamples]
    single = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dtype = next(model.parameters()).dtype
    disagree, gap, margin = disagreeing(found, ModelMachine(model.double()), task, batch=batch)
    model.to(dtype).load_state_dict(single)
    return {
        "schema": SCHEMA,
        "grade": verdict.grade,
        "from_length": verdict.from_length,
        "claim": CLAIMS[verdict.grade].format(from_length=verdict.from_length, limit=found.limit),
        "states": len(found.codes),
        "steps": len(found.sources),
        "depth": int(found.depths.max()),
        "recurrent_states": verdict.num_recurrent,
        "wrong_steps": verdict.num_wrong,
        "counterexamples": counterexamples,
        "smallest_margin": _finite(found.min_margin),
        "smallest_logit_gap": _finite(found.min_gap),
        "float64": {
            "disagreeing_steps": disagree,
            "smallest_margin": _finite(margin),
            "smallest_logit_gap": _finite(gap),
        },
        "other_batch_size": {"batch": smaller, "disagreeing_steps": disagree_batch},
    }


def holds(certificate: dict[str, Any]) -> bool:
    """Whether the certificate proves the model right: at every length or from some on, in every evaluation tried."""
    agreed = not any(certificate[name]["disagreeing_steps"] for name in ("float64", "other_batch_size"))
    return agreed and certificate["grade"] in ("every word", "from length n")


def sentences(certificate: dict[str, Any]) -> list[str]:
    """What a person reads of it."""
    c = certificate
    lines = [
        f"{c['claim']}",
        f"  {c['states']:,} states, {c['steps']:,} steps between them, {c['wrong_steps']:,} wrong; depth {c['depth']}",
        f"  smallest margin {c['smallest_margin']:.3g}, smallest logit gap {c['smallest_logit_gap']:.3g}; in float64 "
        f"{c['float64']['disagreeing_steps']:,} steps differ, at another batch size "
        f"{c['other_batch_size']['disagreeing_steps']:,}",
    ]
    for example in c["counterexamples"][:3]:
        word = " ".join(map(str, example["word"]))
        lines.append(f"  fails on the word {word}: asked for {example['asked']}, answers {example['answered']}")
    return lines


def _shown(word: list[int], model: SequenceModel, task: Machine) -> dict[str, Any]:
    """The counterexample as the model itself, run on the whole word, answers it."""
    with torch.inference_mode():
        logits = model(torch.tensor([word]))
    answered = int((logits[0, -1] if model.spec.per_step else logits[0]).argmax())
    asked = task.read(np.array(word))[-1]
    if answered == asked:
        raise ValueError(f"word {word}: step by step the model fails on it, as a whole it does not: rounding decides")
    return {"word": word, "asked": asked, "answered": answered}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
