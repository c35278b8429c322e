"""Checks of arguments, shared by generators and tasks."""

MOST_ROWS = 2**32  # of a set: 32 GB of hashes, and terabytes of rows


def check_int(name: str, value: int, *, minimum: int, maximum: int | None = None) -> None:
    """Raise TypeError unless value is a whole number, ValueError if it is below minimum or above maximum."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} must be a whole number")
    if value < minimum:
        raise ValueError(f"{name}={value} must be at least {minimum}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name}={value} must be at most {maximum}")


def check_seed(name: str, value: int) -> None:
    """A seed is a whole number of at most 63 bits."""
    check_int(name, value, minimum=0)
    if value >= 2**63:
        raise ValueError(f"{name}={value} must be below 2**63")
