"""A list in a setting, written as people write one."""

import json


def listed(value: object) -> object:
    """Return the entries of a comma list or of a JSON list; what is no text stays as it is.

    Raises:
        ValueError: it begins like a JSON list and is none.
    """
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            entries = json.loads(value)
        except ValueError as error:
            raise ValueError(f"is no list: write a,b or a JSON list ({error})") from None
    else:
        entries = value.split(",")
    if not all(isinstance(entry, str) for entry in entries):
        raise ValueError("is no list of texts: write a,b or a JSON list of texts")
    return [bare for entry in entries if (bare := entry.strip())]
