"""CITATION.cff is read by GitHub and by reference managers: it says what pyproject.toml says."""

import tomllib

import yaml
from support import ROOT


def test_it_agrees_with_pyproject_and_cites_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= cited.keys()  # the first three are required of every such file
    assert (cited["title"], cited["version"], cited["license"]) == tuple(
        project[k] for k in ("name", "version", "license")
    )
    assert cited["abstract"] == project["description"]
    assert cited["authors"] == [{"name": "The lra-mru authors"}]
    (paper,) = cited["references"]
    assert paper["url"] == "https://arxiv.org/abs/2601.09495"
    assert {"type", "title", "authors"} <= paper.keys()
