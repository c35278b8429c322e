"""Models to and from a folder or the Hugging Face Hub: config.json says what, model.safetensors with which weights."""

import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
from pathlib import Path
from typing import Any, Self

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from data_prep.common.json_files import read_json
from lra_mru.mixers.base import Mixer
from lra_mru.spec import TaskSpec

CONFIG, WEIGHTS = "config.json", "model.safetensors"
DIGESTS = "sha256"  # key of the config: digests of its other keys and of the weights; neither format has its own
MIXERS = "lra_mru.mixers."  # the only place that a config may name classes from


class Pretrained(nn.Module, PyTorchModelHubMixin):
    """save_pretrained(folder) and from_pretrained(folder or Hub id); nothing is unpickled, and no code of a file runs.

    settings: the constructor's arguments, which a subclass sets
    Raises:   ValueError if config or weights miss a name or hold a foreign one, naming them
    """

    settings: dict[str, Any]

    def _save_pretrained(self, save_directory: Path) -> None:
        config = self.settings | {
            "spec": dataclasses.asdict(self.settings["spec"]),
            "mixers": {name: _described(make) for name, make in self.settings["mixers"].items()},
        }
        save_file({name: x.contiguous() for name, x in self.state_dict().items()}, save_directory / WEIGHTS)
        config[DIGESTS] = _digests(config, save_directory / WEIGHTS)
        (save_directory / CONFIG).write_text(json.dumps(config, indent=1) + "\n")

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, *, map_location: str = "cpu", revision: str | None = None,
        cache_dir: str | Path | None = None, force_download: bool = False, local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> Self:  # fmt: skip
        """The model of a folder or a Hub id. The mixin's own method is not used: of a config.json of something else, it
        drops the names that it does not know, and falls over values that are no mappings."""
        if not isinstance(pretrained_model_name_or_path, (str, Path)):
            raise TypeError(f"{pretrained_model_name_or_path!r} must be a folder or a Hub id")
        model_id = str(pretrained_model_name_or_path)

        def fetch(name: str) -> Path:
            if (folder := Path(model_id)).is_dir():
                if not (folder / name).is_file():
                    raise ValueError(f"{folder} holds no {name}: give a folder that save_pretrained made")
                return folder / name
            return Path(
                hf_hub_download(
                    model_id, name, revision=revision, cache_dir=cache_dir, force_download=force_download,
                    local_files_only=local_files_only, token=token,
                )
            )  # fmt: skip

        config = read_json(fetch(CONFIG))
        if not isinstance(config, dict):
            raise ValueError(f"{model_id}/{CONFIG} holds {type(config).__name__}: it must hold names and values")
        written = config.pop(DIGESTS, None)
        digests = _digests(config, fetch(WEIGHTS))
        _compare(f"{model_id}/{CONFIG}", set(config), set(inspect.signature(cls).parameters))
        for part in ("spec", "mixers"):
            if not isinstance(config[part], dict):
                raise ValueError(f"{model_id}/{CONFIG}: {part}={config[part]!r} must hold names and values")
        try:
            spec, mixers = TaskSpec(**config["spec"]), {name: _maker(node) for name, node in config["mixers"].items()}
            model = cls(**(config | {"spec": spec, "mixers": mixers}))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{model_id}/{CONFIG} describes no model ({type(error).__name__}: {error})") from error
        try:
            weights = load_file(fetch(WEIGHTS), device=map_location)
        except SafetensorError as error:
            raise ValueError(f"{model_id}/{WEIGHTS} is no safetensors file ({error})") from error
        own = model.state_dict()
        _compare(f"{model_id}/{WEIGHTS}", set(weights), set(own))
        for name, x in weights.items():
            if x.shape != own[name].shape:
                raise ValueError(
                    f"{model_id}/{WEIGHTS}: {name} has shape {tuple(x.shape)}, its config says {tuple(own[name].shape)}"
                )
        if written not in (None, digests):  # after the complaints that say more
            raise ValueError(f"{model_id}: {CONFIG} or {WEIGHTS} is not what was saved: damaged, or edited")
        aligned = {name: x.clone() for name, x in weights.items()}  # a file's tensors lie anywhere: other rounding
        model.load_state_dict(aligned, assign=True)  # assign keeps the dtype that was saved
        return model.eval()


def _digests(config: dict[str, Any], weights: Path) -> dict[str, str]:
    text = json.dumps({key: value for key, value in config.items() if key != DIGESTS}, sort_keys=True)
    return {
        "config": hashlib.sha256(text.encode()).hexdigest(),
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }


def _compare(place: str, found: set[str], expected: set[str]) -> None:
    if found != expected:
        missing, foreign = sorted(expected - found), sorted(found - expected)
        raise ValueError(f"{place} is of another model: missing {missing}, foreign {foreign}")


def _described(make_mixer: Any) -> dict[str, Any]:
    """A constructor with its numbers as they stand in conf/model/."""
    if not isinstance(make_mixer, functools.partial) or not inspect.isclass(make_mixer.func):
        raise ValueError(f"mixers hold {make_mixer!r}: only functools.partial of a Mixer class can be saved")
    return {"_target_": f"{make_mixer.func.__module__}.{make_mixer.func.__qualname__}", **make_mixer.keywords}


def _maker(node: Any) -> functools.partial[Mixer]:
    """The reverse; a config that names anything but a mixer of ours is refused, for its file may come from anywhere."""
    if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
        raise ValueError(f"config holds the mixer {node!r}: it must name its class as _target_")
    module, _, name = node["_target_"].rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None) if module.startswith(MIXERS) else None
    except ImportError:
        found = None
    if not (inspect.isclass(found) and issubclass(found, Mixer)):
        raise ValueError(f"config names {node['_target_']!r}: it must be a mixer in {MIXERS.rstrip('.')}")
    return functools.partial(found, **{key: value for key, value in node.items() if key != "_target_"})
