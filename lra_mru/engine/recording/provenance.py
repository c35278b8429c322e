"""What made a record: the code, as git names it, and the libraries."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lra_mru.places import PACKAGE

PACKAGES = (
    "lra-mru",
    "torch",
    "triton",
    "numba",
    "numpy",
    "pytorch-lightning",
    "torchmetrics",
    "datasets",
    "hydra-core",
)


def code_version() -> dict[str, Any] | None:
    """Commit of the source tree, and whether its code differs from it; None outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PACKAGE.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != PACKAGE.parent.resolve():
            return None  # an installed package, inside a repository of somebody's own
        dirty = git(
            "status", "--porcelain", "--", ":(top)", ":(top,exclude)results"
        )  # new records are no change of code
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(dirty)}
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def library_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # triton has no build for some platforms
            continue
    return versions
