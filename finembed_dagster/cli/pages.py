"""HTML files that a person asks for by name."""

from __future__ import annotations

from pathlib import Path

from finembed_core.errors import InputError
from finembed_core.files import written_whole

HTML = ".html"


def require_html(file: Path | None, what: str) -> None:
    """Refuse another suffix, before anything is computed."""
    if file is not None and file.suffix.lower() != HTML:
        raise InputError(
            f"{file.suffix or 'no suffix'} is not a format for the {what}",
            where=str(file),
            remedy=f"end the name with {HTML}",
        )


def write_picture(file: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    try:
        with written_whole(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the picture cannot be written: {error.strerror}",
            where=str(file),
            remedy="choose a folder that exists and can be written",
        ) from None
