"""`Place`: a folder on any filesystem that pyarrow knows."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

from nas_ray.errors import RecordError


@dataclass(frozen=True, kw_only=True)
class Place:
    """The folder `path` of `filesystem`; it pickles as the filesystem does.

    `name` is what people are shown: a path, or a URI without its query. `uri` is the whole of the
    URI that it was made of, if it was. Methods raise OSError where the filesystem does.
    """

    filesystem: FileSystem
    path: str
    name: str
    uri: str = ""

    @classmethod
    def local(cls, folder: Path) -> "Place":
        """A folder of this machine, or one that is mounted here."""
        return cls(filesystem=LocalFileSystem(), path=str(folder), name=str(folder))

    def below(self, relative: str) -> "Place":
        """A folder inside this one. Raises RecordError for one that is outside of it."""
        inside = PurePosixPath(relative)
        outside = inside.is_absolute() or ".." in inside.parts
        if isinstance(self.filesystem, LocalFileSystem):
            target = (Path(self.path) / inside).resolve()
            outside = outside or not target.is_relative_to(Path(self.path).resolve())
        if outside:
            raise RecordError(
                f"{relative!r} lies outside {self.name}; a record may only name files of its own."
            )
        return Place(
            filesystem=self.filesystem,
            path=f"{self.path}/{inside}",
            name=f"{self.name}/{inside}",
        )

    def read(self, file: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{file}") as stream:
                content: bytes = stream.read()
        except FileNotFoundError:
            return None
        return content

    def write(self, file: str, content: bytes) -> None:
        """Write a file anew: whole or not at all, where the filesystem or an object store can."""
        path = f"{self.path}/{file}"
        try:
            self._write(path, content)
        except FileNotFoundError:
            # Object stores need no folders, and making one is three requests.
            self.filesystem.create_dir(str(PurePosixPath(path).parent))
            self._write(path, content)

    def _write(self, path: str, content: bytes) -> None:
        # A PUT is atomic, a write to a disk is not.
        on_disk = isinstance(self.filesystem, LocalFileSystem)
        part = f"{path}.{os.getpid()}.part" if on_disk else path
        with self.filesystem.open_output_stream(part) as stream:
            stream.write(content)
        if on_disk:
            self.filesystem.move(part, path)

    def remove(self, file: str) -> None:
        """Delete a file."""
        self.filesystem.delete_file(f"{self.path}/{file}")

    def files(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none where there is no such folder."""
        selector = FileSelector(f"{self.path}/{folder}", allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in found if info.type == FileType.File)

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A file as one of this machine: itself, or a copy for as long as it is needed.

        Raises FileNotFoundError where there is none.
        """
        if isinstance(self.filesystem, LocalFileSystem):
            path = Path(self.path) / name
            if not path.exists():
                raise FileNotFoundError(path)
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / PurePosixPath(name).name
            with (
                self.filesystem.open_input_stream(f"{self.path}/{name}") as source,
                copy.open("wb") as target,
            ):
                while block := source.read(1 << 22):
                    target.write(block)
            yield copy
