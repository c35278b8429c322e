"""The leaderboard's Markdown as HTML: headings, tables, lists, details, links, and a place for each figure.

Only what the tables of this package write is understood, so that page and leaderboard.md say the same.
"""

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby

from lra_mru.report.sections import anchor

FIGURE = re.compile(r"!\[(.*)\]\(figures/(.*)\.png\)")
SPREAD = re.compile(r"^(<strong>[\d.]+|[\d.]+) ([^<]+)")  # in the overview, what follows a mean stands under it
INLINE = [
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\[([^]]*)\]\(([^)]*)\)"), r'<a href="\2">\1</a>'),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)"), r"<em>\1</em>"),
]


def to_html(markdown: str) -> str:
    """The body of the page; each `##` begins a section that the filter can hide."""
    first, *others = re.split(r"^(?=## )", markdown, flags=re.MULTILINE)
    return "\n".join([_blocks(first), *map(_section, others)])


def inline(text: str) -> str:
    """Code, links, bold and italic of one line."""
    html = escape(text, quote=False).replace("\\|", "|")
    for pattern, replacement in INLINE:
        html = pattern.sub(replacement, html)
    return html


def _section(text: str) -> str:
    title = text.partition("\n")[0].removeprefix("## ")
    return f'<section class="task" data-title="{escape(title)}">\n{_blocks(text)}\n</section>'


def _blocks(text: str) -> str:
    return "\n".join(_block(list(lines)) for kind, lines in groupby(text.splitlines(), key=_kind) if kind != "blank")


def _kind(line: str) -> str:
    """Lines of one kind that follow each other are one block; a wrapped item of a list belongs to the list."""
    if not line.strip():
        return "blank"
    starts = {"| ": "table", "- ": "list", "  ": "list", "#": "heading", "!": "figure", "<": "html"}
    return next((kind for start, kind in starts.items() if line.startswith(start)), "text")


def _block(lines: list[str]) -> str:
    kind, text = _kind(lines[0]), " ".join(line.strip() for line in lines)
    if kind == "table":
        return _table([line[2:-2].split(" | ") for line in lines])
    if kind == "list":
        items = re.split(r"^- ", "\n".join(lines), flags=re.MULTILINE)[1:]
        return f"<ul>{''.join(f'<li>{inline(item.strip())}</li>' for item in items)}</ul>"
    if kind == "heading":
        return "\n".join(map(_heading, lines))
    if kind == "figure":
        return "\n".join(map(_figure, lines))
    return "\n".join(lines) if kind == "html" else f"<p>{inline(text)}</p>"


def _heading(line: str) -> str:
    marks, _, title = line.partition(" ")
    tag = f"h{len(marks)}"
    name = f' id="{anchor(title)}"' if tag == "h2" else ""
    return f"<{tag}{name}>{inline(title)}</{tag}>"


def _figure(line: str) -> str:
    """An empty place; the page's script draws all figures of this name into it."""
    match = FIGURE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} must be ![title](figures/name.png)")
    return f'<div class="figures" data-name="{escape(match[2])}" data-title="{escape(match[1])}"></div>'


def _table(rows: list[list[str]]) -> str:
    head, _, *body = rows
    return "\n".join(
        [
            '<div class="table" tabindex="0" role="region" aria-label="table"><table><thead><tr>',
            *(f'<th scope="col"{_model_of_column(head, k)}>{inline(cell)}</th>' for k, cell in enumerate(head)),
            "</tr></thead><tbody>",
            *(f"<tr{_model_of_row(head, row)}>{''.join(_cells(head, row))}</tr>" for row in body),
            "</tbody></table></div>",
        ]
    )


def _under_the_mean(found: re.Match[str]) -> str:
    return f"{found[1]}<small>{found[2].replace(', ', ',<br>')}</small>"


def _cells(head: list[str], row: list[str]) -> Iterator[str]:
    for k, cell in enumerate(row):
        html = inline(cell)
        if head[0] == "task":
            html = SPREAD.sub(
                lambda found: f"{found[1]}<small>{found[2].replace(', ', ',<br>')}</small>", html, count=1
            )
        yield f"<td{_model_of_column(head, k)}>{html}</td>" if k else f'<th scope="row">{html}</th>'


def _model_of_row(head: list[str], row: list[str]) -> str:
    """Rows of one model are hidden together; published ones are not ours, and stay."""
    name = re.sub(r"\[([^]]*)\].*", r"\1", row[0])
    return f' data-model="{escape(name.split(" ")[0])}"' if head[0] == "model" and "source" not in head else ""


def _model_of_column(head: list[str], column: int) -> str:
    """In the overview each model has a column."""
    return f' data-model="{escape(head[column])}"' if head[0] == "task" and column else ""
