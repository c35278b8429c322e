"""The page in a real browser: no complaint, every figure drawn, sorting and filtering at work, by keyboard as well."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import HOW_TO_GET_IT, Browser, find_browser

from lra_mru.report import write_leaderboard
from lra_mru.report.page.markdown import inline, to_html

WriteRecord = Callable[..., Path]
SHIPPED = Path(__file__).parents[2] / "results" / "index.html"
MAX_BYTES = 1_500_000
NUM_FIGURES = "document.querySelectorAll('figure').length"
UNDRAWN = """[...document.querySelectorAll('section.task:not([hidden]) figure')]
    .filter((figure) => !figure.querySelector('svg .mark path[d]') || /NaN|undefined/.test(figure.innerHTML))
    .map((figure) => figure.textContent)"""
FIRST_TABLE = "document.querySelector('section.task table')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip(HOW_TO_GET_IT)
    found = Browser(program, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def small_page(results: Path, write_record: WriteRecord) -> Path:
    """Three models, one of them nobody's but one's own; a task with further lengths, 0 among them, and one without."""
    curve = [[100, 0.2], [200, 0.5], [300, 0.9]]
    for seed in (10, 11):
        for number, model in enumerate(["bmru", "lru", "my_model"]):
            speed = {"train_tokens_per_s": 100.0 + 50 * number, "eval_tokens_per_s": 1.0, "step_ms": 1.0}
            lengths = {f"test/acc@{n}": 0.9 - 0.2 * number for n in (0, 2000)}
            sizes = {f"test/num_examples@{n}": 64 for n in (0, 2000)}
            common = {"model": model, "seed": seed, "curve": curve, "throughput": speed}
            write_record(task="delayed_mnist", variant="<b>, T = 200", metrics=lengths | sizes, **common)
            write_record(task="listops", variant="short", metrics={"test/acc": 0.3 + 0.1 * number}, **common)
    return write_leaderboard(results).with_name("index.html")


def column(browser: Browser, k: int) -> list[str]:
    """What stands in a column of the first section's table, as far as it is shown."""
    code = f"[...{FIRST_TABLE}.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[{k}].textContent)"
    return browser.evaluate(code)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
@pytest.mark.skipif(not SHIPPED.exists(), reason="no page was made yet: python -m lra_mru.report")
def test_the_shipped_page_draws_every_figure_without_a_complaint(browser: Browser, width: int, dark: bool) -> None:
    assert SHIPPED.stat().st_size < MAX_BYTES
    browser.look(width=width, dark=dark)
    browser.open(SHIPPED)
    assert browser.evaluate(NUM_FIGURES) > 10
    assert browser.evaluate(UNDRAWN) == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than the window"
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(json.loads(paper.replace("rgb(", "[").replace(")", "]"))) < 200) is dark
    assert browser.complaints == []


def test_a_column_is_sorted_by_click_and_by_key(browser: Browser, small_page: Path) -> None:
    browser.look(width=1280)
    browser.open(small_page)
    assert column(browser, 0) == ["bmru", "lru", "my_model"]
    head = f"{FIRST_TABLE}.tHead.rows[0].cells[0].querySelector('button')"
    browser.evaluate(f"{head}.click()")
    assert column(browser, 0) == ["bmru", "lru", "my_model"]
    browser.evaluate(f"{head}.focus()")
    browser.press("Enter")
    assert column(browser, 0) == ["my_model", "lru", "bmru"]
    browser.press("Tab")
    browser.press("Enter")  # the column beside it: numbers, the highest first
    assert column(browser, 1) == ["90.00 ± 0.00", "70.00 ± 0.00", "50.00 ± 0.00"]
    assert browser.evaluate(f"{FIRST_TABLE}.querySelector('[aria-sort]').cellIndex") == 1
    browser.press("Enter")
    assert column(browser, 1) == ["50.00 ± 0.00", "70.00 ± 0.00", "90.00 ± 0.00"]


