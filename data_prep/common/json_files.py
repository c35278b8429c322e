"""JSON as it stands in a file, which anybody may have edited or cut."""

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Raises: OSError; ValueError for whatever is no JSON, and for brackets nested beyond what Python follows"""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
