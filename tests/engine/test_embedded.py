"""Runs inside other programs: in a thread of W&B's agent, Jupyter or Ray; under W&B's own environment variables."""

import threading
from unittest.mock import Mock

import wandb

from lra_mru.engine.build import build
from lra_mru.engine.recording.record import identify


def test_a_run_in_a_thread_ends_with_its_record(go):
    found = []
    thread = threading.Thread(target=lambda: found.append(go("bmru")))
    thread.start()
    thread.join()
    assert found[0][1]["steps"] == 20


def test_wandbs_own_switch_wins_over_the_config(go, composed, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    _, record = go("bmru", "logger=wandb")  # without a warning of a server that does not answer
    assert record["steps"] == 20
    asked = []
    monkeypatch.setattr(wandb, "init", lambda **options: asked.append(options["mode"]) or Mock())
    monkeypatch.setenv("WANDB_MODE", "offline")
    cfg = composed("model=bmru", "task=copy_first", "budget=quick", "logger=wandb")
    build(cfg.logger, "logger")(folder=tmp_path, identity=identify(cfg, model="bmru", task="copy_first"))
    assert asked == ["offline"]
