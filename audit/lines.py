"""What somebody outside wrote, as a line that can be stored, shown and logged. Knows no Django."""


def printable(text: str) -> str:
    """Without what a terminal would obey, what would begin another line, and what no database stores."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
