# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.images.url import UrlImage, shown
from ansible_collections.bootable.volumes.tests.unit.fakes import disks
from ansible_collections.bootable.volumes.tests.unit.fakes.web import Site, serving

DATA = disks.qcow2(disks.raw_disk())
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def site() -> t.Iterator[Site]:
    with serving() as site:
        site.files["/debian.qcow2"] = DATA
        yield site


@pytest.mark.parametrize("ranges", [True, False])
def test_what_is_known_of_an_address(site: Site, ranges: bool) -> None:
    site.ranges = ranges
    found = UrlImage(site.url + "/debian.qcow2", checksum="sha256:" + SHA256.upper()).describe()
    assert (found.name, found.origin, found.format) == (site.url + "/debian.qcow2", "url", "qcow2")
    assert (found.size, found.virtual_size) == (len(DATA), disks.SIZE)
    assert found.checksums == {"sha256": SHA256}


def test_a_server_may_not_tell_the_size(site: Site) -> None:
    site.ranges = site.length = False
    assert UrlImage(site.url + "/debian.qcow2", checksum="sha256:" + SHA256).describe().size is None


@pytest.mark.parametrize("listing", [
    "%s  debian.qcow2\n" % SHA256,
    "%s *./images/debian.qcow2\n" % SHA256,
    "# comment\nSHA256 (other) = %s\nSHA256 (debian.qcow2) = %s\n" % ("0" * 64, SHA256),
    "%s  other.qcow2\n%s  debian.qcow2\r\n" % ("0" * 64, SHA256),
    SHA256 + "\n",
])
def test_a_checksum_file_lists_it(site: Site, listing: str) -> None:
    site.files["/SUMS"] = listing.encode()
    image = UrlImage(site.url + "/debian.qcow2", checksum="sha256:%s/SUMS" % site.url)
    assert image.describe().checksums == {"sha256": SHA256}


def test_a_checksum_file_does_not_list_it(site: Site) -> None:
    site.files["/SUMS"] = ("%s  other.qcow2\n" % SHA256).encode()
    with pytest.raises(NotFound, match="does not list debian.qcow2"):
        UrlImage(site.url + "/debian.qcow2", checksum="sha256:%s/SUMS" % site.url).describe()


def test_it_can_be_read_from_the_middle(site: Site) -> None:
    image = UrlImage(site.url + "/debian.qcow2", checksum="sha256:" + SHA256)
    with image.open(100) as stream:
        assert stream.read(1 << 30) == DATA[100:]
    site.ranges = False
    with pytest.raises(BackendError, match="knows no ranges"):
        image.open(100)


def test_credentials_are_used_and_never_shown(site: Site) -> None:
    site.login = True
    url = site.url.replace("http://", "http://user:s3cret@") + "/%s?token=t0ken"
    image = UrlImage(url % "debian.qcow2", checksum="sha256:" + SHA256)
    assert image.describe().name == site.url + "/debian.qcow2"
    assert site.credentials[-1]
    site.files.clear()
    for broken in (url % "debian.qcow2", "http://user:s3cret@127.0.0.1:1/debian.qcow2?token=t0ken", "http://user:s3cret@nowhere.invalid/debian.qcow2"):
        with pytest.raises(VolumesError) as refused:
            UrlImage(broken, checksum="sha256:" + SHA256).describe()
        assert "s3cret" not in refused.value.message + str(refused.value.details)
        assert "t0ken" not in refused.value.message


@pytest.mark.parametrize("url, name", [
    ("https://u:p@host:8443/a/b.raw?x=1#y", "https://host:8443/a/b.raw"),
    ("http://host/a", "http://host/a"),
])
def test_what_is_shown_of_an_address(url: str, name: str) -> None:
    assert shown(url) == name


@pytest.mark.parametrize("url", ["", "debian.qcow2", "file:///etc/passwd", "ftp://host/x.raw", "http:///x.raw", "http://[x/y.raw"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidInput, match="image_url"):
        UrlImage(url, checksum="sha256:" + SHA256).describe()


def test_what_is_missing(site: Site) -> None:
    with pytest.raises(NotFound, match="404"):
        UrlImage(site.url + "/none.raw", checksum="sha256:" + SHA256).describe()
    with pytest.raises(InvalidInput, match="image_checksum is needed"):
        UrlImage(site.url + "/debian.qcow2", checksum=None).describe()
    with pytest.raises(InvalidInput, match="image_format"):
        UrlImage(site.url + "/debian", checksum="sha256:" + SHA256).describe()