def test_filters_hide_models_and_tasks_and_show_them_again(browser: Browser, small_page: Path) -> None:
    browser.look(width=1280)
    browser.open(small_page)
    shown = "[...document.querySelectorAll('section.task:not([hidden])')].map((s) => s.dataset.title.split(':')[0])"
    marks = "document.querySelectorAll('section.task:not([hidden]) .mark[data-model=lru]').length"
    heads = "[...document.querySelectorAll('main > .table thead th:not([hidden])')].map((head) => head.textContent)"
    assert browser.evaluate(marks) > 0
    browser.evaluate("document.querySelector('#models button[data-model=lru]').focus()")
    browser.press("Enter")
    assert column(browser, 0) == ["bmru", "my_model"]
    assert browser.evaluate(marks) == 0
    assert browser.evaluate(heads) == ["task", "bmru", "my_model"]
    browser.evaluate("document.getElementById('filter').focus()")
    for letter in "list":
        browser.press(letter)
    assert browser.evaluate(shown) == ["listops"]
    assert browser.evaluate("document.getElementById('count').textContent") == "1 of 2 tables"
    browser.evaluate("document.getElementById('filter').select()")
    browser.press("x")
    assert browser.evaluate(shown) == []
    browser.press("Escape")  # empties a search field
    assert browser.evaluate(shown) == ["delayed_mnist", "listops"]
    browser.evaluate("document.querySelector('#models button[data-model=lru]').click()")
    assert column(browser, 0) == ["bmru", "lru", "my_model"]
    assert browser.evaluate(UNDRAWN) == []


def test_arrow_keys_walk_from_mark_to_mark_and_tell_seed_config_and_record(browser: Browser, small_page: Path) -> None:
    browser.look(width=1280)
    browser.open(small_page)
    assert browser.evaluate("[...document.querySelectorAll('figcaption')].map((c) => c.textContent)")[:4] == [
        "Accuracy against sequence length",
        "Learning: validation accuracy during training",
        "Accuracy against training speed (cpu, 2 cores, 32-true)",
        "Accuracy against memory for training",
    ]
    browser.evaluate("document.querySelector('figure svg').focus()")
    browser.press("ArrowRight")
    tip = "document.getElementById('tip').innerText"
    link = "runs/delayed_mnist/bmru-1a2b3c4d/seed10.json"
    first = browser.evaluate(tip).split("\n")
    assert first == ["bmru, seed 10: 90.00 % at 0", "24,584 parameters, 800 steps", link]
    assert browser.evaluate("document.activeElement.getAttribute('href')") == link
    assert (small_page.parent / link).exists()
    browser.press("ArrowRight")
    assert browser.evaluate(tip).startswith("bmru, seed 11")
    browser.press("Escape")
    assert browser.evaluate("document.activeElement.tagName") == "svg"
    assert browser.evaluate("document.getElementById('tip').hidden") is True


def test_on_a_phone_the_first_tap_tells_and_the_second_opens_the_record(browser: Browser, small_page: Path) -> None:
    browser.look(width=390)
    browser.open(small_page)
    mark = "document.querySelectorAll('figure')[2].querySelector('.mark')"
    browser.tap(mark)
    browser.wait_for("document.activeElement.matches('.mark')")  # the browser takes a moment to call it a tap
    assert browser.evaluate("document.getElementById('tip').innerText").startswith("bmru: 90.00 ± 0.00 % at 100")
    assert browser.evaluate("location.pathname").endswith("index.html")
    browser.tap(mark)
    browser.wait_for("location.pathname.endsWith('runs/delayed_mnist/bmru-1a2b3c4d/')")


def test_the_same_records_give_the_same_page(small_page: Path) -> None:
    first = small_page.read_bytes()
    write_leaderboard(small_page.parent)
    assert small_page.read_bytes() == first
    assert b"Permission to use, copy, modify" in first  # the licence of D3 goes with it


def test_no_text_of_a_record_becomes_markup(results: Path, write_record: WriteRecord) -> None:
    write_record(variant="<script>alert(1)</script>, T = 300", pooling="</script><b>")
    page = write_leaderboard(results).with_name("index.html").read_text()
    assert "<script>alert" not in page
    assert "</script><b>" not in page


def test_markdown_of_the_leaderboard_becomes_html() -> None:
    assert inline("**a** `b_c` [d](e/f) *g* <h>") == (
        '<strong>a</strong> <code>b_c</code> <a href="e/f">d</a> <em>g</em> &lt;h&gt;'
    )
    html = to_html("# T\n\n- one\n  more\n- two\n\n## S: x\n\n| model | n |\n| --- | ---: |\n| [lru](p) | 1\\|2 |\n")
    assert "<ul><li>one\n  more</li><li>two</li></ul>" in html
    assert '<section class="task" data-title="S: x">' in html
    assert '<tr data-model="lru"><th scope="row"><a href="p">lru</a></th><td>1|2</td></tr>' in html
