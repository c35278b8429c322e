"""Sizes that no memory holds, refused by name before anything is made."""

MOST_AT_ONCE = 2**34  # steps of a training batch: 128 GB of tokens


def check_batch(T: int, batch_size: int) -> None:
    """Raises: ValueError for a training batch of more steps than any memory holds"""
    if T * batch_size > MOST_AT_ONCE:
        raise ValueError(
            f"T={T} with batch_size={batch_size}: no memory holds such a training batch; together at most "
            f"{MOST_AT_ONCE:,} steps"
        )
