"""A small file that is written whole or not at all, and is on the disk when the call returns."""

import os
from pathlib import Path


def write_durably(path: Path, body: bytes, *, mode: int = 0o644) -> None:
    """Replace `path`: a reader, or a start after a power cut, sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    half.unlink(missing_ok=True)
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
