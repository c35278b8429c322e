"""Every task that is generated, at a small size."""

from hydra.utils import get_class
from omegaconf import OmegaConf
from support import ROOT, TASKS

from lra_mru.engine.build import build
from lra_mru.tasks.generated import GeneratedTask

CONFIGS = {name: OmegaConf.load(ROOT / "conf/task" / f"{name}.yaml") for name in TASKS}
FAMILY = [name for name, cfg in CONFIGS.items() if issubclass(get_class(cfg._target_), GeneratedTask)]


def make(name, *changes):
    """make("copy", "T=7", ...): that task with T = 20 and few rows, unless told otherwise."""
    small = ["T=20", "num_val=60", "num_test=80", "eval_lengths=[20,64]", "eval_examples=[30,20]"]
    small += ["val_lengths=[20,40]", "val_examples=[25,15]", "batch_size=16"]
    root = OmegaConf.create({"data_dir": "unused", "seed": 0, "task": CONFIGS[name]})
    return build(OmegaConf.merge(root.task, OmegaConf.from_dotlist([*small, *changes])), "task")
