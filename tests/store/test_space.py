from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.store.space import Reserve, folder_refusal, free_bytes
from tests.store.small_disk import largest_file, needs_small_disk

LINUX = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
nas:/export /srv/asha nfs4 rw,vers=4.2 0 0
//server/share /mnt/the\\040share cifs rw 0 0
asha@host:/data /mnt/far fuse.sshfs rw 0 0
/dev/sdb1 /mnt/far/near xfs rw 0 0
C: /mnt/c 9p rw 0 0
tmpfs /mnt/over nfs rw 0 0
tmpfs /mnt/over tmpfs rw 0 0
short
"""
MAC = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//asha@nas._smb._tcp.local/Visits (2) on /Volumes/Visits (2) (smbfs, nodev, nosuid, mounted by asha)
nas:/export on /Volumes/export (nfs, nodev, nosuid)
/dev/disk4s2 on /Volumes/Stick (exfat, local, nodev)
"""


def network(folder: str, platform: str, mounts: str = "", drive: int = 3) -> bool:
    told = folder_refusal(Path(folder), platform=platform, mounts=mounts, environment={}, drive_kind=lambda _: drive)
    return told == "network"


@pytest.mark.fault("M3")
@pytest.mark.parametrize(
    ("folder", "is_network"),
    [
        ("/srv/asha", True),
        ("/srv/asha/.local/share/ScribeDesk", True),
        ("/srv/ashatwo", False),
        ("/srv", False),
        ("/mnt/the share/visits", True),
        ("/mnt/far/visits", True),
        ("/mnt/far/near/visits", False),
        ("/mnt/c/visits", True),
        ("/mnt/over/visits", False),
        ("/mnt/far/near/../visits", True),
    ],
)
def test_a_network_folder_on_linux(folder: str, is_network: bool) -> None:
    assert network(folder, "linux", LINUX) is is_network


@pytest.mark.fault("M3")
@pytest.mark.parametrize(
    ("folder", "is_network"),
    [
        ("/Volumes/Visits (2)/ScribeDesk", True),
        ("/Volumes/export/ScribeDesk", True),
        ("/Volumes/Stick/ScribeDesk", False),
        ("/Applications/ScribeDesk", False),
    ],
)
def test_a_network_folder_on_a_mac(folder: str, is_network: bool) -> None:
    assert network(folder, "darwin", MAC) is is_network


@pytest.mark.fault("M3")
@pytest.mark.parametrize(
    ("folder", "drive", "is_network"),
    [
        (r"C:\Users\asha\AppData\Local\ScribeDesk", 3, False),
        (r"Z:\ScribeDesk", 4, True),
        (r"\\server\share\ScribeDesk", 1, True),
        ("//server/share/ScribeDesk", 1, True),
        (r"\\?\UNC\server\share", 1, True),
        (r"\\?\C:\ScribeDesk", 3, False),
        (r"\\?\Z:\ScribeDesk", 4, True),
    ],
)
def test_a_network_folder_on_windows(folder: str, drive: int, is_network: bool) -> None:
    assert network(folder, "win32", drive=drive) is is_network


def test_a_link_to_a_network_folder_is_one(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("links need a right there")
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    mounts = f"/dev/vda / ext4 rw 0 0\nnas:/x {tmp_path.resolve() / 'far'} nfs rw 0 0\n"
    assert network(str(tmp_path / "link" / "visits"), "linux", mounts)
    assert not network(str(tmp_path / "near"), "linux", mounts)


def refusal(folder: Path, environment: dict[str, str] | None = None) -> str:
    return folder_refusal(folder, environment=environment or {})


@pytest.mark.fault("M3")
@pytest.mark.parametrize(
    "name",
    [
        *("OneDrive", "OneDrive - City Clinic", "Dropbox", "Dropbox (City Clinic)", "Google Drive", "My Drive"),
        *("iCloud Drive", "com~apple~CloudDocs", "CloudStorage", "Nextcloud", "ownCloud", "Syncthing"),
    ],
)
def test_a_synced_folder_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path / name / "ScribeDesk") == "synced"


@pytest.mark.fault("M3")
@pytest.mark.parametrize("marker", [".stfolder/", ".dropbox", ".sync_0123abcd.db", ".tmp.drivedownload/"])
def test_or_by_what_is_in_it(tmp_path: Path, marker: str) -> None:
    folder = tmp_path / "Documents" / "ScribeDesk"
    folder.mkdir(parents=True)
    assert refusal(folder) == ""
    path = tmp_path / "Documents" / marker.rstrip("/")
    path.mkdir() if marker.endswith("/") else path.touch()
    assert refusal(folder) == "synced"


def test_or_by_what_the_system_says(tmp_path: Path) -> None:
    folder = tmp_path / "Cloud" / "ScribeDesk"
    assert refusal(folder, {"OneDriveCommercial": str(tmp_path / "Cloud")}) == "synced"
    assert refusal(folder, {"OneDriveCommercial": str(tmp_path / "Clouds"), "OneDrive": ""}) == ""


def test_a_home_that_holds_the_settings_of_dropbox_is_not_synced(tmp_path: Path) -> None:
    (tmp_path / ".dropbox").mkdir()
    assert refusal(tmp_path / "ScribeDesk") == ""


@pytest.mark.fault("D4")
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file") == "read-only"
    assert refusal(tmp_path / "not yet there") == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "file"], "the look leaves nothing behind"
    if sys.platform == "linux":
        assert refusal(Path("/proc")) == "read-only"


def test_free_space_is_that_of_the_disk(tmp_path: Path) -> None:
    free = free_bytes(tmp_path / "not" / "yet" / "there")
    assert free is not None
    assert free > 1024


SIZE = 3_500_000


def is_there(folder: Path) -> bool:
    return Reserve(folder, SIZE).is_there


@pytest.mark.fault("D1")
def test_the_reserve_takes_room_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    assert not is_there(tmp_path)
    assert reserve.make()
    assert is_there(tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == SIZE
    if sys.platform != "win32":
        assert path.stat().st_blocks * 512 >= SIZE, "the room is really taken"
    before = path.stat().st_mtime_ns
    assert Reserve(tmp_path, SIZE).make()
    assert path.stat().st_mtime_ns == before, "it is made once"
    reserve.release()
    assert not is_there(tmp_path)
    assert list(tmp_path.iterdir()) == []
    reserve.release()


@needs_small_disk
@pytest.mark.fault("D1")
def test_half_a_reserve_is_none(tmp_path: Path) -> None:
    with largest_file(SIZE // 2):
        assert not Reserve(tmp_path, SIZE).make()
    assert list(tmp_path.iterdir()) == []
    assert Reserve(tmp_path, SIZE).make()


def test_no_reserve_is_made_of_the_last_room(tmp_path: Path) -> None:
    free = free_bytes(tmp_path)
    assert free is not None
    assert not Reserve(tmp_path, free).make()
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_reserve_where_there_is_no_folder(tmp_path: Path) -> None:
    assert not Reserve(tmp_path / "gone", SIZE).make()
