"""The text of `python train.py --help`: read from the config files, so that no second list has to be kept."""

from pathlib import Path

HEAD = """\
python train.py key=value ...            one run: trains, tests once, writes a record and the leaderboard
python train.py -m key=value,value ...   a run for each combination

The same command again goes on where it stopped, and skips what is finished. `python -m lra_mru.runs` lists runs.
`python train.py --cfg job ...` prints the whole config of a run, every number of which can be set, like optim.lr=1e-3.
"""
LEFT_OUT = ("protocol",)  # chosen by task and budget, not by the user


def help_text(conf: Path) -> str:
    """The choices of every config group with the first comment line of each file, then the keys of train.yaml."""
    parts = [HEAD]
    for folder in sorted(conf.rglob("*"), key=_order):
        group = folder.relative_to(conf).as_posix()
        if folder.is_dir() and group not in LEFT_OUT and (files := sorted(folder.glob("*.yaml"))):
            parts.append(f"{group}=\n" + _lines([(file.stem, first_comment(file)) for file in files]))
    parts.append("further keys\n" + _lines(_keys(conf / "train.yaml")))
    return "\n".join(parts)


def first_comment(file: Path) -> str:
    """The first line that is a comment for people; Hydra's own `# @package` is not."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return next((line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line), "")


def _keys(file: Path) -> list[tuple[str, str]]:
    """The commented top-level keys with a value of their own: `seed: 0 # why` -> ("seed=0", "why")."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        setting, _, comment = line.partition(" # ")
        key, _, value = setting.partition(": ")
        if comment and value and key.isidentifier():
            found.append((f"{key}={value}", comment))
    return found


def _lines(pairs: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in pairs)
    return "".join(f"  {name:<{width}}  {about}".rstrip() + "\n" for name, about in pairs)


def _order(folder: Path) -> tuple[int, str]:
    """What a run is, before how it is run."""
    first = ["model", "task", "budget", "experiment"]
    return (first.index(folder.name) if folder.name in first else len(first), folder.as_posix())
