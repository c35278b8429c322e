"""Rows as Arrow streams, written in one piece and read back as a memory map; `datasets.Dataset.from_file` does too."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_prep.common.data_set import whole_file


def write_token_file(
    path: Path, *, tokens: NDArray[np.uint8], lengths: NDArray[np.int64], labels: NDArray[np.uint8]
) -> None:
    """Rows of tokens and a label each.

    Shapes:  tokens (sum of lengths,), row after row; lengths, labels (rows,)
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if offsets[-1] >= 2**31:
        raise ValueError(f"{path.name} would hold {offsets[-1]} tokens, an Arrow list column holds less than 2**31")
    column = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tokens, pa.uint8()))
    _write(path, pa.record_batch({"tokens": column, "label": pa.array(labels, pa.uint8())}))


def read_token_file(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
    """Map a file of write_token_file -> tokens, offsets, labels; row i is tokens[offsets[i] : offsets[i + 1]].

    Shapes:  tokens (sum of lengths,); offsets (rows + 1,); labels (rows,)
    """
    table = _map(path)
    column = table.column("tokens").chunk(0)
    return column.values.to_numpy(), column.offsets.to_numpy(), table.column("label").chunk(0).to_numpy()


def write_image_file(path: Path, *, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Images in raster order, top left first, and a label each.

    Shapes:  images (rows, height, width); labels (rows,)
    """
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1), pa.uint8()), images[0].size)
    _write(path, pa.record_batch({"pixels": pixels, "label": pa.array(labels, pa.uint8())}))


def read_image_file(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Map a file of write_image_file -> pixels, labels.

    Shapes:  pixels (rows, height * width); labels (rows,)
    """
    table = _map(path)
    column = table.column("pixels").chunk(0)
    return column.values.to_numpy().reshape(len(column), -1), table.column("label").chunk(0).to_numpy()


def write_pair_file(path: Path, *, pairs: NDArray[np.int32], labels: NDArray[np.uint8]) -> None:
    """Pairs of rows of another file, and a label each.

    Shapes:  pairs (rows, 2); labels (rows,)
    """
    column = pa.FixedSizeListArray.from_arrays(pa.array(pairs.reshape(-1), pa.int32()), 2)
    _write(path, pa.record_batch({"pair": column, "label": pa.array(labels, pa.uint8())}))


def read_pair_file(path: Path) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Map a file of write_pair_file -> pairs, labels.

    Shapes:  pairs (rows, 2); labels (rows,)
    """
    table = _map(path)
    return table.column("pair").chunk(0).values.to_numpy().reshape(-1, 2), table.column("label").chunk(0).to_numpy()


def _write(path: Path, batch: pa.RecordBatch) -> None:
    with (
        whole_file(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as file,
        pa.ipc.new_stream(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)


def _map(path: Path) -> pa.Table:
    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
