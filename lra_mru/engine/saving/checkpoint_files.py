"""Checkpoints on disk: written whole, read as tensors and plain values only, compared with the run that wants one."""

import hashlib
import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO
from torch import Tensor

from lra_mru import files
from lra_mru.engine.errors import ConfigError, RunError, one_line
from lra_mru.records.naming import computed

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
SEAL = b"sha256="  # and the digest of all bytes before it: the comment that a zip file may end with
SEAL_BYTES = len(SEAL) + 64


PARTS = {  # what a run needs to go on, beside its weights
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": Mapping,
    "callbacks": Mapping,
    "global_step": int,
    "epoch": int,
    "pytorch-lightning_version": str,
}
OF_CHECKPOINTS = ("best", "random", "seconds", "resumes")  # what the callback Checkpoints keeps


class DamagedCheckpoint(ConfigError):
    """The file was cut short, or never was a checkpoint of this suite."""


class WholeFiles(TorchCheckpointIO):
    """How Lightning writes and reads checkpoints here. A new last.ckpt leaves the one before as previous.ckpt."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        save(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return load(Path(path))


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Raises: RunError if the disk refuses; what stood there before stands there still."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    unnamed = path.with_name(f"new-{path.name}")
    try:
        files.write_whole(unnamed, _sealed(buffer.getvalue()), overwrite=True)
        if path.name == LAST and path.exists():
            path.replace(path.with_name(PREVIOUS))
        unnamed.replace(path)
        files.sync_folder(path.parent)
    except OSError as error:
        kept = next((good for name in (LAST, PREVIOUS) if (good := path.with_name(name)).exists()), None)
        last_good = f"the last good one is kept at {kept}" if kept else "there is none before it"
        raise RunError(
            f"checkpoint {path} could not be written ({error.strerror}); {last_good}; make room, then start again"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """The checkpoint on the CPU. Never runs what a file asks to be run.

    Raises: DamagedCheckpoint; ConfigError for a file that holds more than tensors and plain values
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such checkpoint") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder: name a checkpoint in it, as {LAST}") from error
    except OSError as error:  # a loop of links, a disk that fails
        raise DamagedCheckpoint(f"{path} cannot be read ({error.strerror})") from error
    if not _is_zip(raw):
        raise DamagedCheckpoint(f"{path} is cut short, or no checkpoint of this suite")
    if not _is_as_written(raw):
        raise DamagedCheckpoint(f"{path} is damaged: its bytes are not those that were written")
    try:
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "global" in line), "")
        raise ConfigError(
            f"{path} is refused: it holds more than tensors and plain values ({' '.join(wanted.split())[:120]})"
        ) from error
    except Exception as error:  # an unpickler raises anything on bytes that no pickler wrote
        raise DamagedCheckpoint(f"{path} cannot be read ({type(error).__name__}: {one_line(error)[:120]})") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k), Mapping) for k in ("state_dict", "config")):
        raise DamagedCheckpoint(f"{path} is no checkpoint of this suite")
    return content


def _sealed(raw: bytes) -> bytes:
    """A zip file without a comment, and its digest as its comment: torch.load checks no checksum of the zip."""
    body = raw[:-2] + SEAL_BYTES.to_bytes(2, "little")  # the last two bytes of a zip file are its comment's length
    return body + SEAL + hashlib.sha256(body).hexdigest().encode()


def _is_zip(raw: bytes) -> bool:
    try:
        return zipfile.is_zipfile(io.BytesIO(raw))
    except zipfile.BadZipFile:  # a damaged number of disks
        return False


def _is_as_written(raw: bytes) -> bool:
    """By the seal; by the zip file's own checksums where there is none: a checkpoint of an older version."""
    body, seal = raw[:-SEAL_BYTES], raw[-SEAL_BYTES:]
    if seal.startswith(SEAL):
        return seal == SEAL + hashlib.sha256(body).hexdigest().encode()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, OSError, ValueError, KeyError):
        return False  # NotImplementedError, of a damaged method of compression, is a RuntimeError


def load_for(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint, if a run that trains exactly so, with this seed, wrote it. Raises as load, ConfigError if not."""
    checkpoint = load(path)
    try:
        there = dict(_flat(_trained_by(checkpoint["config"])))
    except (TypeError, ValueError, AttributeError) as error:  # a number where keys belong
        raise DamagedCheckpoint(f"{path} holds no config of a run") from error
    here = dict(_flat(_trained_by(config)))
    missing = "not set"
    differing = [
        f"{key} ({there.get(key, missing)} there, {here.get(key, missing)} here)"
        for key in sorted(there.keys() | here.keys())
        if there.get(key, missing) != here.get(key, missing)
    ]
    if differing:
        raise ConfigError(f"{path} is of another config; these differ: {', '.join(differing)}")
    return checkpoint


def _trained_by(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how a run trains: all that it computes, but for what is measured afterwards."""
    return {k: v for k, v in computed(config).items() if k != "failing_length"} | {"seed": config.get("seed")}


def load_to_go_on(path: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The checkpoint, if training can go on from it.

    shapes: of the weights of the run's model, by name

    Raises: as load_for; ConfigError for weights alone; DamagedCheckpoint if a part is missing or of another form
    """
    checkpoint = load_for(path, config)
    if "optimizer_states" not in checkpoint:
        raise ConfigError(f"it holds weights to test, and nothing to train on with; give {LAST} beside it")
    for name, kind in PARTS.items():
        if not isinstance(checkpoint.get(name), kind):
            raise DamagedCheckpoint(f"{path} is no whole checkpoint: it holds no {name}")
    own = checkpoint["callbacks"].get("Checkpoints")
    if not isinstance(own, Mapping) or not all(name in own for name in OF_CHECKPOINTS):
        raise DamagedCheckpoint(f"{path} is no whole checkpoint: it does not say which weights were best so far")
    best = own["best"]
    tested = [] if best == {} else [best.get("state_dict") if isinstance(best, Mapping) else None]
    for weights in (checkpoint["state_dict"], *tested):
        named = weights.items() if isinstance(weights, Mapping) else ()
        found = {name: tuple(x.shape) for name, x in named if isinstance(x, Tensor)}
        if wrong := sorted(found.items() ^ shapes.items(), key=str):
            raise DamagedCheckpoint(f"{path} holds weights of another model: {wrong[0][0]} differs")
    return checkpoint


def weights_sha256(state_dict: Mapping[str, Tensor]) -> str:
    """Of names, dtypes, shapes and bits of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node
