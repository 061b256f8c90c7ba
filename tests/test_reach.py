"""A storage that the driver sees and a node does not is refused before anything is trained."""

import os
from dataclasses import dataclass

import pytest

from nas_ray.errors import SearchError
from nas_ray.storage import HEADER, Place
from nas_ray.tune.reach import require_reach

pytestmark = pytest.mark.usefixtures("local_ray")


def test_a_folder_that_every_node_sees_is_taken(tmp_path):
    (tmp_path / HEADER).write_text("{}")
    require_reach(Place.local(tmp_path))


@dataclass
class OfOneProcess:
    """Stands for a Place on the driver's own disk as other machines see it: there is only one."""

    elsewhere: bytes | None
    error: str = ""
    driver: int = os.getpid()
    name: str = "/runs/x"

    def read(self, file: str) -> bytes | None:
        if os.getpid() == self.driver:
            return b"{}"
        if self.error:
            raise PermissionError(self.error)
        return self.elsewhere


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (OfOneProcess(None), "it is missing"),
        (OfOneProcess(b'{"of": "another"}'), "another folder lies there"),
        (OfOneProcess(None, error="no credentials"), "/runs/x cannot be read: no credentials"),
    ],
    ids=["no such folder", "a folder of the same name", "no access"],
)
def test_a_storage_that_a_node_does_not_see_is_refused(place, why):
    with pytest.raises(SearchError, match=f"every node must see the storage /runs/x, but .* {why}"):
        require_reach(place)
