# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which stores an image belongs in: a decision, taken from what was asked and what there is, without a request.

The order is that of the specification "Copy volume to image in multiple stores": the store of the volume's type, else the stores of
the image that the volume was made from, else the default store; of a volume that does not boot, the type's store, else the default.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import REGISTER, origin_of

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import Store

# A volume type's extra spec that names the store for images of its volumes (cinder/image/glance.py).
TYPE_STORE = "image_service:store_id"

# The words that stand for stores where a list of them may stand.
ALL, BASE = "all", "base"

# The rules, in the order in which they are tried; SINGLE is that of a Glance with one store that has no name.
EXPLICIT, EVERY, BASE_IMAGE, VOLUME_TYPE, DEFAULT, SINGLE = "explicit", "all", "base_image", "volume_type", "default", "single"


@dataclass(frozen=True)
class Placement:
    """Where an image belongs.

    :param stores: Ids, in the order asked for or Glance's; none for the rule ``single``.
    :param rule: Which of the rules applied.
    :param reason: Why that one did, to read.
    :param skipped: Stores that the rule names but that cannot be had, and why.
    """

    stores: t.Tuple[str, ...]
    rule: str
    reason: str
    skipped: t.Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> t.Dict[str, t.Any]:
        """As tasks' results show it."""
        return {"stores": list(self.stores), "rule": self.rule, "reason": self.reason, "skipped": dict(self.skipped)}


def place(*, asked: t.Union[None, str, t.Sequence[str]], offered: t.Sequence[Store], type_store: t.Optional[str] = None,
          bootable: bool = False, base: t.Optional[Image] = None, base_id: t.Optional[str] = None, typed: bool = True) -> Placement:
    """Decide.

    :param asked: Ids of stores; ``all``; ``base`` for the stores of the volume's image; None for what the specification says.
    :param offered: What Glance has; empty where it has one store without a name.
    :param type_store: What the volume's type says, as far as this account may see it.
    :param base: The image that the volume was made from; None if it is gone, cannot be seen, or never was.
    :param base_id: Its id; None if the volume was not made from an image.
    :param typed: Whether volumes have types there that could name a store.
    :raises InvalidInput: what was asked for, or what the type says, cannot be had.
    """
    if not offered:
        return _single(asked)
    if asked == ALL:
        return _every(offered)
    if asked == BASE:
        return _asked_base(offered, base, base_id)
    if isinstance(asked, str):
        asked = [asked]
    if asked is not None:
        return _explicit(asked, offered)
    if type_store:
        return _of_type(type_store, offered)
    why = "the volume's type names no store that this account can see, and " if typed else ""
    if not bootable:
        return _default(offered, why + ("the volume is not bootable" if typed else "the volume was not made from an image"))
    placement, lacking = _of_base(offered, base, base_id)
    return placement or _default(offered, why + lacking)


def _single(asked: t.Union[None, str, t.Sequence[str]]) -> Placement:
    if asked is not None and asked not in (ALL, BASE):
        raise InvalidInput("stores: this Glance has only one store, which has no name (enabled_backends is not set there); leave stores out")
    return Placement((), SINGLE, "this Glance has only one store")


def _every(offered: t.Sequence[Store]) -> Placement:
    skipped = {store.id: "it is read-only" for store in offered if store.read_only}
    stores = tuple(store.id for store in offered if not store.read_only)
    if not stores:
        raise InvalidInput("stores: none of Glance's stores can be written to: %s" % _names(offered))
    return Placement(stores, EVERY, "all stores were asked for", skipped)


def _explicit(asked: t.Sequence[str], offered: t.Sequence[Store]) -> Placement:
    if not asked:
        raise InvalidInput("stores: an empty list; name at least one of: %s" % _names(offered))
    twice = sorted({each for each in asked if asked.count(each) > 1})
    if twice:
        raise InvalidInput("stores: named twice: %s" % ", ".join(twice))
    there = {store.id: store for store in offered}
    unknown = [each for each in asked if each not in there]
    if unknown:
        raise InvalidInput("stores: Glance has no store %s; there are: %s" % (" and no store ".join("'%s'" % each for each in unknown), _names(offered)))
    read_only = [each for each in asked if there[each].read_only]
    if read_only:
        raise InvalidInput("stores: nothing can be copied to %s, which is read-only; leave it out" % " and ".join(read_only))
    return Placement(tuple(asked), EXPLICIT, "these stores were asked for")


def _of_type(type_store: str, offered: t.Sequence[Store]) -> Placement:
    found = {store.id: store for store in offered}.get(type_store)
    if found is None or found.read_only:
        raise InvalidInput("the volume's type names the store '%s' (%s), %s; mend the type, or name stores. There are: %s" % (
            type_store, TYPE_STORE, "which Glance does not have" if found is None else "which is read-only", _names(offered)))
    return Placement((type_store,), VOLUME_TYPE, "the volume's type names this store (%s)" % TYPE_STORE)


def _asked_base(offered: t.Sequence[Store], base: t.Optional[Image], base_id: t.Optional[str]) -> Placement:
    placement, lacking = _of_base(offered, base, base_id)
    if placement is None:
        raise InvalidInput("stores: 'base' cannot be served: %s; name stores, or leave stores out" % lacking)
    return placement


def _of_base(offered: t.Sequence[Store], base: t.Optional[Image], base_id: t.Optional[str]) -> t.Tuple[t.Optional[Placement], str]:
    """The stores of the base image; or None, and why not."""
    if base_id is None:
        return None, "the volume was not made from an image"
    if base is None:
        return None, "the image %s that the volume was made from is gone, or not for this project to see" % base_id
    there = {store.id: store for store in offered}
    skipped = {each: "Glance does not offer it any more" for each in base.stores if each not in there}
    skipped.update({each: "it is read-only" for each in base.stores if each in there and there[each].read_only})
    stores = tuple(dict.fromkeys(each for each in base.stores if each not in skipped))
    if not stores:
        each = ", ".join("%s (%s)" % item for item in skipped.items()) or "none that Glance tells of"
        return None, "the image %s that the volume was made from is in no store that can be written to: %s" % (base_id, each)
    return Placement(stores, BASE_IMAGE, "the image %s that the volume was made from is in %s" % (base_id, ", ".join(base.stores)), skipped), ""


def _default(offered: t.Sequence[Store], why: str) -> Placement:
    default = [store for store in offered if store.default and not store.read_only]
    if not default:
        raise InvalidInput("Glance has no default store that can be written to; name stores. There are: %s" % _names(offered))
    return Placement((default[0].id,), DEFAULT, "%s: so it is Glance's default store" % why)


def _names(offered: t.Sequence[Store]) -> str:
    return ", ".join("%s%s" % (store.id, " (read-only)" if store.read_only else "") for store in offered)


def spread(image: Image, placement: Placement, *, only: bool = True) -> t.Tuple[t.Tuple[str, ...], t.Tuple[str, ...]]:
    """The stores that miss an image, and those where it is too many.

    :param only: Whether it shall be in no other stores; else none is too many.
    :raises InvalidInput: it is a volume, which Glance would delete when it removes the image from that volume's store.
    """
    if not placement.stores:
        return (), ()
    missing = tuple(store for store in placement.stores if store not in image.stores)
    surplus = tuple(store for store in dict.fromkeys(image.stores) if store not in placement.stores) if only else ()
    origin = origin_of(image) if surplus else None
    if origin is not None and origin.method == REGISTER:
        raise InvalidInput("stores: the image %s (%s) is the volume %s, which would be deleted with it from one of %s; name these, too" % (
            image.name, image.id, origin.volume, ", ".join(surplus)))
    return missing, surplus
