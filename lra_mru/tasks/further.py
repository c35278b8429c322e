"""The further sets of a task: the same question at other lengths, each with a number of rows of its own."""

from collections.abc import Sequence

from data_prep.common.checks import MOST_ROWS, check_int


def further_sets(
    kind: str, lengths: Sequence[int], examples: Sequence[int], *, minimum: int
) -> dict[str, tuple[int, int]]:
    """The settings `<kind>_lengths` and `<kind>_examples` -> {"@3000": (3000, its rows), ...}.

    minimum: the shortest length that the task can have
    Raises:  ValueError for lists of different length, a length given twice, or a number out of its range
    """
    if not len(set(lengths)) == len(lengths) == len(examples):
        raise ValueError(
            f"{kind}_lengths={list(lengths)}, {kind}_examples={list(examples)}: give each length once, and one number "
            "of examples for each"
        )
    for length, rows in zip(lengths, examples, strict=True):
        check_int(f"{kind}_lengths", length, minimum=minimum)
        check_int(f"{kind}_examples", rows, minimum=1, maximum=MOST_ROWS)
    return {f"@{length}": (length, rows) for length, rows in zip(lengths, examples, strict=True)}
