"""Foreign words, made fit to be kept."""


def clean(text: str) -> str:
    """The text without halves of surrogate pairs, which no database, file or JSON takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
