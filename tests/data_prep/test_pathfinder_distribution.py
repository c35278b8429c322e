"""The official distribution, against 1,000 images of the official program at 32 x 32, contour 14 (hard)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import label
from scipy.stats import chi2_contingency
from torch import nn

from data_prep.pathfinder.make import Images, PathfinderParameters, make_images
from data_prep.pathfinder.tables import tables

OFFICIAL = json.loads(Path(__file__).with_name("pathfinder_official_stats.json").read_text())
NUM_OFFICIAL, NUM_IMAGES = OFFICIAL["n"], 5_000
FAR = 3.9  # standard errors: p = 0.0001


def hard(**changes: int | bool) -> PathfinderParameters:
    setting = {
        "train": 10,
        "val": 0,
        "test": 0,
        "seed": 1,
        "size": 32,
        "contour": 14,
        "clean": False,
        "format": "arrow",
    }
    return PathfinderParameters(**(setting | changes))


@pytest.fixture(scope="module")
def ours() -> Images:
    return make_images(hard(), "train", 0, NUM_IMAGES)


def standard_errors(per_image: np.ndarray, official_mean: np.ndarray | float) -> np.ndarray:
    """How far our mean lies from the official one, whose images vary as ours do: (images, ...) -> (...)."""
    error = per_image.std(0) * np.sqrt(1 / NUM_OFFICIAL + 1 / NUM_IMAGES)
    return np.abs(per_image.mean(0) - official_mean) / error


def test_pixels(ours: Images) -> None:
    flat = ours.images.reshape(NUM_IMAGES, -1)
    assert (flat.max(1) == 255).all()
    assert (flat.min(1) == 0).all()
    assert standard_errors(flat.mean(1) / 255, OFFICIAL["mean_pixel_0_1"]) < FAR
    assert standard_errors((flat > 0).mean(1), OFFICIAL["nonzero_fraction"]) < FAR
    assert (flat.mean(1) / 255).std() == pytest.approx(OFFICIAL["per_image_mean_std"], rel=0.08)
    assert (flat > 0).mean(1).std() == pytest.approx(OFFICIAL["nonzero_fraction_std"], rel=0.08)
    for grey, share in OFFICIAL["fraction_above"].items():
        assert standard_errors((flat > int(grey)).mean(1), share) < FAR, grey
    levels = np.array([len(np.unique(image)) for image in flat[:2000]])
    assert levels.mean() == pytest.approx(OFFICIAL["distinct_levels_per_image"], rel=0.03)  # halves round otherwise


def test_grey_histogram(ours: Images) -> None:
    bins = ours.images.reshape(NUM_IMAGES, -1) // 16
    shares = np.stack([(bins == grey).mean(1) for grey in range(16)], 1)
    assert (standard_errors(shares, np.array(OFFICIAL["grey_histogram_16bins"])) < FAR).all()


def test_rows_at_the_border(ours: Images) -> None:
    rows = ours.images[:, :4].mean(2) / 255
    assert (standard_errors(rows[:, :2], np.array(OFFICIAL["border_row_mean"][:2])) < FAR).all()


@pytest.mark.parametrize("grey", ["32", "64", "96"])
def test_blobs(ours: Images, grey: str) -> None:
    """8-connected pieces brighter than grey."""
    pieces = np.array([label(image > int(grey), np.ones((3, 3)))[1] for image in ours.images])
    assert standard_errors(pieces, OFFICIAL["connected_components_8conn"][grey]["mean"]) < FAR
    assert pieces.std() == pytest.approx(OFFICIAL["connected_components_8conn"][grey]["std"], rel=0.08)


def test_distractors(ours: Images) -> None:
    official = np.array(OFFICIAL["paddles"]["distractor_snakes_drawn_hist_n900"])
    counts = np.bincount(ours.distractors, minlength=6)
    table = np.stack([counts, official])
    assert chi2_contingency(np.c_[table[:, :4], table[:, 4:].sum(1)]).pvalue > 0.0001


def test_labels_are_even_and_change_nothing_that_one_pixel_can_tell(ours: Images) -> None:
    positive = ours.labels == 1
    assert abs(positive.mean() - 0.5) < FAR * 0.5 / np.sqrt(NUM_IMAGES)
    for statistic in (ours.images.mean((1, 2)), (ours.images > 0).mean((1, 2)), (ours.images > 200).mean((1, 2))):
        error = statistic.std() * 2 / np.sqrt(NUM_IMAGES)
        assert abs(statistic[positive].mean() - statistic[~positive].mean()) < FAR * error
    assert ours.labels.sum() == positive.sum()


def test_a_linear_classifier_on_pixels_stays_at_chance(ours: Images) -> None:
    train = make_images(hard(seed=2), "train", 0, 10_000)

    def features(images: np.ndarray) -> np.ndarray:
        return np.c_[images.reshape(len(images), -1) / 255, np.ones(len(images))]

    x, y = features(train.images), train.labels * 2.0 - 1
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ y)
    accuracy = ((features(ours.images) @ weights > 0) == ours.labels).mean()
    assert abs(accuracy - 0.5) < 0.02


def test_starts_are_those_of_the_official_program() -> None:
    """Its accidents included: 30 of 360 orientations at 32, 95 at 64; first tips in 9 pixels."""
    (table,) = tables(32, clean=False)
    low, high = OFFICIAL["geometry"]["first_seed_orientation_degrees"]
    assert (table.starts.usable - 180).tolist() == list(range(low, high + 1))
    tips = OFFICIAL["geometry"]["first_seed_tip_rows_cols"]
    usable = table.starts.usable
    assert table.starts.corner[usable].min() == tips[0]
    assert (table.starts.corner + table.starts.extent)[usable].max() == tips[-1] + 1
    assert len(table.walk.step) == 18
    assert len(tables(64, clean=False)[0].starts.usable) == 95
    assert all(len(t.starts.usable) >= 354 for size in (128, 256) for t in tables(size, clean=False))


def test_clean_mends_starts_distractors_and_brightness() -> None:
    (table,) = tables(32, clean=True)
    assert table.starts.may_start.all()
    clean = make_images(hard(clean=True), "train", 0, 200)
    assert (clean.distractors == 5).all()
    assert len(table.starts.usable) > 180


def test_a_tiny_network_learns_the_small_variant() -> None:
    drawn = make_images(hard(size=16, contour=2, clean=True), "train", 0, 40_400)
    images, labels = torch.from_numpy(drawn.images).float().div(255)[:, None], torch.from_numpy(drawn.labels).long()
    torch.manual_seed(0)

    def convolution(d_input: int, d_output: int) -> list[nn.Module]:
        return [nn.Conv2d(d_input, d_output, 3, padding=1), nn.BatchNorm2d(d_output), nn.ReLU()]

    network = nn.Sequential(
        *convolution(1, 32), *convolution(32, 32), nn.MaxPool2d(2),
        *convolution(32, 64), *convolution(64, 64), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 16, 2),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for rows in torch.arange(38_400).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        right = (network(images[38_400:]).argmax(1) == labels[38_400:]).float().mean()
    assert right > 0.7  # 82 to 87 % at three seeds
