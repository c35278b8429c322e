"""Speed of the parts, measured side by side: `python -m lra_mru.bench cpu`."""
