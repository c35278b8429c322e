"""The rules of the house that a glance at the tree can check."""

import ast
import re
import tomllib

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf
from support import MODELS, ROOT, TASKS

PYTHON = [p for folder in ("lra_mru", "data_prep", "tests") for p in (ROOT / folder).rglob("*.py")]


def test_every_file_with_tests_has_a_name_that_is_collected():
    helpers = [p for p in (ROOT / "tests").rglob("*.py") if not p.name.startswith("test_")]
    assert {"conftest.py", "support.py"} <= {p.name for p in helpers}
    assert not [p for p in helpers if re.search(r"^def test_|^class Test", p.read_text(), re.MULTILINE)]


def test_every_test_function_is_collected():
    for path in (ROOT / "tests").rglob("test_*.py"):
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), f"{path}: two functions of one name, of which pytest sees the last"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_named_after_its_file(name):
    cfg = OmegaConf.load(ROOT / "conf/task" / f"{name}.yaml")
    assert get_class(cfg._target_).name == name


@pytest.mark.parametrize("name", MODELS)
def test_a_mixer_stands_in_the_file_that_its_config_names(name):
    text = (ROOT / "conf/model" / f"{name}.yaml").read_text()
    for module in re.findall(r"_target_: (lra_mru\.mixers\.\w+)\.", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def has_defaults(node: ast.AST) -> bool:
    """Whether it is a constructor, written out or a dataclass's, that gives a default or takes any keyword."""
    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
        return bool(node.args.kwarg or node.args.defaults or any(node.args.kw_defaults))
    if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        fields = [x for x in node.body if isinstance(x, ast.AnnAssign) and x.value]
        taken = [x for x in fields if not ast.unparse(x.annotation).startswith("ClassVar")]
        return not all(ast.unparse(x.value).startswith("field(init=False") for x in taken)
    return False


def test_constructors_of_models_and_tasks_take_keywords_without_defaults():
    for path in [
        *(ROOT / "lra_mru/mixers").glob("*.py"),
        *(ROOT / "lra_mru/tasks").glob("*.py"),
        ROOT / "lra_mru/model/sequence_model.py",
    ]:
        found = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if has_defaults(node)]
        assert not found, f"{path}, lines {found}: a number without a home in yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@dataclass(kw_only=True)\nclass Foo(Task):\n    T: int = 300", True),
        ("@dataclass\nclass Foo(Task):\n    T: int = field(default=300)", True),
        (
            "@dataclass\nclass Foo(Task):\n    T: int\n    x: int = field(init=False, default=0)\n    name = 'foo'",
            False,
        ),
        ("def __init__(self, T=300): pass", True),
        ("def __init__(self, *, T=300): pass", True),
        ("def __init__(self, **settings): pass", True),
        ("def __init__(self, *, T): pass", False),
    ],
)
def test_a_default_is_seen(text, expected):
    assert has_defaults(ast.parse(text).body[0]) == expected


def test_every_mixer_is_told_to_lean_on_no_other():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (told,) = [c["modules"] for c in contracts if c["name"].startswith("Mixers do not lean on each other")]
    shared = {"__init__", "base", "bidirectional", "parallel"}
    assert {m.rpartition(".")[2] for m in told} == {p.stem for p in (ROOT / "lra_mru/mixers").glob("*.py")} - shared


def test_files_stay_readable():
    long = {str(p.relative_to(ROOT)): n for p in PYTHON if (n := len(p.read_text().splitlines())) > 300}
    assert not long


def test_links_of_the_pages_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} points to {target}"


def test_no_floor_has_too_many_rooms():
    """Folders of tasks and tests apart, which grow with what there is to learn."""
    for folder in {p.parent for p in PYTHON if p.parts[len(ROOT.parts)] != "tests" and p.parent.name != "tasks"}:
        files = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
        assert len(files) <= 12, f"{folder.relative_to(ROOT)}: {len(files)} Python files on one floor"


def test_no_committed_record_names_a_folder_of_one_machine():
    for path in (ROOT / "results").rglob("*.json"):
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text())
        assert not [text for text in texts if re.search(r"(^|[\s='])(/|~|[A-Z]:\\)\w", text)], path
