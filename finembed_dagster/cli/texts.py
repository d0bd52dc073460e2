"""Texts from the user's data as a terminal may show them."""

from __future__ import annotations

from rich.markup import escape

LINES = "\n\t"
TURNS = [0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""What makes a terminal write the rest of a line from the other side."""
SEEN = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in LINES}
SEEN |= {code: f"<U+{code:04X}>" for code in [*range(0x7F, 0xA0), *TURNS]}


def seen(text: str) -> str:
    r"""The text, with nothing in it that a terminal, or rich, would obey instead of showing.

    >>> seen("[red]" + chr(27) + "[2J")
    '\\[red]␛[2J'
    """
    return escape(text.translate(SEEN))
