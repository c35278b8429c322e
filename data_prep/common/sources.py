"""Where collected data come from: a local folder or the `datasets` hub; and splits that share no content."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from data_prep.common.counter_rng import stream_key

NESTED = ("", "lra_release", "lra_release/lra_release")  # the archive of the Long Range Arena unpacks into itself
HUB_TIMEOUT_S = 10


def local_path(lra_dir: str, name: str, get_it: str) -> Path:
    """The file or folder `name` below lra_dir. Raises ValueError where there is none: `get_it` says where to get it."""
    found = [path for nest in NESTED if (path := Path(lra_dir) / nest / name).exists()]
    if not found:
        raise ValueError(f"task.lra_dir={lra_dir} holds no {name}: {get_it}")
    return found[0]


def hub_splits(hub_id: str | None, get_it: str, *, other_key: str) -> Any:
    """All splits of a data set of the hub, or of a folder laid out as one: a `datasets.DatasetDict`.

    other_key: the setting that names a local source instead, which is null here
    Raises ValueError within seconds where it cannot be had; `get_it` says what to do instead.
    """
    if hub_id is None:
        raise ValueError(f"{other_key}=null and task.hub_id=null name no source: {get_it}")
    import datasets
    import huggingface_hub

    try:
        if not Path(hub_id).is_dir() and not huggingface_hub.is_offline_mode():
            huggingface_hub.HfApi().dataset_info(hub_id, timeout=HUB_TIMEOUT_S)  # one request; load_dataset tries often
        return datasets.load_dataset(hub_id)
    except Exception as error:  # of many libraries below, without a common base
        raise ValueError(f"task.hub_id={hub_id} cannot be loaded ({type(error).__name__}): {get_it}") from error


def check_rows(name: str, found: int, wanted: int) -> None:
    """Raise ValueError unless a split has the number of rows that the config says."""
    if found != wanted:
        raise ValueError(f"the {name} split has {found:,} rows, the config says {wanted:,}: is the source complete?")


def content_hashes(rows: Any) -> NDArray[np.uint64]:
    """64-bit hash of each row's bytes; equal rows have equal hashes."""
    return np.array([xxh3_64_intdigest(row) for row in rows], dtype=np.uint64)


def carve_val(name: str, num_rows: int, num_val: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of an official training split -> rows to train on, rows to validate on, both ascending."""
    order = np.random.Generator(np.random.SFC64(stream_key(name, "carve", seed))).permutation(num_rows)
    return np.sort(order[num_val:]), np.sort(order[:num_val])


def apart(
    hashes: NDArray[np.uint64], train: NDArray[np.int64], val: NDArray[np.int64], test: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """train and val without the rows whose content stands in a later split; the test split stays untouched.

    hashes: of the rows that train and val number;  test: of the test rows
    """
    val = val[~np.isin(hashes[val], test)]
    return train[~np.isin(hashes[train], np.concatenate([hashes[val], test]))], val
