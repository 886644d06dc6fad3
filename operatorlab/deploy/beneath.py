"""Files below one folder that somebody hostile may write to: read, written and removed without ever leaving it.

Every component of a path is opened by itself and never followed if it is a link, so that a link to another
place is a file that is not there, and a pipe or a device is none either. What is written replaces what lay in its
way. Nothing here waits for anybody.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath

from operatorlab.errors import NotWritable

MOST_BYTES = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_FILES, _KEPT_BYTES = 200, 20 << 20


class Beneath:
    """The files below `folder`, which is trusted itself. What is written there belongs to `owner`, by default to us."""

    def __init__(self, folder: Path, owner: int | None = None) -> None:
        self.folder = folder
        self._owner = owner

    def is_file(self, path: PurePath | str) -> bool:
        """Whether there is a plain file."""
        try:
            with self._above(path) as (folder, name):
                return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except OSError:
            return False

    def read(self, path: PurePath | str, most: int = MOST_BYTES) -> str:
        """The first `most` bytes of a plain file; empty if there is none that can be read."""
        return self._read(path, most, tail=False).decode(errors="replace")

    def tail(self, path: PurePath | str, most: int = MOST_BYTES) -> str:
        """The last `most` bytes of a plain file; empty if there is none that can be read."""
        return self._read(path, most, tail=True).decode(errors="replace")

    def write(self, path: PurePath | str, text: str, mode: int = 0o600) -> None:
        """Write a file, all or nothing, with the folders above it; NotWritable if that cannot be done."""
        fresh = f".{PurePath(path).name}.{secrets.token_hex(4)}"
        try:
            with self._above(path, make=True) as (folder, name):
                try:
                    self._create(fresh, text, mode, folder)
                    if stat.S_ISDIR(_mode(name, folder)):
                        _remove(name, folder)
                    os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
                except OSError:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(fresh, dir_fd=folder)
                    raise
        except OSError as trouble:
            raise NotWritable(f"cannot write {self.folder / path}: {trouble.strerror}") from trouble

    def link(self, path: PurePath | str, target: Path) -> None:
        """Make a symbolic link for others to follow; what is written never passes through it."""
        with self._above(path, make=True) as (folder, name):
            _remove(name, folder)
            os.symlink(target, name, dir_fd=folder)

    def make_folder(self, path: PurePath | str) -> None:
        """Create a folder and what is above it; NotWritable if that cannot be done."""
        try:
            with self._at(path, make=True):
                return
        except OSError as trouble:
            raise NotWritable(f"cannot create {self.folder / path}: {trouble.strerror}") from trouble

    def remove(self, path: PurePath | str) -> None:
        """Remove a file, or a folder with all in it; nothing if it is not there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._above(path) as (folder, name):
            _remove(name, folder)

    def empty(self, keep: Collection[str] = ()) -> None:
        """Remove everything but what is called as in `keep`."""
        with self._at("") as folder:
            for name in _names(folder) - set(keep):
                _remove(name, folder)

    def names(self, path: PurePath | str) -> list[str]:
        """What is in a folder; empty if it is none."""
        try:
            with self._at(path) as folder:
                return sorted(_names(folder))
        except OSError:
            return []

    def truncate(self, path: PurePath | str) -> None:
        """Make a plain file empty in place, for who holds it open; remove whatever else is there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._above(path) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                _remove(name, folder)
                return
            descriptor = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def pinned(self, path: PurePath | str) -> Iterator[Path]:
        """A path that leads to what is at `path` now, whatever is put there meanwhile. OSError for a link."""
        with self._above(path) as (folder, name):
            descriptor = os.open(name, _ANY, dir_fd=folder)
        try:
            if stat.S_ISLNK(os.fstat(descriptor).st_mode):
                raise FileNotFoundError(f"{self.folder / path} is a link")
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)

    def copy_out(self, path: PurePath | str, target: Path) -> None:
        """Copy the plain files of a folder into `target`: as many as fit, the last bytes of the long ones."""
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        room = _KEPT_BYTES * 4
        for name in sorted(self.names(path))[:_KEPT_FILES]:
            kept = self._read(PurePath(path) / name, min(_KEPT_BYTES, room), tail=True)
            if self.is_file(PurePath(path) / name):
                (target / name).write_bytes(kept)
            room -= len(kept)

    def _read(self, path: PurePath | str, most: int, *, tail: bool) -> bytes:
        try:
            with self._above(path) as (folder, name):
                descriptor = os.open(
                    name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder
                )
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return b""
            if tail:
                file.seek(max(0, found.st_size - most))
            return file.read(most)

    def _create(self, name: str, text: str, mode: int, folder: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, mode, dir_fd=folder), "w") as file:
            file.write(text)
            self._own(file.fileno())
            os.fchmod(file.fileno(), mode)

    def _own(self, descriptor: int) -> None:
        if self._owner is not None and os.fstat(descriptor).st_uid != self._owner:
            os.fchown(descriptor, self._owner, self._owner)

    @contextlib.contextmanager
    def _above(self, path: PurePath | str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that holds `path`, open, and the name in it."""
        with self._at(PurePath(path).parent, make=make) as folder:
            yield folder, PurePath(path).name

    @contextlib.contextmanager
    def _at(self, path: PurePath | str, *, make: bool = False) -> Iterator[int]:
        """The folder at `path`, open; `make` makes it and those above, and makes way for them."""
        if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
            raise ValueError(f"{path} does not lie below a folder")
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in PurePath(path).parts:
                below = self._enter(part, folder, make=make)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def _enter(self, name: str, folder: int, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except OSError:
            if not make:
                raise
        _remove(name, folder)
        os.mkdir(name, 0o700, dir_fd=folder)
        below = os.open(name, _FOLDER, dir_fd=folder)
        self._own(below)
        return below


def _names(folder: int) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _mode(name: str, folder: int) -> int:
    """The kind and permissions of what is called so; 0 if nothing is."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def _remove(name: str, folder: int) -> None:
    """Remove whatever is called so; a folder with all that is in it."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # the latter: a folder, on macOS
        with _opened_up(name, folder) as below:
            _empty(below)
        os.rmdir(name, dir_fd=folder)


def _empty(folder: int) -> None:
    """Remove all that is in a folder. What lies deeper is moved up and not descended into: depth has no end."""
    serial = 0
    while names := _names(folder):
        for name in names:
            try:
                os.unlink(name, dir_fd=folder)
            except (IsADirectoryError, PermissionError):
                with _opened_up(name, folder) as below:
                    for deeper in _names(below):
                        try:
                            os.unlink(deeper, dir_fd=below)
                        except (IsADirectoryError, PermissionError):
                            serial += 1
                            os.rename(deeper, f".{serial}.{secrets.token_hex(4)}", src_dir_fd=below, dst_dir_fd=folder)
                os.rmdir(name, dir_fd=folder)


@contextlib.contextmanager
def _opened_up(name: str, folder: int) -> Iterator[int]:
    """A folder, open, whatever its permissions were."""
    with contextlib.suppress(OSError):  # no O_PATH or no /proc: its owner left it readable, or it cannot be had
        handle = os.open(name, os.O_PATH | _FOLDER, dir_fd=folder)
        try:
            Path(f"/proc/self/fd/{handle}").chmod(0o700)
        finally:
            os.close(handle)
    descriptor = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
