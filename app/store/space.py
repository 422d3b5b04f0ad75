"""The disk that visits are kept on: how much is free, whether the folder is a safe place, and a reserve.

Network folders are refused because a lock or a flush there means nothing; synced ones because copies of sealed
recordings would outlive their deletion elsewhere. Blocking calls: for a worker, or before the window is there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from app.store.durable import sync_folder

NETWORK_FILE_SYSTEMS = frozenset(
    {
        *(
            "9p",
            "acfs",
            "afpfs",
            "afs",
            "beegfs",
            "ceph",
            "cephfs",
            "cifs",
            "coda",
            "davfs",
            "gfs",
            "gfs2",
            "glusterfs",
        ),
        *(
            "gpfs",
            "lustre",
            "ncpfs",
            "nfs",
            "nfs3",
            "nfs4",
            "ocfs2",
            "orangefs",
            "pvfs2",
            "smb",
            "smb2",
            "smb3",
            "smbfs",
        ),
        *("prl_fs", "vboxsf", "virtiofs", "webdav", "webdavfs"),
        *("davfs2", "gcsfuse", "goofys", "gvfsd-fuse", "rclone", "s3fs", "sshfs", "vmhgfs-fuse"),
    }
)
"""As the system calls them, those of FUSE without their ``fuse.``."""

SYNCED_FOLDERS = re.compile(
    r"onedrive( ?-.*)?|sharepoint|dropbox( \(.*\))?|google ?drive|googledrive-.*|drivefs|my drive|"
    r"icloud ?drive|com~apple~clouddocs|mobile documents|cloudstorage|"
    r"nextcloud\d*|owncloud|syncthing|box sync|box-box|pcloud ?drive|megasync|synologydrive|seafile|tresorit"
)
"""Names of folders, in lower case."""

SYNC_MARKERS = (
    *(".stfolder", ".syncthing.*", ".sync_*.db", "._sync_*.db", ".nextcloudsync.log", ".owncloudsync.log"),
    *(".tmp.drivedownload", ".tmp.driveupload", ".dropbox.cache", ".megaignore", ".seafile-data"),
)
"""What a program leaves in the outermost folder that it syncs."""

SYNC_VARIABLES = ("OneDrive", "OneDriveCommercial", "OneDriveConsumer")
"""Windows says in them which folders are synced."""

_WINDOWS_REMOTE = 4


def free_bytes(folder: Path) -> int | None:
    """What may still be written to the disk that holds ``folder``; None when that cannot be told."""
    try:
        return shutil.disk_usage(_existing(folder)).free
    except OSError:
        return None


def folder_refusal(
    folder: Path,
    *,
    platform: str = sys.platform,
    mounts: str | None = None,
    environment: Mapping[str, str] | None = None,
    drive_kind: Callable[[str], int] | None = None,
) -> str:
    """Why visits should not be kept in ``folder``: ``network``, ``synced``, ``read-only``, or empty.

    The last four tell what is otherwise asked of the system.
    """
    # What the name alone tells comes first: a network folder that does not answer may block whoever touches it.
    if _is_network(folder, platform, mounts, drive_kind or _drive_kind):
        return "network"
    if _is_synced(folder, os.environ if environment is None else environment):
        return "synced"
    return "" if _can_be_written(_existing(folder)) else "read-only"


def _existing(folder: Path) -> Path:
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


# Network ----------------------------------------------------------------------------------------------------------


def _is_network(folder: Path, platform: str, mounts: str | None, drive_kind: Callable[[str], int]) -> bool:
    if platform == "win32":
        return _is_network_on_windows(str(folder), drive_kind)
    told = _mounts(platform) if mounts is None else mounts
    found = _mac_mounts(told) if platform == "darwin" else _linux_mounts(told)
    # As it is called; and only then, because it touches the folder, as it is called when links are followed.
    names = (name(folder) for name in (os.path.abspath, os.path.realpath))
    return any(_kind_at(name, found) in NETWORK_FILE_SYSTEMS for name in names)


def _kind_at(path: str, mounts: list[tuple[str, str]]) -> str:
    """The kind of file system that a path is on: that of the longest mount point above it, the last mounted."""
    above = [(len(point), n, kind) for n, (point, kind) in enumerate(mounts) if _is_below(path, point)]
    kind = max(above, default=(0, 0, ""))[2]
    return kind.removeprefix("fuse.")


def _is_below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _linux_mounts(text: str) -> list[tuple[str, str]]:
    rows = (line.split() for line in text.splitlines())
    return [(_unescaped(row[1]), row[2]) for row in rows if len(row) > 2]  # noqa: PLR2004


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mac_mounts(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^.*? on (.*) \((\w+)[^()]*\)$", text, re.MULTILINE)


def _mounts(platform: str) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if platform != "darwin":
            return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        told = subprocess.run(["/sbin/mount"], capture_output=True, timeout=3, check=True)
        return told.stdout.decode("utf-8", "replace")
    return ""


def _is_network_on_windows(folder: str, drive_kind: Callable[[str], int]) -> bool:
    path = folder.replace("/", "\\")
    path = re.sub(r"^\\\\[?.]\\(UNC\\)?", lambda match: "\\\\" if match[1] else "", path)
    return path.startswith("\\\\") or drive_kind(path[:3]) == _WINDOWS_REMOTE


def _drive_kind(root: str) -> int:
    """What Windows says of a drive such as ``C:\\``."""
    import ctypes

    return int(vars(ctypes)["windll"].kernel32.GetDriveTypeW(root))


# Synced -----------------------------------------------------------------------------------------------------------


def _is_synced(folder: Path, environment: Mapping[str, str]) -> bool:
    declared = [Path(environment[name]) for name in SYNC_VARIABLES if environment.get(name)]
    for each in {folder.absolute(), folder.resolve()}:
        above = (each, *each.parents)
        if any(SYNCED_FOLDERS.fullmatch(path.name.lower()) for path in above) or set(declared) & set(above):
            return True
        if any(_has_marker(path) for path in above):
            return True
    return False


def _has_marker(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        # In the home folder, a folder of this name holds Dropbox's settings; in a synced one it is a file.
        return (folder / ".dropbox").is_file() or any(next(folder.glob(marker), None) for marker in SYNC_MARKERS)
    return False


# Writing ----------------------------------------------------------------------------------------------------------


def _can_be_written(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)  # A full disk is another trouble.
    return True


class Reserve:
    """Room that is given back when the disk is full, so that the last words fit."""

    def __init__(self, folder: Path, size_bytes: int = 32 * 1024 * 1024) -> None:
        self._path = folder / "reserve"
        self._size = size_bytes

    @property
    def is_there(self) -> bool:
        """Whether there is something to give back."""
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return False

    def make(self) -> bool:
        """Take the room, unless that leaves nothing; tells whether it is there."""
        if self.is_there:
            return True
        free = free_bytes(self._path.parent)
        if free is None or free < 2 * self._size:
            return False
        try:
            self._fill()
        except OSError:
            self.release()
        return self.is_there

    def _fill(self) -> None:
        block = os.urandom(1024 * 1024)  # Some file systems take no room for zeros.
        with self._path.open("wb", buffering=0) as file:
            while (missing := self._size - file.tell()) > 0:
                file.write(block[:missing])
            os.fsync(file.fileno())
        sync_folder(self._path.parent)

    def release(self) -> None:
        """Give the room back. What cannot be given back is left."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            sync_folder(self._path.parent)
