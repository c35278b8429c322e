"""A JSON file that shows an edit: a digest of all else in it stands in it."""

import hashlib
import json
from typing import Any

DIGEST = "content_sha256"  # older files have none


def as_text(content: dict[str, Any]) -> str:
    """The file that holds the content and its digest."""
    return _dump(content | {DIGEST: _digest(content)})


def is_as_written(raw: dict[str, Any]) -> bool:
    """Whether the content is what the digest was made of; a file without one may be."""
    return bool(raw.get(DIGEST, _digest(raw)) == _digest(raw))


def _digest(content: dict[str, Any]) -> str:
    bare = {key: value for key, value in content.items() if key != DIGEST}
    return hashlib.sha256(_dump(bare).encode()).hexdigest()


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
