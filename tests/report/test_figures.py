"""Figures exist, carry ink in the right colours, and their labels can be read."""

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lra_mru.report import write_leaderboard
from lra_mru.report.figures.accuracy import draw, make_figure
from lra_mru.report.load import load_records
from lra_mru.report.order import look_of
from lra_mru.report.sections import Section, make_sections

WriteRecord = Callable[..., Path]
MODELS = ["bmru", "bmru_carry", "hybrid", "lru", "mamba", "transformer"]


@pytest.fixture
def lengths_section(results: Path, write_record: WriteRecord) -> Section:
    """Six models with equal results, so that their labels want the same place; one stops early."""
    for model in MODELS:
        for seed in range(2):
            metrics = {"test/acc": 1.0, "test/acc@3000": 0.125, "test/num_examples@3000": 256}
            further = {"test/acc@300000": 0.125, "test/num_examples@300000": 32}
            skipped = {"test/acc@300000": "too long"} if model == "transformer" else {}
            write_record(model=model, seed=seed, metrics=metrics | ({} if skipped else further), skipped=skipped)
    return make_sections(load_records(results))[0]


@pytest.fixture
def floors_section(results: Path, write_record: WriteRecord) -> Section:
    floors = {"chance": 0.10, "constant_guess": 0.12, "root_operator": 0.36, "root_operator_and_its_own_digits": 0.98}
    for index, model in enumerate(MODELS):
        for seed in range(2):
            write_record(task="listops", model=model, seed=seed, metrics={"test/acc": index / 6}, floors=floors)
    return make_sections(load_records(results))[0]


def pixels(png: bytes) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


@pytest.mark.parametrize("fixture", ["lengths_section", "floors_section"])
def test_every_model_leaves_ink_in_its_colour(request: pytest.FixtureRequest, fixture: str) -> None:
    image = pixels(draw(request.getfixturevalue(fixture)))
    for colour in {look_of(model).colour for model in MODELS}:
        close = np.abs(image - np.array(to_rgb(colour))).max(axis=-1) < 0.02
        assert close.sum() > 20, f"{colour} cannot be seen"


@pytest.mark.parametrize("fixture", ["lengths_section", "floors_section"])
def test_labels_stay_on_the_page_and_apart(request: pytest.FixtureRequest, fixture: str) -> None:
    figure = make_figure(request.getfixturevalue(fixture))
    figure.canvas.draw()
    page, renderer = figure.bbox, figure.canvas.get_renderer()  # type: ignore[attr-defined]
    (axes,) = figure.axes
    texts = [*figure.texts, *axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in texts if text.get_text()}
    for name, box in boxes.items():
        assert page.contains(box.x0, box.y0), f"{name!r} runs off the page"
        assert page.contains(box.x1, box.y1), f"{name!r} runs off the page"
    upright = [text.get_text() for text in texts if text.get_text() and text.get_rotation() == 0]
    for one, other in combinations(upright, 2):
        assert not boxes[one].overlaps(boxes[other]), f"{one!r} and {other!r} overlap"


def test_the_trained_length_and_the_floor_are_drawn_where_they_belong(lengths_section: Section) -> None:
    (axes,) = make_figure(lengths_section).axes
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    assert ([300, 300], [0, 1]) in lines
    assert ([0, 1], [12.5, 12.5]) in lines
    assert axes.get_xscale() == "log"


def test_a_row_ends_where_it_was_not_evaluated(lengths_section: Section) -> None:
    (axes,) = make_figure(lengths_section).axes
    curves = {line.get_color(): list(line.get_ydata()) for line in axes.lines if line.get_linewidth() == 1.6}
    assert curves[look_of("transformer").colour] == [100.0, 12.5]
    assert curves[look_of("lru").colour] == [100.0, 12.5, 12.5]


def test_intervals_are_drawn_whole_beside_the_floors(results: Path, write_record: WriteRecord) -> None:
    for seed, accuracy in enumerate([0.2, 0.24]):  # 22 ± 25 %: from below 0 to 47
        write_record(task="listops", seed=seed, metrics={"test/acc": accuracy})
    (section,) = make_sections(load_records(results))
    (axes,) = make_figure(section).axes
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] >= 47.4


def test_the_page_links_a_figure_that_is_there(results: Path, lengths_section: Section) -> None:
    page = write_leaderboard(results)
    figure = results / "figures" / "copy_first_symbols-t-300_quick.png"
    assert f"(figures/{figure.name})" in page.read_text()
    first = figure.read_bytes()
    assert (pixels(first) < 0.99).mean() > 0.01
    write_leaderboard(results)
    assert figure.read_bytes() == first


def test_variants_of_like_names_have_figures_of_their_own(results: Path, write_record: WriteRecord) -> None:
    write_record(config_hash="00000001", variant="symbols, T = 300")
    write_record(config_hash="00000002", variant="symbols; T = 300")
    page = write_leaderboard(results).read_text()
    for name in ("copy_first_symbols-t-300_quick.png", "copy_first_symbols-t-300_quick-2.png"):
        assert page.count(f"(figures/{name})") == 1
        assert (results / "figures" / name).exists()
