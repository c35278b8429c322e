"""Which run a cell, a rate and a seed make: Hydra's answer, remembered for as long as no file of conf/ changes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from data_prep.common.json_files import read_json
from lra_mru import files
from lra_mru.engine.compose import shipped_configs
from lra_mru.engine.errors import ConfigError
from lra_mru.engine.recording.record import Identity, identify
from lra_mru.engine.sweep.overrides import compose_one
from lra_mru.places import CONF
from lra_mru.records.naming import RULE

NAMED = {"task", "budget", "config_hash"}


@dataclass(frozen=True, kw_only=True)
class Names:
    """The identities of runs. A thousand runs are named in no time by what `file` remembers; Hydra needs minutes.

    file: JSON, made anew where it is missing, damaged, or of other configs
    """

    file: Path

    def of(self, wanted: Sequence[tuple[str, Sequence[str], float]]) -> list[Identity]:
        """The identity at seed 0 of each (model, words for train.py, rate). Raises: ConfigError for a wrong word"""
        version, known = self._version(), self._known()
        keys = [json.dumps([version, model, *words, rate]) for model, words, rate in wanted]
        new = {key: choice for key, choice in zip(keys, wanted, strict=True) if key not in known}
        if new:
            with shipped_configs():
                known |= {key: self._asked(model, words, rate) for key, (model, words, rate) in new.items()}
            self.file.parent.mkdir(parents=True, exist_ok=True)
            files.write_whole(self.file, json.dumps(known, indent=0).encode(), overwrite=True)
        return [
            Identity(model=choice[0], seed=0, config={}, **known[key]) for key, choice in zip(keys, wanted, strict=True)
        ]

    def _asked(self, model: str, words: Sequence[str], rate: float) -> dict[str, str]:
        from lra_mru.engine.preflight import check  # imports Lightning: only where a run is named for the first time

        cfg = compose_one([*words, f"optim.lr={rate!r}"])
        task = HydraConfig.get().runtime.choices["task"]
        try:
            check(cfg, task)
        except ConfigError as error:
            raise ConfigError(f"{' '.join(words)}: {error}") from error
        found = identify(cfg, model=model, task=task)
        return {"task": found.task, "budget": found.budget, "config_hash": found.config_hash}

    def _known(self) -> dict[str, dict[str, str]]:
        try:
            found = read_json(self.file)
        except (OSError, ValueError):
            return {}
        named = found.items() if isinstance(found, dict) else ()
        return {key: value for key, value in named if isinstance(value, dict) and set(value) == NAMED}

    def _version(self) -> str:
        """A digest of all that a name depends on: the configs and the rule."""
        digest = hashlib.sha256(str(RULE).encode())
        for path in sorted(CONF.rglob("*.yaml")):
            digest.update(str(path.relative_to(CONF)).encode() + path.read_bytes())
        return digest.hexdigest()[:16]
