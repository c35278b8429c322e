"""W&B: what an offline run file holds; a server that is dead, deaf or refuses the key costs one warning."""

import http.server
import json
import math
import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest
import torch
import wandb
from support import TINY_COPY
from wandb.proto.wandb_internal_pb2 import Record

from lra_mru.engine.errors import Interrupted
from lra_mru.engine.run import run
from lra_mru.engine.training.guards import SafeStop

OFTEN = "+trainer.log_every_n_steps=5"


def records(path):
    """The protocol buffers of a .wandb file: a header of 7 bytes, then LevelDB's log format, blocks of 32 KiB."""
    data, place, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left  # no header fits: the block's end is padding
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        if kind == 0 or place + 7 + length > len(data):  # not written yet
            break
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


class Offline:
    """What one offline run says."""

    def __init__(self, path):
        self.history, self.summary, self.config, self.artifacts, self.finished = {}, {}, {}, [], False
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.id, self.tags = record.run.run_id, list(record.run.tags)
                self.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                for item in record.history.item:
                    self.history.setdefault(name(item), []).append(json.loads(item.value_json))
            elif kind == "summary":
                self.summary |= {name(item): json.loads(item.value_json) for item in record.summary.update}
            elif kind == "artifact" or (kind == "request" and record.request.HasField("log_artifact")):
                artifact = record.artifact if kind == "artifact" else record.request.log_artifact.artifact
                self.artifacts.append((artifact.type, [entry.path for entry in artifact.manifest.contents]))
            elif kind == "exit":
                self.finished = True


def name(item):
    return item.key or "/".join(item.nested_key)


@pytest.fixture
def go(composed, tmp_path):
    """go("logger=...", ...) -> (record, the offline runs it left, by age)."""

    def train(*overrides):
        places = [f"{key}_dir={tmp_path / key}" for key in ("results", "data", "runs")]
        cfg = composed("model=bmru", *TINY_COPY, OFTEN, *places, *overrides)
        path = run(cfg, model_name="bmru", task_name="copy_first")
        return json.loads(path.read_text()), offline_runs(tmp_path)

    return train


def offline_runs(folder):
    """By age: names begin with the second. W&B writes from a process of its own, which may end after our run."""
    last = time.monotonic() + 60
    while True:
        paths = sorted(
            folder.rglob("offline-run-*/*.wandb"), key=lambda path: (path.parent.name[:27], path.stat().st_mtime)
        )
        found = [Offline(path) for path in paths]
        if all(offline.finished for offline in found) or time.monotonic() > last:
            return found
        time.sleep(0.1)


def test_an_offline_run_file_holds_config_metrics_gates_and_the_record(go):
    record, (offline,) = go("logger=wandb_offline", "logger.tags=[mine]")
    assert offline.tags == ["bmru", "copy_first", "custom", "mine"]
    assert offline.config["optim.lr"] == record["config"]["optim"]["lr"]
    assert (offline.config["model"], offline.config["seed"], offline.config["model.d_model"]) == ("bmru", 0, 16)
    assert len(offline.history["val/acc"]) == 4
    assert len(offline.history["grad_norm"]) == 4
    assert all(norm > 0 for norm in offline.history["grad_norm"])
    assert {"train/loss", "val/loss", "tokens/s", "peak_bytes"} <= set(offline.history)
    for block in (0, 1):
        for gauge in ("open", "plus"):
            assert all(0 <= share <= 1 for share in offline.history[f"blocks.{block}/{gauge}"])
    assert offline.summary["test/acc"] == record["metrics"]["test/acc"]
    assert offline.summary["train_tokens_per_s"] == record["throughput"]["train_tokens_per_s"]
    assert offline.artifacts == [("record", ["seed0.json"])]
    assert offline.finished


def test_a_resumed_run_keeps_its_id_and_the_next_run_has_another(go, tmp_path, monkeypatch):
    original = SafeStop.on_train_batch_end

    def press_control_c(self, trainer, *rest):
        self.asked = trainer.global_step == 7
        original(self, trainer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(SafeStop, "on_train_batch_end", press_control_c)
        with pytest.raises(Interrupted):
            go("logger=wandb_offline")
    go("logger=wandb_offline")
    go("logger=wandb_offline", "seed=1")  # in the same process, as in a multirun
    first, resumed, other = offline_runs(tmp_path)
    assert first.id == resumed.id != other.id
    assert first.finished  # even the interrupted one was closed
    assert len(resumed.history["val/acc"]) == 3


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server that knows no key."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"errors":[{"message":"invalid key"}]}')

    do_GET = do_POST

    def log_message(self, *_):
        pass


@contextmanager
def server(kind):
    """The address of a W&B server on loopback that is of no use."""
    if kind == "wrong key":
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as serving:
            threading.Thread(target=serving.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{serving.server_port}"
            serving.shutdown()
    else:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            if kind == "deaf":  # takes connections and never answers; else nobody listens
                deaf.listen(16)
            yield f"http://127.0.0.1:{deaf.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["dead", "deaf", "wrong key"])
def test_a_useless_server_costs_one_warning_and_the_run_goes_on_offline(go, capfd, monkeypatch, kind):
    wandb.teardown()  # it reads its environment once
    with server(kind) as address:
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        record, (offline,) = go("logger=wandb", "logger.connect_timeout_s=1", "logger.finish_timeout_s=1")
        wandb.teardown()
    err = capfd.readouterr().err
    assert err.startswith("warning: W&B cannot be reached (")
    assert err.count("\n") == 1, err
    assert len(offline.history["val/acc"]) == 4
    assert offline.summary["test/acc"] == record["metrics"]["test/acc"]


def test_csv_holds_the_same_numbers(go, tmp_path):
    go("logger=csv")
    (path,) = tmp_path.rglob("metrics.csv")
    head = path.read_text().splitlines()[0].split(",")
    assert {"train/loss", "val/acc", "grad_norm", "blocks.0/open", "peak_bytes"} <= set(head)


def test_gauges_of_the_bmru_count_open_gates_and_states_at_plus_alpha(small_model):
    mixer = next(iter(small_model("bmru").mixers()))
    with torch.no_grad():
        mixer.to_candidate.weight.zero_()
        mixer.to_threshold.weight.zero_()
        mixer.to_threshold.bias.fill_(1.0)
        mixer.to_candidate.bias.copy_(torch.tensor([2.0, -2.0, 0.5, -0.5] * 4))  # open +, open -, shut, shut
    gauges = mixer.gauges(torch.randn(3, 7, 16), torch.tensor([7, 2, 1]))
    assert math.isclose(gauges["open"], 0.5)
    assert math.isclose(gauges["plus"], 0.5)
