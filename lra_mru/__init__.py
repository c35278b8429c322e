"""A Long Range Arena suite for memory. From Python: make_model and make_mixer; from a shell: lra-train --help."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lra_mru.make import make_mixer, make_model

__all__ = ["make_mixer", "make_model"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lra_mru' has no attribute {name!r}")
    from lra_mru import make  # imports torch, which the report and the data programs do without

    return getattr(make, name)
