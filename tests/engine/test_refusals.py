"""Every careless command is answered in one line, with status 2 and what to type instead, before anything starts."""

import pytest
from support import TINY_COPY


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    return tmp_path


TRAIN = [
    ("seed=99999999999999999999", "seed=99999999999999999999 must be "),
    ("optim.warmup_fraction=1.5", "optim.warmup_fraction=1.5 must be "),
    ("optim.warmup_fraction=abc", "optim.warmup_fraction="),
    ("optim.betas=[0.9,1.0]", "optim.betas"),
    ("optim.betas=[0.9]", "optim.betas"),
    ("optim.betas=null", "optim.betas=null"),
    ("optim.groups=null", "optim.groups=null must hold keys"),
    ("optim.groups.dynamics=null", "optim.groups.dynamics"),
    ("logger=null", "logger=null: a choice needs a name; did you mean csv, none, wandb, wandb_offline?"),
    ("failing_length.cap=2000 failing_length.bars=[]", "failing_length.bars=[] must hold at least one bar"),
    ("failing_length.cap=2000 failing_length.bars=[1,1.0]", "failing_length.bars=[1, 1.0] must hold at least one bar"),
    ("failing_length.bars=[1e-9]", "failing_length.bars.0=1e-09 must be a number of at least 0.001 and at most 1"),
    ("failing_length.bars=0.9", "failing_length.bars=0.9"),
    ("model=", "model=: there is no such model; did you mean "),
    ("results_dir=null", "results_dir=null must name a folder"),
    ("runs_dir=null", "runs_dir=null must name a folder"),
    ("runs_dir=5", "runs_dir=5 must name a folder"),
    ("data_dir=null", "data_dir=null must name a folder"),
    ("results_dir=loop", "results_dir=loop cannot "),
    ("runs_dir=loop", "runs_dir=loop cannot "),
    ("results_dir=file", "results_dir=file cannot be written: it is a file; give results_dir=<folder>"),
    ("runs_dir=/proc/x", "cannot be written"),
    ("hydra.run.dir=/proc/x", "/proc/x: No such file or directory; give another folder (hydra.run.dir"),
    ("results_dir=a=b", """write 'results_dir="a=b"'"""),
    ("results_dir=a,b", """write 'results_dir="a,b"'"""),
    ("results_dir=é", """write 'results_dir="é"'"""),
    ("task.eval_lengths=[1,2", "a list is written 'task.eval_lengths=[a,b]'"),
    ("task.eval_lengths=5", "task.eval_lengths=5 must be of type list of int"),
    ("model.norm=3", "model.norm=3 must be of type layer or rms"),
    ("model._target_=lra_mru.nope", "model._target_=lra_mru.nope cannot be imported"),
    ("trainer=ddp trainer.accelerator=gpu", "trainer.accelerator=gpu: there is no GPU here"),
    ("trainer=fsdp trainer.accelerator=gpu", "trainer.accelerator=gpu: there is no GPU here"),
    ("trainer=ddp_cpu trainer.devices=1000", "trainer.devices=1000: this machine has "),
    ("trainer=ddp_cpu task.batch_size=9", "task.batch_size=9 cannot be shared out over 2 processes"),
    ("trainer.num_nodes=3", "trainer.num_nodes"),
    ("trainer.devices=1000", "trainer.devices=1000: this machine has "),
    ("trainer.devices=0", "trainer.devices=0 must be an integer of at least 1"),
    ("trainer.devices=abc", "trainer.devices=abc must be an integer of at least 1"),
    ("trainer.devices=null", "trainer.devices="),
    ("trainer.accelerator=null", "trainer.accelerator="),
    ("trainer.strategy=ddp_spawn", "trainer.strategy=ddp_spawn: processes that copy this one are not supported"),
    ("trainer=ddp_cpu +trainer.strategy.start_method=fork", "trainer.strategy.start_method=fork: processes that copy"),
    ("trainer.strategy=nope", "strategy"),
    ("trainer.precision=16-true", "trainer.precision=16-true"),
    ("trainer.precision=abc", "trainer.precision="),
    ("resume=no/such.ckpt", "resume=no/such.ckpt: "),
    ("optim=null", "optim"),
    ("--seed 1", "unrecognized arguments: --seed 1; "),
    ("--cfg nope", "argument --cfg/-c: invalid choice: 'nope'"),
    ("=1", "=1: write key=value"),
    ("callbacks=[1]", "callbacks=[1]: "),
    ("task.num_workers=100000", "task.num_workers=100000: this machine has "),
    ("task.T=1000000000000", "no memory holds such a training batch"),
    ("model.pattern=[nope]", "pattern=['nope'] must name mixers"),
]


