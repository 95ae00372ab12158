# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import IntegrityError
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.hashing import Verifier


def image(**checksums: str) -> ImageDescription:
    """An image that promises something."""
    return ImageDescription("x", "file", "raw", checksums=checksums)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_a_promise_is_kept_or_not(algorithm: str) -> None:
    for data, good in ((b"abc" * 1000, True), (b"abc" * 999, False)):
        with Verifier(image(**{algorithm: hashlib.new(algorithm, b"abc" * 1000).hexdigest()})) as verifier:
            for offset in range(0, len(data), 100):
                verifier.put(data[offset:offset + 100])
            if good:
                verifier.verify()
            else:
                with pytest.raises(IntegrityError, match=algorithm):
                    verifier.verify()


def test_the_strongest_decides() -> None:
    with Verifier(image(md5="0" * 32, sha512=hashlib.sha512(b"abc").hexdigest())) as verifier:
        verifier.put(b"abc")
        verifier.verify()


def test_no_promise_is_always_kept() -> None:
    with Verifier(image()) as verifier:
        verifier.put(b"abc")
        verifier.verify()
