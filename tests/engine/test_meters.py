"""Speed, memory and energy of a run, on a clock and on devices that the test moves itself."""

import mmap
from types import SimpleNamespace

import pytest
import torch

from lra_mru.engine.measuring import bandwidth, energy, memory, meters
from lra_mru.engine.measuring.meters import WARMUP_STEPS, Speedometer
from lra_mru.engine.training.allocator import keep_freed_blocks
from lra_mru.spec import Batch

LENGTHS = torch.tensor([3, 7])  # 10 tokens, 14 with padding
BATCH = Batch(inputs=torch.zeros(2, 7, dtype=torch.long), lengths=LENGTHS, targets=torch.zeros(2, dtype=torch.long))


@pytest.fixture
def clock(monkeypatch):
    """Seconds; a test sets it."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(meters, "_now", lambda trainer: now.s)
    return now


TRAINER = SimpleNamespace(world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu")))
MODULE = SimpleNamespace(log=lambda *_, **__: None, final_sets=[("val", "@9"), ("test", ""), ("test", "@30")])


def train(meter, clock, steps):
    """steps: (seconds between steps, seconds of the step) each."""
    meter.on_train_start(TRAINER, MODULE)
    for between, step in steps:
        clock.s += between
        meter.on_train_batch_start(TRAINER)
        clock.s += step
        meter.on_train_batch_end(TRAINER, MODULE, None, BATCH, 0)


def test_warm_up_is_left_out_and_data_time_stands_apart_from_step_time(clock):
    meter = Speedometer()
    train(
        meter,
        clock,
        [(9.0, 9.0)] * WARMUP_STEPS + [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0), (0.4, 4.0), (0.5, 5.0), (0.6, 6.0)],
    )
    meter.on_test_batch_start(TRAINER, MODULE, BATCH, 0)
    clock.s += 2.0
    meter.on_test_batch_end(TRAINER, MODULE, None, BATCH)
    figures = meter.throughput(world_size=2)
    assert [figures[f"step_ms{p}"] for p in ("_p20", "", "_p80")] == pytest.approx([2000, 3500, 5000])
    assert [figures[f"data_ms{p}"] for p in ("_p20", "", "_p80")] == pytest.approx([200, 350, 500])
    rates = [2 * 10 / s for s in (5.0, 2.0)]
    assert (figures["train_tokens_per_s_p20"], figures["train_tokens_per_s_p80"]) == pytest.approx(rates)
    assert figures["train_padded_tokens_per_s"] == pytest.approx(1.4 * figures["train_tokens_per_s"])
    assert (figures["eval_tokens_per_s"], figures["eval_padded_tokens_per_s"]) == (10.0, 14.0)
    assert (figures["measured_steps"], figures["warmup_steps"]) == (6, WARMUP_STEPS)


def test_the_first_test_batch_is_a_warm_up_where_there_are_more(clock):
    meter = Speedometer()
    for seconds in (50.0, 1.0, 3.0):
        meter.on_test_batch_start(TRAINER, MODULE, BATCH, 0)
        clock.s += seconds
        meter.on_test_batch_end(TRAINER, MODULE, None, BATCH)
    assert meter.throughput(world_size=1)["eval_tokens_per_s"] == 5.0


def test_a_validation_is_no_data_time(clock):
    meter = Speedometer()
    train(meter, clock, [(1.0, 1.0)] * WARMUP_STEPS)
    clock.s += 1000.0
    meter.on_validation_end(TRAINER, MODULE)
    clock.s += 0.25
    meter.on_train_batch_start(TRAINER)
    clock.s += 1.0
    meter.on_train_batch_end(TRAINER, MODULE, None, BATCH, 0)
    assert meter.median(1) == 0.25


def test_a_run_no_longer_than_the_warm_up_reports_nothing_rather_than_something_wrong(clock):
    meter = Speedometer()
    train(meter, clock, [(1.0, 1.0)] * WARMUP_STEPS)
    meter.test_batches[""] = [(1.0, 10, 14)]
    figures = meter.throughput(world_size=1)
    assert figures["train_tokens_per_s"] is figures["step_ms"] is figures["data_ms_p80"] is None
    assert figures["measured_steps"] == 0


def test_what_was_measured_is_carried_through_a_checkpoint_and_warms_up_again(clock):
    first, second = Speedometer(), Speedometer()
    train(first, clock, [(9.0, 9.0)] * WARMUP_STEPS + [(0.1, 1.0)] * 2)
    second.load_state_dict(first.state_dict())
    train(second, clock, [(9.0, 9.0)] * WARMUP_STEPS + [(0.1, 3.0)] * 2)
    assert [step[0] for step in second.steps] == pytest.approx([1.0, 1.0, 3.0, 3.0])
    assert second.memory.train["used"] >= first.memory.train["used"] > 0


def test_the_peak_of_the_process_is_forgotten_at_the_end_of_the_warm_up():
    size = 240_000_000
    with mmap.mmap(-1, size) as large:  # not through malloc, which may keep what is freed
        large.write(b"1" * size)
        high = memory.peak_rss()
    peak = memory.PeakMemory()
    peak.reset(torch.device("cpu"))
    peak.read_train(torch.device("cpu"))
    figures = peak.figures()
    assert figures["peak_since"] == "warm-up"
    assert 10_000_000 < figures["train_peak_bytes"] < high - 150_000_000
    assert figures["peak_reserved_bytes"] is None
    assert figures["peak_bytes"] == figures["train_peak_bytes"]


def test_a_peak_that_cannot_be_reset_is_named_as_such(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "no /proc here")
    peak = memory.PeakMemory()
    peak.reset(torch.device("cpu"))
    peak.read_eval(torch.device("cpu"), "test")
    figures = peak.figures()
    assert figures["peak_since"] == "start of the process"
    assert figures["peak_bytes"] > 100_000_000
    assert figures["train_peak_bytes"] is None


def test_a_gpu_tells_allocated_and_reserved_bytes_and_the_largest_of_all_lives_counts(monkeypatch):
    device, reset = torch.device("cuda", 0), []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    peak = memory.PeakMemory()
    peak.reset(device)
    for used, reserved in ((500, 900), (300, 1000)):
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _, used=used: used)
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _, reserved=reserved: reserved)
        peak.read_train(device)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 700)
    peak.read_eval(device, "test")
    assert reset == [device]
    assert peak.figures() == {
        "peak_bytes": 700,
        "peak_reserved_bytes": 1000,
        "train_peak_bytes": 500,
        "train_peak_reserved_bytes": 1000,
        "peak_since": "warm-up",
        "peak_bytes/test": 700,
    }


def test_energy_is_what_the_gpus_own_meter_counts_after_the_warm_up_and_over_all_lives(clock, monkeypatch):
    joules = iter([1000.0, 1030.0, 5000.0, 5012.0])  # end of warm-up and end of training, of two lives
    monkeypatch.setattr(meters, "gpu_joules", lambda device: next(joules))
    first, second = Speedometer(), Speedometer()
    train(first, clock, [(0.0, 1.0)] * (WARMUP_STEPS + 1))
    second.load_state_dict(first.state_dict())
    train(second, clock, [(0.0, 1.0)] * (WARMUP_STEPS + 1))
    second.on_train_end(TRAINER, MODULE)
    assert second.joules == 42.0


def test_a_device_without_an_energy_meter_has_none(monkeypatch):
    assert energy.gpu_joules(torch.device("cpu")) is None

    def missing():
        raise energy.pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(energy.pynvml, "nvmlInit", missing)
    assert energy.gpu_joules(torch.device("cuda", 0)) is None


def test_nvml_counts_millijoules_of_the_gpu_with_that_uuid(monkeypatch):
    nvml = energy.pynvml
    monkeypatch.setattr(nvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-34"))
    monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByUUID", lambda uuid: {"GPU-12-34": "handle"}[uuid])
    monkeypatch.setattr(nvml, "nvmlDeviceGetTotalEnergyConsumption", lambda handle: {"handle": 2500}[handle])
    assert energy.gpu_joules(torch.device("cuda", 0)) == 2.5


def test_a_step_moves_at_least_its_activations_twice_and_its_parameters_ten_times():
    layer = torch.nn.Linear(3, 5)  # 20 numbers of 4 bytes
    assert bandwidth.least_step_bytes(layer, activation_bytes=1000.0) == 2000 + 10 * 80


def test_a_copy_counts_bytes_read_and_written(monkeypatch):
    ticks = iter([1.0, 3.0])
    monkeypatch.setattr(bandwidth, "COPY_BYTES", 100)
    monkeypatch.setattr(bandwidth.time, "perf_counter", lambda: next(ticks))
    assert bandwidth.copy_bytes_per_s.__wrapped__(torch.device("cpu")) == 2 * 100 * bandwidth.COPY_ROUNDS / 2.0


def test_the_peak_of_each_tested_set_is_its_own_whatever_stood_before_it(clock):
    """Blocks that an earlier set has freed count no more, although the allocator keeps them."""
    keep_freed_blocks()
    meter = Speedometer()
    for index, numbers in [(0, 60_000_000), (1, 1_000), (1, 1_000), (2, 30_000_000)]:
        meter.on_test_batch_start(TRAINER, MODULE, BATCH, 0, index)
        torch.ones(numbers)  # 240 MB, next to nothing, 120 MB
        meter.on_test_batch_end(TRAINER, MODULE, None, BATCH, 0, index)
    meter.on_test_end(TRAINER, MODULE)
    first, second, third = (meter.memory.figures()[f"peak_bytes/{name}"] for name in ("val@9", "test", "test@30"))
    assert first > second + 200_000_000
    assert third > second + 90_000_000
    assert first > third + 90_000_000
    assert meter.memory.figures()["peak_bytes"] == first
