"""A model of one unit that is right on every word of flip_flop, and the certificate of any model."""

import torch

import lra_mru
from lra_mru.certify.command import facts
from lra_mru.certify.run import Run

WRITE_0, WRITE_1, IGNORE_0, IGNORE_1, READ = range(5)


def by_hand(task):
    """One unit of one block: writes open its gate, ignored symbols and reads do not; the head reads the unit."""
    model = lra_mru.make_model("bmru", spec=task.spec, d_model=8, depth=1, block_params=None)
    mixer = model.blocks[0].mixer
    with torch.no_grad():
        model.encoder.weight.zero_()
        model.encoder.weight[:, :5] = torch.eye(5)
        for layer in (mixer.to_candidate, mixer.to_threshold):
            layer.weight.zero_()
            layer.bias.zero_()
        mixer.to_candidate.weight[0, WRITE_0], mixer.to_candidate.weight[0, WRITE_1] = 1, -1
        mixer.to_threshold.bias.fill_(1.0)
        mixer.to_output.weight.zero_()
        mixer.to_output.weight[7, 0] = 10
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.weight[0, 7], model.head.weight[1, 7] = 1, -1
    return model


def certificate(model, task, **limits):
    run = Run(checkpoint=None, model=model, task=task, weights_sha256="")
    return facts(run, **{"max_states": 10_000, "max_seconds": 60, "batch": 7} | limits)
