"""The errors that a user can mend: each is printed as one line, without a traceback."""


class ConfigError(ValueError):
    """The command or the config asks for something that cannot be run; nothing was started. Exit status 2."""


class RunError(RuntimeError):
    """A run that had begun could not go on. Exit status 1."""


class Interrupted(RunError):
    """Ctrl-C or a signal: the run saved a checkpoint and can go on from it. Exit status 1."""
