"""What a certificate (python -m lra_mru.certify) proves, for all who print it."""

from pathlib import Path
from typing import Any

from data_prep.common.json_files import read_json
from lra_mru.records.digest import is_as_written

SCHEMA = 3  # 2 had no digest; 1 followed the steps of one evaluation alone
ALWAYS = "every word"  # the grade of a model that is right at every length
FROM_SOME_LENGTH = "from length n"
OPEN = "open"  # of a walk that met a limit: nothing is proven
GRADES = (ALWAYS, FROM_SOME_LENGTH, "once settled", "wrong", OPEN)


def place_beside(record: Path) -> Path:
    """seed<k>.certificate.json of seed<k>.json."""
    return record.with_suffix(".certificate.json")


def is_certificate(path: Path) -> bool:
    return path.name.endswith("certificate.json")


def read_certificate(place: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The certificate at place. Raises: OSError; ValueError unless it is whole and of the weights of this record"""
    try:
        found = read_json(place)
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}")
        if found.get("schema", 1) not in range(1, SCHEMA + 1):
            raise ValueError(f"schema {found['schema']!r} is of another version")
        if found.get("grade") not in GRADES:
            raise ValueError(f"grade {found.get('grade')!r} is none of {', '.join(GRADES)}")
        if type(wrong := found.get("wrong_steps")) is not int or (wrong and found["grade"] == ALWAYS):
            raise ValueError(f"wrong_steps={wrong!r} with grade {found['grade']!r}")
        if not is_as_written(found):
            raise ValueError("its content is not what was written")
    except ValueError as error:
        raise ValueError(f"{place}: no readable certificate ({error}): certify the run again") from error
    own = {"weights_sha256": record.get("best_weights_sha256"), "task": record["task"], "variant": record["variant"]}
    for name, value in own.items():
        if found.get(name) != value:
            kind = "weights" if name == "weights_sha256" else name
            raise ValueError(f"{place}: it is of other {kind} than the record beside it: certify the run again")
    return found


def proves(certificate: dict[str, Any]) -> bool:
    """Whether it proves the model right on every word, at every length."""
    return certificate["grade"] == ALWAYS and holds(certificate)


def holds(certificate: dict[str, Any]) -> bool:
    """Whether it proves the model right, at every length or from some on, in every evaluation that was tried.

    Since schema 2 a walk follows every evaluation; before, where one took a step otherwise, nothing is proven.
    """
    others = [certificate.get(name, {}) for name in ("float64", "other_batch_size")]
    followed = certificate.get("schema", 1) >= 2 or not any(other.get("disagreeing_steps") for other in others)
    return followed and certificate["grade"] in (ALWAYS, FROM_SOME_LENGTH)
