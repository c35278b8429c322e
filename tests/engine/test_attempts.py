"""Nothing is done twice, nothing is overwritten, and whoever asks is told what became of every run."""

import json
import signal
import subprocess
import sys

import pytest
from support import ROOT, without_clock

from lra_mru import runs
from lra_mru.engine.errors import ConfigError, RunError
from lra_mru.engine.saving import attempts
from lra_mru.engine.training.module import SequenceClassifier
from lra_mru.records.digest import DIGEST, as_text
from lra_mru.report import write_leaderboard
from lra_mru.report.load import load_attempts, load_records

HOLD = "import sys; from lra_mru import files; lock = files.hold(sys.argv[1]); print('held', flush=True); input()"


@pytest.fixture
def die_at(monkeypatch):
    """die_at(12): the next run ends with an error in that step."""

    def arrange(step):
        original, left = SequenceClassifier.training_step, [step]

        def training_step(self, *arguments):
            if left and self.global_step == left[0]:
                left.clear()
                raise RunError("stopped by the test")
            return original(self, *arguments)

        monkeypatch.setattr(SequenceClassifier, "training_step", training_step)

    return arrange


@pytest.fixture
def holder():
    """holder(path): another process holds that lock until the test ends."""
    held = []

    def hold(path):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        held.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield hold
    for process in held:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """crowd("start") -> (what each of eight said of that job, its folder)."""
    folder = tmp_path_factory.mktemp("crowd")
    command = [sys.executable, str(ROOT / "tests/engine/crowd.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    return lambda job: ([said for name, _, said in lines if name == job], folder / job)


def folder_of(tmp_path):
    return next(tmp_path.glob("a/runs/copy_first/*/seed0"))


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def test_a_finished_run_is_skipped_with_a_line(go, capsys):
    path, _ = go()
    before = path.stat()
    capsys.readouterr()
    assert go()[0] == path
    said = capsys.readouterr().out
    assert f"is finished already: {path}. Another seed: seed=1; the same again: force=true\n" in said
    assert said.count("\n") == 1
    assert path.stat() == before


def test_force_repeats_a_run_beside_the_old_record_and_the_newest_counts(go, die_at, tmp_path):
    first, old = go()
    text = first.read_text()
    die_at(12)
    with pytest.raises(RunError, match="stopped by the test"):
        go("bmru", "force=true")
    second, new = go("bmru", "force=true")  # goes on with the second attempt: no third one
    assert (first.name, second.name) == ("seed0.json", "seed0.attempt2.json")
    assert first.read_text() == text
    assert (new["attempt"], new["resumes"]) == (2, 1)
    assert without_clock(new) == without_clock(old)
    assert names(folder_of(tmp_path)) == ["attempt1", "attempt2"]
    assert go()[0] == second  # without force it is finished
    results = tmp_path / "a" / "results"
    assert [record.attempt for record in load_records(results)] == [2]
    assert len(load_attempts(results)) == 2
    assert "- bmru, seed 0: attempt 2, the newest that finished\n" in write_leaderboard(results).read_text()
    assert go("bmru", "force=true")[0].name == "seed0.attempt3.json"


def test_a_forced_run_never_takes_the_number_of_a_record_whose_folder_is_gone(go, tmp_path):
    go()
    folder_of(tmp_path).rename(tmp_path / "away")
    path, record = go("bmru", "force=true")
    assert (path.name, record["attempt"]) == ("seed0.attempt2.json", 2)


def test_resume_none_starts_anew_and_keeps_what_was(go, die_at, tmp_path, capsys):
    die_at(12)
    with pytest.raises(RunError):
        go()
    path, record = go("bmru", "resume=none")
    assert f"starting anew; an earlier attempt is kept at {folder_of(tmp_path)}/attempt1\n" in capsys.readouterr().out
    assert (path.name, record["attempt"], record["resumes"]) == ("seed0.json", 2, 0)
    assert (folder_of(tmp_path) / "attempt1" / "last.ckpt").exists()


def test_an_attempt_for_other_results_is_not_gone_on_with(go, die_at, composed, tmp_path):
    die_at(12)
    with pytest.raises(RunError):
        go()
    path, record = go("bmru", f"results_dir={tmp_path / 'other'}")
    assert path.is_relative_to(tmp_path / "other")
    assert (record["attempt"], record["resumes"]) == (2, 0)


def test_a_run_that_is_running_is_refused_and_gone_on_with_once_its_process_is_killed(
    go, die_at, holder, tmp_path, monkeypatch
):
    monkeypatch.setattr(attempts, "RELEASE_WAIT_S", 0.1)
    die_at(12)
    with pytest.raises(RunError):
        go()
    process = holder(folder_of(tmp_path) / "attempt1" / "lock")
    with pytest.raises(ConfigError, match=r"seed0 is running already \(process \d+ on .*\): wait .* resume=none"):
        go()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert go()[1]["resumes"] == 1


def test_of_eight_that_start_in_one_instant_one_runs(crowd):
    said, _ = crowd("start")
    assert said.count("attempt1") == 1
    assert sum("is running already" in line for line in said) == 7


def test_eight_that_start_anew_in_one_instant_share_no_folder(crowd):
    assert sorted(crowd("start_anew")[0]) == [f"attempt{number}" for number in range(1, 9)]


def test_eight_that_finish_in_one_instant_lose_no_record_and_the_leaderboard_has_them_all(crowd):
    said, folder = crowd("finish")
    assert sorted(said) == [f"seed{seed}.json" for seed in range(8)]
    page = (folder / "results/leaderboard.md").read_text()
    assert "n = 8" in page
    assert page == write_leaderboard(folder / "results").read_text()


def test_eight_that_finish_the_same_run_overwrite_nothing(crowd):
    said, folder = crowd("finish_the_same")
    written = sorted(said)
    assert written == ["seed0.json" if number == 1 else f"seed0.attempt{number}.json" for number in [*range(2, 9), 1]]
    assert [record.attempt for record in load_records(folder / "results")] == [8]
    assert len(load_attempts(folder / "results")) == 8


def test_a_record_that_no_disk_takes_is_one_line_and_written_by_the_same_command(go, tmp_path, monkeypatch):
    from lra_mru import files

    write_whole = files.write_whole

    def full(path, content, *, overwrite):
        if path.name == "seed0.json":
            raise OSError(28, "No space left on device")
        write_whole(path, content, overwrite=overwrite)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", full)
        with pytest.raises(RunError, match=r"could not take the record \(No space left on device\); the run is kept"):
            go()
    path, record = go()
    assert (path.name, record["attempt"], record["resumes"], record["steps"]) == ("seed0.json", 1, 1, 20)


def test_the_list_tells_what_became_of_every_run(go, die_at, holder, tmp_path, capsys, monkeypatch):
    go("bmru", "seed=0")
    for seed, step in [(1, 12), (2, 12), (3, 2)]:
        die_at(step)
        with pytest.raises(RunError):
            go("bmru", f"seed={seed}")
    go("bmru", "seed=9", f"results_dir={tmp_path / 'other'}")
    go("bmru", "seed=4", f"runs_dir={tmp_path / 'gone'}")
    home = folder_of(tmp_path).parent
    holder(home / "seed2/attempt1/lock")
    (home / "seed1/attempt1/attempt.json").write_text(
        json.dumps(attempts.Attempt(home / "seed1/attempt1").notes | {"command": "python train.py seed=1"})
    )
    found = runs.lines(tmp_path / "a/results", tmp_path / "a/runs")
    assert [(line.state, line.run[-5:]) for line in found] == [
        ("running", "seed2"),
        ("resumable", "seed1"),
        ("dead", "seed3"),
        ("finished", "seed0"),
        ("finished", "seed4"),
    ]
    assert found[0].command.startswith("kill ")
    assert (found[1].command, "step 10 of 20" in found[1].detail) == ("python train.py seed=1", True)
    arguments = ["runs", "--results-dir", str(tmp_path / "nowhere"), "--runs-dir", str(tmp_path / "a/runs")]
    monkeypatch.setattr(sys, "argv", arguments)
    capsys.readouterr()
    runs.main()
    assert capsys.readouterr().out.startswith("no runs: neither records in ")


def test_what_was_typed_can_be_typed_again():
    from lra_mru.engine.recording.record import command

    assert command(["model=lru", "task.eval_lengths=[1,2]", "resume=none"]) == (
        "python train.py model=lru 'task.eval_lengths=[1,2]'"
    )
    assert runs.again("python train.py seed=1") == "python train.py seed=1 force=true"
    assert runs.again("python train.py force=true") == "python train.py force=true"


def test_a_listed_run_is_a_good_record_and_its_command_can_be_typed(go, tmp_path):
    path, record = go()
    results, nowhere = tmp_path / "a/results", tmp_path / "nowhere"
    command = "python train.py model=bmru 'results_dir=<results_dir>' 'task.mnist_dir=<mnist_dir>'"
    content = {key: value for key, value in record.items() if key != DIGEST}
    path.write_text(as_text(content | {"command": command}))
    (line,) = runs.lines(results, nowhere)
    typed = f"python train.py model=bmru results_dir={results} 'task.mnist_dir=<mnist_dir>' force=true"
    assert (line.state, line.command) == ("finished", typed)
    path.write_text(path.read_text().replace('"seed": 0', '"seed":  0').replace("model=bmru", "model=lru"))
    (line,) = runs.lines(results, nowhere)
    assert (line.state, line.command) == ("dead", f"rm {path}")


@pytest.mark.parametrize("odd", [{"command": 5}, {"record": "\0"}, {"results_dir": "\0"}, {"step": None}, {"run": []}])
def test_odd_notes_stop_nothing(go, tmp_path, odd):
    go()
    (attempt,) = attempts.find(next(tmp_path.glob("a/runs/*/*/seed0")))
    attempt.note(**odd)
    (line,) = runs.lines(tmp_path / "a/results", tmp_path / "a/runs")[:1]
    assert line.state in ("finished", "resumable")
