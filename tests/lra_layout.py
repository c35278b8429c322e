"""Small files in the Long Range Arena's own layout: three tasks on collected data, sixty rows each or fewer."""

from pathlib import Path

import numpy as np

SIZES = {"num_train": 40, "num_val": 10, "num_test": 20}
RECORD = 1 + 3 * 32 * 32


def write_lra(folder: Path) -> None:
    """Everything that image, text and retrieval look for below task.lra_dir, with some content in two splits."""
    write_cifar(folder / "cifar-10-batches-bin")
    write_imdb(folder / "aclImdb")
    write_aan(folder / "lra_release" / "tsv_data")


def write_cifar(folder: Path) -> None:
    """Five batches of ten pictures and one of twenty; two training pictures stand in the test batch as well."""
    folder.mkdir(parents=True)
    records = np.random.default_rng(0).integers(0, 256, (70, RECORD), dtype=np.uint8)
    records[:, 0] = np.arange(70) % 10
    records[[3, 33]] = records[[50, 51]]
    for i in range(5):
        records[10 * i : 10 * i + 10].tofile(folder / f"data_batch_{i + 1}.bin")
    records[50:].tofile(folder / "test_batch.bin")


def write_imdb(folder: Path) -> None:
    """25 reviews of each label to train, 10 to test; the first of each also stands in the test set."""
    for split, count in {"train": 25, "test": 10}.items():
        for label in ("neg", "pos"):
            (folder / split / label).mkdir(parents=True)
            for i in range(count):
                text = f"{label} ü {i}" if i == 0 else f"{split} {label} {i} " + "word " * (i % 12)
                (folder / split / label / f"{i}_7.txt").write_text(text, encoding="utf-8")


def write_aan(folder: Path) -> None:
    """Pairs among few papers; the first pair of a split stands in the next one as well, that of train turned round."""
    folder.mkdir(parents=True)
    papers = [f"paper {i} " + "says so " * (i % 9) for i in range(60)]
    for offset, (split, count) in enumerate({"train": 40, "eval": 10, "test": 20}.items()):
        lines = [f"{i % 2}.0\tP{i}\tQ{i}\t{papers[i]}\t{papers[(i + offset + 1) % 60]}" for i in range(count)]
        first, second = (50, 5) if split == "train" else (5, 50)
        lines[0] = f"1.0\tP\tQ\t{papers[first]}\t{papers[second]}"
        (folder / f"new_aan_pairs.{split}.tsv").write_text("\n".join(lines) + "\n")
