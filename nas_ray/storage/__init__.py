"""Where a search is kept that is not kept in a folder of this machine: at a URI, s3://, gs://, ...

    s3://bucket/digits/record.json            as in a local folder
    s3://bucket/digits/journal/000000.jsonl   the journal in segments: objects are not appended to
    s3://bucket/digits/lease.json             who writes, renewed while it does
    s3://bucket/digits/checkpoints/           written there by the workers themselves

A search writes its record to a working folder of its machine, and a thread uploads what is new
about once a second. Who loses the machine loses those seconds; what is uploaded is always a
beginning of what happened, from which the search goes on. Knows no Ray.
"""

from nas_ray.storage.copies import HEADER, JOURNAL, look, pull, told, working_folder
from nas_ray.storage.lease import is_leased
from nas_ray.storage.place import Place
from nas_ray.storage.upload import Upload, uploading
from nas_ray.storage.uri import as_place, is_uri

__all__ = [
    "HEADER",
    "JOURNAL",
    "Place",
    "Upload",
    "as_place",
    "is_leased",
    "is_uri",
    "look",
    "pull",
    "told",
    "uploading",
    "working_folder",
]
