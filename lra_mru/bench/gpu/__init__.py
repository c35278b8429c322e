"""One GPU in a few minutes: `python -m lra_mru.bench gpu --help`."""
