"""Names that several tests share."""

from pathlib import Path

from lra_mru.spec import TaskSpec

ROOT = Path(__file__).parents[1]
MODELS = sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml"))
TASKS = sorted(path.stem for path in (ROOT / "conf/task").glob("*.yaml"))
TOKENS = TaskSpec(kind="tokens", vocab_size=11, num_classes=5, max_length=40, chance=0.2)
