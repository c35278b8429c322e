"""From a config node to an object; what the node says wrongly is told by the config's own names."""

import inspect
import logging
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, get_object, instantiate
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from lra_mru.engine.errors import ConfigError, one_line, shown

logging.getLogger("hydra.utils").addHandler(logging.NullHandler())  # it prints what it then raises
KINDS = {  # by name: a model is made without Lightning, which takes seconds to import
    "task": "lra_mru.tasks.base.SequenceTask",
    "model": "lra_mru.model.SequenceModel",
    "trainer": "pytorch_lightning.Trainer",
}
# What a constructor raises for values that it cannot take, a size beyond all memory among them.
REFUSALS = (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError, RuntimeError)


def build(node: DictConfig, where: str, **more: Any) -> Any:
    """instantiate(node, **more), after a check of every plain value against the annotations of the constructor.

    Raises: ConfigError in one line for a value of the wrong type, one that the constructor refuses, or a _target_ that
            makes no task, model or trainer where one is needed
    """
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(f"{where}={shown(node)} says nothing to build: choose one with {where}=<name>")
    check_types(node, where)
    try:
        made = instantiate(node, _convert_="object", **more)  # no OmegaConf container reaches the objects
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, REFUSALS) or (cause is not None and _raised_elsewhere(cause)):
            raise ConfigError(f"{where}: {one_line(cause)}") from error
        if cause is None or isinstance(cause, OmegaConfBaseException):  # no such class, or a key that is missing
            raise ConfigError(f"{where}: {one_line(error)}") from error
        raise
    if where in KINDS and not isinstance(made, kind := get_class(KINDS[where])):
        needed = kind.__name__
        raise ConfigError(f"{where}._target_={node['_target_']} makes a {type(made).__name__}: it must be a {needed}")
    return made


def _raised_elsewhere(error: BaseException) -> bool:
    """Whether a library's code raised it, of a value that it did not expect: no defect of ours, whatever its type."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return not name.startswith(("lra_mru", "data_prep"))


def check_types(node: DictConfig, where: str, function: Callable[..., Any] | None = None) -> None:
    """Compares the plain values of node with the annotations of function, or of the _target_ that node names.

    Nodes below node are compared in the same way.
    Raises: ConfigError in one line for a value of the wrong type, or a _target_ that does not exist
    """
    if "_target_" in node:
        try:
            target = get_object(node["_target_"])
        except Exception as error:  # whatever the import of a module that the user names may raise
            raise ConfigError(f"{where}._target_={node['_target_']} cannot be imported: {one_line(error)}") from error
        function = target.__init__ if inspect.isclass(target) else target
    annotations = annotations_of(function) if function else {}
    for key, value in node.items():
        name = f"{where}.{key!s}"
        if key in annotations and not fits(value, annotations[key]):
            raise ConfigError(f"{name}={shown(value)} must be of type {described(annotations[key])}")
        if isinstance(value, DictConfig):
            check_types(value, name)


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of function, less those that name what its module imports for type checkers alone."""
    found: dict[str, Any] = {}
    for name, annotation in inspect.get_annotations(function).items():
        probe = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            found |= typing.get_type_hints(probe, globalns=getattr(function, "__globals__", {}))
        except NameError:
            continue
    return found


def fits(value: Any, annotation: Any) -> bool:
    """Whether value may stand where annotation is; what is neither a plain type nor a container of them passes."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, option) for option in inner)
    if origin is typing.Literal:
        return any(type(value) is type(option) and value == option for option in inner)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation in (int, str, bool, type(None)):
        return type(value) is annotation
    if annotation is Path:
        return isinstance(value, str | Path)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return isinstance(value, DictConfig | dict)
    if inspect.isclass(origin) and issubclass(origin, Sequence) and origin is not tuple:
        return isinstance(value, ListConfig | list) and all(fits(item, inner[0]) for item in value if inner)
    return True


def described(annotation: Any) -> str:
    """The annotation as the text of an error: "int or null", "list of int"."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(described(option) for option in inner)
    if origin is typing.Literal:
        return " or ".join(map(str, inner))
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "mapping"
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return f"list of {described(inner[0])}" if inner else "list"
    return "null" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))
