"""The errors that a user can mend: each is printed as one line, without a traceback."""


class ConfigError(ValueError):
    """The command or the config asks for something that cannot be run; nothing was started. Exit status 2."""


class RunError(RuntimeError):
    """A run that had begun could not go on. Exit status 1."""


class Interrupted(RunError):
    """Ctrl-C or a signal: the run saved a checkpoint and can go on from it. Exit status 1."""


def one_line(error: BaseException) -> str:
    """The text of any error, however many lines it has."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: object) -> str:
    """A value of a config as an error quotes it."""
    return "null" if value is None else repr(value)


def is_of_memory(error: BaseException) -> bool:
    """Whether NumPy or torch found no memory, on any device."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "out of memory")
    )