@pytest.mark.parametrize(("words", "message"), TRAIN, ids=[words for words, _ in TRAIN])
def test_train_refuses_in_one_line(programs, folder, words, message):
    status, out, err = programs("lra_mru.train", folder, *TINY_COPY, "trainer.accelerator=cpu", *words.split())
    assert (status, out) == (2, ""), err[-2000:]
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list(folder.rglob("attempt*"))


def test_what_the_advice_says_to_type_works(programs, tmp_path):
    for name in ("a=b", "é, ü"):
        places = [f'results_dir="{tmp_path / name}"', f'runs_dir="{tmp_path / name}"']
        status, _, err = programs("lra_mru.train", tmp_path, *TINY_COPY, "trainer.max_steps=1", *places)
        assert (status, err) == (0, "")
        assert len(list((tmp_path / name).rglob("seed0.json"))) == 1


OTHERS = [
    ("lra_mru.bench", "cpu --threads 0", "argument --threads: 0 must be from 1 to "),
    ("lra_mru.bench", "cpu --threads 1000000", "argument --threads: 1000000 must be from 1 to "),
    ("lra_mru.bench", "cpu --json .", "argument --json: . is a folder: give a file in it"),
    ("lra_mru.bench", "cpu --json no/x.json", "make the folder no first"),
    ("lra_mru.bench", "cpu --json text", "text stands there, and is no report of this program: give another file"),
    ("lra_mru.report", "--check text", "text is no record: records are named runs/"),
    ("lra_mru.bench", "cpu --json /proc/x.json", "/proc/x.json cannot be written"),
    ("lra_mru.bench", "backbones --row-seconds nan", "argument --row-seconds: invalid above_0 value: 'nan'"),
    (
        "lra_mru.sweep",
        "sweep.yaml --trials 1 --storage journal:///text",
        "text is no journal of a sweep: give a new file",
    ),
    ("lra_mru.sweep", "sweep.yaml --trials 1 --storage journal:///.", ". is no file"),
    ("lra_mru.sweep", "sweep.yaml --trials 1 =1", "=1: write key=value"),
    ("lra_mru.sweep", "sweep.yaml --trials 1 model=null", "model=null: a choice needs a name; did you mean bmru"),
    ("lra_mru.sweep", "sweep.yaml --trials 9 --jobs 1000", "--jobs=1000 must be from 1 to "),
    ("lra_mru.evidence", "--jobs 1000", "--jobs=1000 must be from 1 to "),
    ("lra_mru.sweep", "sweep.yaml --trials 1 runs_dir=null", "runs_dir=null must name a folder"),
]


@pytest.mark.parametrize(("module", "words", "message"), OTHERS, ids=[f"{m} {w}" for m, w, _ in OTHERS])
def test_the_other_programs_refuse_in_one_line(programs, tmp_path, module, words, message):
    (tmp_path / "text").write_text("some notes\nof mine\n")
    (tmp_path / "sweep.yaml").write_text(
        "{program: train.py, command: ['${args_no_hyphens}'], method: random, metric: {name: val/acc, goal: maximize},"
        " parameters: {seed: {values: [0, 1]}}}"
    )
    status, out, err = programs(module, tmp_path, *words.split())
    assert (status, out) == (2, ""), err[-2000:]
    assert message in err
    assert err.count("\n") == 1
    assert (tmp_path / "text").read_text() == "some notes\nof mine\n"
