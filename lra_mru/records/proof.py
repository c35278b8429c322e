"""What a certificate (python -m lra_mru.certify) proves, for all who print it."""

from typing import Any

ALWAYS = "every word"  # the grade of a model that is right at every length
FROM_SOME_LENGTH = "from length n"


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
