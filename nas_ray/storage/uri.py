"""The URI of a storage: read by pyarrow, and refused where it holds a secret."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pyarrow.fs import FileSystem

from nas_ray.errors import RecordError
from nas_ray.storage.copies import reason
from nas_ray.storage.place import Place

_SECRET = re.compile("key|secret|token|password|credential|^sig", re.IGNORECASE)


def is_uri(storage: object) -> bool:
    """Whether a storage is given as a URI, and not as a folder."""
    return isinstance(storage, str) and "://" in storage


def place_at(uri: str) -> Place:
    """The place that `uri` names. Raises RecordError where pyarrow knows none, or for a secret.

    What is no secret may be in the query, as pyarrow reads it: `s3://bucket/run?region=eu-west-1`.
    """
    _require_no_secret(uri)
    scheme, _, rest = uri.partition("://")
    path, mark, query = rest.partition("?")
    name = f"{scheme}://{path.rstrip('/')}"
    try:
        filesystem, path = FileSystem.from_uri(uri)
    # ArrowInvalid is a ValueError, ArrowNotImplementedError a NotImplementedError.
    except (ValueError, NotImplementedError, OSError) as error:
        raise RecordError(
            f"a storage must be a folder or a URI that pyarrow.fs knows (s3://, gs://, file:///), "
            f"but {name} is none: {reason(error)}."
        ) from error
    return Place(filesystem=filesystem, path=path.rstrip("/"), name=name, uri=name + mark + query)


def _require_no_secret(uri: str) -> None:
    """What a URI holds would be shown in reports and sent to workers. The refusal does not."""
    scheme, _, rest = uri.partition("?")[0].partition("://")
    user, at, _ = rest.rpartition("@")
    # In abfs://container@account there is no secret before the sign.
    is_container = scheme.startswith("abfs") and not set(user) & set(":/")
    if at and user != "anonymous" and not is_container:
        raise RecordError(
            f"a storage must not hold credentials, but there is an '@' in this {scheme}:// URI. "
            "Put them where the store's own tools look for them (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, a profile, a role); an '@' in a path is written %40."
        )
    for name, _ in parse_qsl(urlsplit(uri).query, keep_blank_values=True):
        if _SECRET.search(name):
            raise RecordError(
                f"a storage must not hold credentials, but {name!r} is in the query of this "
                f"{scheme}:// URI. Put them where the store's own tools look for them."
            )


def as_place(storage: "str | Path | Place") -> Place | None:
    """The place a storage is at; None for a folder of this machine."""
    if isinstance(storage, Place):
        return storage
    return place_at(str(storage)) if is_uri(storage) else None
