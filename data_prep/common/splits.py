"""The splits of data that are generated, and the start of the hash of a row's content by which they are dealt out."""

import numpy as np

SPLITS = ["train", "val", "test"]
TRAIN, VAL, TEST = 0, 1, 2  # their places
FNV_OFFSET, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a, 64 bits
