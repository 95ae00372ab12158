# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.mounts import Mount, Mounts
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file import layout as file_layout
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.layout import FILESYSTEMS, Layout, Need, Reserve, check_name


def make_layout(*mountpoints: pathlib.Path, **options: t.Any) -> Layout:
    """A layout of plain folders."""
    given: t.Dict[str, t.Any] = dict({"pinned": None, "filesystems": FILESYSTEMS, "reserve": Reserve(None), "allow_unmounted": True}, **options)
    return Layout([str(path) for path in mountpoints], **given)


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """Says what is mounted where."""
    def mount(*mounts: Mount) -> None:
        monkeypatch.setattr(file_layout.Mounts, "now", classmethod(lambda cls: Mounts(mounts)))

    return mount


@pytest.mark.parametrize("name", ["web-1", "web 1", "naïve", "a" * 230, "x.qcow2", "v.partial", "-", "100%"])
def test_names_that_can_be_given(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name, word", [
    ("", "empty"), ("  ", "empty"), ("a/b", "path"), ("../x", "path"), ("/etc/passwd", "path"), (".", "dot"), ("..", "dot"), (".hidden", "dot"),
    (".v.partial", "dot"), (".v.volume.json", "dot"), ("a\nb", "printed"), ("a\0b", "printed"), ("a\x1b[2J", "printed"), ("a" * 231, "longer"),
    ("ü" * 116, "longer"),
])
def test_names_that_cannot(name: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        check_name(name)


@pytest.mark.parametrize("text, total, kept", [(None, GIB, 0), ("5%", 100 * MIB, 5 * MIB), ("12.5 %", 80, 10), ("10M", GIB, 10 * MIB), ("1", GIB, GIB)])
def test_what_stays_free(text: t.Optional[str], total: int, kept: int) -> None:
    assert Reserve(text).of(total) == kept


@pytest.mark.parametrize("text", ["much", "100%", "-5%", "5 percent"])
def test_what_cannot_stay_free(text: str) -> None:
    with pytest.raises(InvalidInput, match="reserve"):
        Reserve(text)


def test_a_folder_must_be_a_mount_point_of_an_expected_type(one: pathlib.Path, mounted: t.Callable[..., None]) -> None:
    mounted(Mount("/", "ext4", "/dev/sda", False))
    with pytest.raises(InvalidInput, match="nothing is mounted at .*allow_unmounted"):
        make_layout(one, allow_unmounted=False).verify()
    mounted(Mount(str(one), "overlay", "overlay", False))
    with pytest.raises(InvalidInput, match="overlay.*filesystems"):
        make_layout(one, allow_unmounted=False).verify()
    make_layout(one, allow_unmounted=False, filesystems=["overlay"]).verify()
    mounted(Mount(str(one), "nfs4", "server:/x", False))
    make_layout(one, allow_unmounted=False).verify()


def test_a_link_to_a_mount_point_is_one(one: pathlib.Path, folder: pathlib.Path, mounted: t.Callable[..., None]) -> None:
    (folder / "link").symlink_to(one)
    mounted(Mount(str(one), "xfs", "/dev/sda", False))
    make_layout(folder / "link", allow_unmounted=False).verify()


def test_a_folder_must_exist(folder: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="not a directory"):
        make_layout(folder / "none").verify()


def test_reading_and_writing_are_tried_and_leave_nothing(one: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_layout(one).probe()
    assert os.listdir(one) == []
    monkeypatch.setattr(file_layout.RawFile, "read", lambda *dummy: b"other")
    with pytest.raises(BackendError, match="does not give back"):
        make_layout(one).probe()


def test_a_place_that_takes_no_writes(one: pathlib.Path, monkeypatch: pytest.MonkeyPatch, mounted: t.Callable[..., None]) -> None:
    def refuse(*dummy: t.Any) -> t.NoReturn:
        raise BackendError("read-only file system")

    monkeypatch.setattr(file_layout.RawFile, "nameless", refuse)
    with pytest.raises(BackendError, match="cannot be written to .*read-only"):
        make_layout(one).probe()
    make_layout(one).probe_dry()
    mounted(Mount(str(one.parent), "xfs", "/dev/sda", True))
    with pytest.raises(BackendError, match="mounted read-only"):
        make_layout(one).probe_dry()
    mounted()
    monkeypatch.setattr(os, "access", lambda *dummy: False)
    with pytest.raises(BackendError, match="permissions"):
        make_layout(one).probe_dry()


class TestRoom:
    """Two file systems, of which the second has more room."""

    @pytest.fixture
    def layout(self, one: pathlib.Path, two: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
        monkeypatch.setattr(Layout, "room", lambda self, path: {"one": 10 * MIB, "two": 15 * MIB}[os.path.basename(path)])
        real = os.stat
        monkeypatch.setattr(os, "stat", lambda path, **how: _Device(path) if str(path).endswith(("one", "two")) else real(path, **how))
        return make_layout(one, two)

    def chosen(self, layout: Layout, *sizes: int, **how: t.Any) -> t.List[str]:
        """Where volumes of these MiB go."""
        needs = [Need("v%d" % index, size * MIB) for index, size in enumerate(sizes)]
        return [os.path.basename(place.mountpoint) for place in layout.place(needs, **how)]

    def test_each_goes_where_most_room_is_left(self, layout: Layout) -> None:
        assert self.chosen(layout, 6, 6, 6) == ["two", "one", "two"]

    def test_what_is_pinned_goes_there(self, layout: Layout) -> None:
        layout.pinned = layout.mountpoints[0]
        assert self.chosen(layout, 5, 5) == ["one", "one"]
        with pytest.raises(NoRoom):
            self.chosen(layout, 5, 6)
        assert self.chosen(layout, 12, at=layout.mountpoints[1]) == ["two"]

    def test_too_much_is_refused_with_what_there_is(self, layout: Layout) -> None:
        with pytest.raises(NoRoom, match="v1 needs 12 MiB, but .*one has 10 MiB to give after the volumes before it") as refused:
            self.chosen(layout, 12, 12)
        assert list(refused.value.details["available"].values()) == [10 * MIB, 3 * MIB]

    def test_passing_room_is_needed_but_not_kept(self, layout: Layout) -> None:
        assert len(layout.place([Need("a", 5 * MIB, 10 * MIB), Need("b", 10 * MIB)])) == 2
        with pytest.raises(NoRoom, match="and 11 MiB while it is made"):
            layout.place([Need("a", 5 * MIB, 11 * MIB)])

    def test_one_file_system_at_two_mount_points_is_used_up_once(self, one: pathlib.Path, two: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Layout, "room", lambda self, path: 10 * MIB)
        with pytest.raises(NoRoom):
            self.chosen(make_layout(one, two), 6, 6)


class _Device:
    def __init__(self, path: t.Any) -> None:
        self.st_dev = os.path.basename(path)


def test_the_reserve_is_no_room(one: pathlib.Path) -> None:
    whole = make_layout(one).room(str(one))
    kept = whole - make_layout(one, reserve=Reserve("50%")).room(str(one))
    status = os.statvfs(one)
    assert abs(kept - status.f_blocks * status.f_frsize / 2) < GIB


def test_names_come_from_sidecars(one: pathlib.Path, two: pathlib.Path) -> None:
    for path in (one / ".a.volume.json", two / ".b.partial.json", two / ".a.volume.json", one / "c", one / ".volume.json", one / ".x.lock"):
        path.touch()
    assert make_layout(one, two).names() == ["a", "b"]
