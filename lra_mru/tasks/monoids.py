"""Small groups and monoids as tables: which element follows when a letter is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Permutation = tuple[int, ...]  # the image of each point


@dataclass(frozen=True, kw_only=True)
class Monoid:
    """table: (S, A) element that follows element s when letter a is read; element 0 is the start.

    identity: the letter that changes nothing, where it is drawn more often than the others; None where all letters are
              drawn equally often
    most_identities: longest run of it in a word; None without limit
    """

    table: NDArray[np.int64]
    identity: int | None
    most_identities: int | None


def group(table: NDArray[np.int64]) -> Monoid:
    """All letters are drawn equally often."""
    return Monoid(table=table, identity=None, most_identities=None)


def cyclic(n: int) -> Monoid:
    """Z_n: the letters 0 .. n - 1 are added modulo n."""
    return group(np.add.outer(np.arange(n), np.arange(n)) % n)


def generated_by(letters: Sequence[Permutation]) -> Monoid:
    """The permutation group that the letters generate, its elements in the order in which words reach them."""
    elements = {tuple(range(len(letters[0]))): 0}
    table = []
    for element in (todo := list(elements)):
        row = []
        for letter in letters:
            product = tuple(letter[point] for point in element)  # first the element, then the letter
            if product not in elements:
                elements[product] = len(elements)
                todo.append(product)
            row.append(elements[product])
        table.append(row)
    return group(np.array(table))


def cycles(num_points: int, *parts: Sequence[int]) -> Permutation:
    """The permutation of 0 .. num_points - 1 with these cycles: cycles(3, (0, 1)) swaps two points."""
    image = list(range(num_points))
    for part in parts:
        for point, following in zip(part, [*part[1:], part[0]], strict=True):
            image[point] = following
    return tuple(image)


def symmetric(n: int) -> Monoid:
    """S_n by its n - 1 adjacent transpositions."""
    return generated_by([cycles(n, (i, i + 1)) for i in range(n - 1)])


def alternating(n: int) -> Monoid:
    """A_n by its n - 2 adjacent 3-cycles."""
    return generated_by([cycles(n, (i, i + 1, i + 2)) for i in range(n - 2)])


def mathieu_11() -> Monoid:
    """M11 on 11 points, of 7,920 elements: two generators and their inverses; the first is its own inverse.

    Source: ATLAS of Group Representations, standard generators a = (2,10)(4,11)(5,7)(8,9), b = (1,4,3,8)(2,5,6,9)
    """
    a = cycles(11, (1, 9), (3, 10), (4, 6), (7, 8))
    b, b_inverse = (cycles(11, *parts) for parts in [((0, 3, 2, 7), (1, 4, 5, 8)), ((7, 2, 3, 0), (8, 5, 4, 1))])
    return generated_by([a, a, b, b_inverse])


def flip_flop(most_identities: int | None = None) -> Monoid:
    """Identity, reset, set: elements nothing written yet, reset, set."""
    table = np.array([[0, 1, 2], [1, 1, 2], [2, 1, 2]])
    return Monoid(table=table, identity=0, most_identities=most_identities)


MONOIDS: dict[str, Callable[[], Monoid]] = {
    "z2": lambda: cyclic(2),
    "z16": lambda: cyclic(16),
    "s3": lambda: symmetric(3),
    "s4": lambda: symmetric(4),
    "a5": lambda: alternating(5),
    "m11": mathieu_11,
    "ff": flip_flop,
    "dff5": lambda: flip_flop(most_identities=4),
}


@cache
def monoid(name: str) -> Monoid:
    """Raises ValueError for a name that is not in MONOIDS."""
    if name not in MONOIDS:
        raise ValueError(f"monoid={name!r} must be one of {', '.join(MONOIDS)}")
    return MONOIDS[name]()
