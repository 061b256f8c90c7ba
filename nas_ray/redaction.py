"""Keeps secrets out of what is written down: an exception may quote what it was given."""

import os
import re
from collections.abc import Mapping

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
#: A shorter value is no secret worth the name, and would be found inside of words.
_SHORTEST = 8


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` with the names of environment variables in place of the secrets that are in them.

    Secrets are values of variables with KEY, TOKEN, SECRET, PASSWORD or CREDENTIAL in their name.
    """
    known = os.environ if environment is None else environment
    secrets = {
        value: name
        for name, value in known.items()
        if _SECRET.search(name) and len(value) >= _SHORTEST
    }
    # The longest first: one may be a part of another.
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, f"<{secrets[value]}>")
    return text
