# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bytes that passed, by their hash: held against the promise of a source, or against what a receiver made of them."""

from __future__ import annotations

import hashlib

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import IntegrityError
from ansible_collections.bootable.volumes.plugins.module_utils.images.declared import ALGORITHMS
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.worker import Worker


class Digest:
    """Hashes bytes in a thread of its own: hashlib lets others run meanwhile.

    :param algorithm: hashlib's name.
    """

    def __init__(self, algorithm: str) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._worker: Worker[bytes] = Worker(self._hash.update)

    def put(self, chunk: bytes) -> None:
        """The next bytes."""
        self._worker.put(chunk)

    def finish(self) -> str:
        """All bytes have come: their hash, in hex."""
        self._worker.finish()
        return self._hash.hexdigest()

    def stop(self) -> None:
        """Let the thread end. May be called twice."""
        self._worker.stop()

    def __enter__(self) -> Digest:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


class Verifier:
    """Holds an image's bytes against what its source promised.

    Only the strongest of the promised checksums is computed; whoever can forge that one has no need to fear the others.
    """

    def __init__(self, image: ImageDescription) -> None:
        self._image = image
        self._algorithm = next((name for name in ALGORITHMS if name in image.checksums), None)
        self._digest = Digest(self._algorithm) if self._algorithm else None

    def put(self, chunk: bytes) -> None:
        """The next bytes."""
        if self._digest:
            self._digest.put(chunk)

    def verify(self) -> None:
        """All bytes have come.

        :raises IntegrityError: they are not those that were promised.
        """
        if not self._digest or not self._algorithm:
            return
        found, promised = self._digest.finish(), self._image.checksums[self._algorithm]
        if found != promised:
            raise IntegrityError(
                "the bytes of the image %s are not those that were promised: their %s is %s, not %s; nothing was published"
                % (self._image.name, self._algorithm, found, promised),
                algorithm=self._algorithm, found=found, promised=promised,
            )

    def stop(self) -> None:
        """Let the thread end. May be called twice."""
        if self._digest:
            self._digest.stop()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
