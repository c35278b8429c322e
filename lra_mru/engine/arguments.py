"""Mistakes in key=value arguments, each explained in one line with what to type instead."""

import argparse
import difflib
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf

from lra_mru.engine.errors import ConfigError, one_line
from lra_mru.places import CONF

MAX_SEED = 2**63 - 1  # of 64 bits with a sign


class Parser(argparse.ArgumentParser):
    """argparse for the programs beside train.py. Raises: ConfigError for a mistake, one line as everywhere here"""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; {self.prog} --help says what there is")


def explain(error: Exception, arguments: Sequence[str] = ()) -> str:
    """The error in one line, with the nearest valid names where a name was wrong.

    arguments: what was typed, for errors of Hydra that do not say which argument they are about
    """
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = str(error.missing_cfg_file).partition("/")
        return f"{group}={name}: there is no such {group}{nearest(name, error.options)}"
    text = " ".join(str(error).split())
    if isinstance(error, OverrideParseException):
        return f"cannot read the argument {error.override!r}; {mend(error.override)}"
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{found[1]}: several values need -m; {mend(found[1])}"
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"Could not override '([^']+)'", text)):
        key, known = found[1], all_keys()
        if key in known:
            group = key.partition(".")[0]
            return f"{key}: the chosen {group} has no such key, another {group} has"
        return f"{key}: there is no such key{nearest(key, known)}"
    if isinstance(error, ConfigCompositionException) and error.__cause__ and text.startswith("Error merging"):
        return f"{text.removeprefix('Error merging override ')}: {one_line(error.__cause__).partition(' full_key')[0]}"
    if "Config group override must be" in text:
        for argument in arguments:
            group, _, value = argument.lstrip("+").partition("=")
            if group in groups() and value in ("", "null"):
                return f"{argument}: a choice needs a name{nearest('', names_in(group))}"
            if not group:
                return f"{argument}: {mend(argument)}"
    if isinstance(error, OSError) and error.filename:  # before the job began: the folders that Hydra makes
        return f"{error.filename}: {error.strerror}; give another folder (hydra.run.dir, hydra.sweep.dir)"
    return text


def check_jobs(jobs: int) -> None:
    """Raises: ConfigError for no job at a time, or more than the machine can carry"""
    most = 4 * (os.cpu_count() or 1)  # a core can feed several runs that wait for a GPU
    if not 1 <= jobs <= most:
        raise ConfigError(f"--jobs={jobs} must be from 1 to {most}, four for each core of this machine")


def mend(argument: str) -> str:
    """What to type instead of an argument that Hydra cannot read: the value in quotes for Hydra, all in the shell's."""
    key, found, value = argument.partition("=")
    if value.startswith(("[", "{")):
        return f"a list is written {shlex.quote(f'{key}=[a,b]')}, and every bracket and quote is closed"
    if found and key and not re.search(r"\s", key):
        better = f"{key}={quoted(value)}"
        try:
            if OverridesParser.create().parse_override(better).value() == value:
                return f"Hydra reads more than text in this value; to give it as it stands, write {shlex.quote(better)}"
        except HydraException:
            pass
    return "write key=value, like model=bmru task=listops"


def as_value(text: str) -> str:
    """text as it stands after key=, quoted where Hydra would read more than text in it."""
    try:
        if OverridesParser.create().parse_override(f"key={text}").value() == text:
            return text
    except HydraException:
        pass
    return quoted(text)


def quoted(value: str) -> str:
    """value as Hydra reads it as plain text, whatever is in it."""
    text = re.sub(r'(\\*)(")', r'\1\1\\"', value)  # Hydra reads \ as itself, but for those before a quote
    text = re.sub(r"(\\+)$", r"\1\1", text)
    return f'"{text}"'


def nearest(name: str, valid: Iterable[str]) -> str:
    """'; did you mean ...' for the closest valid names, or all of them if none is close and they are few."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6) or (names if len(names) <= 20 else [])
    return f"; did you mean {', '.join(close)}?" if close else ""


def groups() -> list[str]:
    """The config groups that can be chosen from."""
    return sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())


def names_in(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def all_keys() -> list[str]:
    """Every dotted key of every config file, and the config groups themselves."""
    keys = set(groups())
    for file in CONF.rglob("*.yaml"):
        group = "" if file.parent in (CONF, CONF / "protocol") else f"{file.parent.name}."
        group = "model." if file == CONF / "stack.yaml" else group  # included by every conf/model/*.yaml
        keys |= {group + key for key in _dotted(OmegaConf.to_container(OmegaConf.load(file)))}
    return sorted(key for key in keys if not re.match(r"defaults|hydra|.*\._", key))


def _dotted(node: Any) -> Iterable[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield key
        yield from (f"{key}.{below}" for below in _dotted(value))
