"""ListOps as text: the official files, a tree written as nested pairs.

[MAX 3 4 ]   is   ( ( ( [MAX 3 ) 4 ) ] )      one pair of parentheses per argument, and one for the bracket
"""

from collections.abc import Iterable
from pathlib import Path

from data_prep.listops_generate import CLOSE, MIN, TOKENS

HEADER = "Source\tTarget\r\n"


def to_text(tokens: Iterable[int]) -> str:
    """Token ids of one tree -> its official text."""
    pieces: list[str] = []
    opened: list[int] = []  # where in pieces the lists still open begin
    num_args: list[int] = []  # arguments they have so far
    for token in tokens:
        if MIN <= token < CLOSE:
            opened.append(len(pieces))
            num_args.append(0)
            pieces.append(TOKENS[token])
            continue
        if token == CLOSE:
            start = opened.pop()
            pieces[start] = "( " * (num_args.pop() + 1) + pieces[start]
            pieces.append("] )")
        else:
            pieces.append(TOKENS[token])
        if opened:
            num_args[-1] += 1
            pieces.append(")")
    return " ".join(pieces)


def write_tsv(path: Path, rows: Iterable[tuple[list[int], int]]) -> None:
    """Write (token ids, label) rows as the official program does: tab between columns, CRLF at line ends."""
    with path.open("w", encoding="ascii", newline="") as file:
        file.write(HEADER)
        file.writelines(f"{to_text(tokens)}\t{label}\r\n" for tokens, label in rows)
