# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import CLONE, REGISTER, Origin
from ansible_collections.bootable.volumes.plugins.module_utils.images.placement import SINGLE, Placement, place, spread
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import Store

FILE, RBD, CINDER, WEB = Store("file", default=True), Store("rbd"), Store("cinder"), Store("web", read_only=True)
OFFERED = (FILE, RBD, CINDER, WEB)


def base(*stores: str) -> Image:
    """An image in these stores."""
    return Image("i1", "debian", "active", stores=stores)


# What is known, and: the stores, the rule, words of the reason, what is skipped.
# The first part is the specification "Copy volume to image in multiple stores", case by case.
CASES: t.List[t.Tuple[str, t.Dict[str, t.Any], t.Tuple[str, ...], str, str, t.Dict[str, str]]] = [
    ("bootable, the type has a store", dict(type_store="rbd", bootable=True, base=base("file"), base_id="i1"),
     ("rbd",), "volume_type", "image_service:store_id", {}),
    ("bootable, the type has none, the base image is in one store", dict(bootable=True, base=base("rbd"), base_id="i1"),
     ("rbd",), "base_image", "i1 .* is in rbd", {}),
    ("bootable, the type has none, the base image is in several", dict(bootable=True, base=base("cinder", "rbd"), base_id="i1"),
     ("cinder", "rbd"), "base_image", "is in cinder, rbd", {}),
    ("bootable, the base image is gone", dict(bootable=True, base_id="i1"), ("file",), "default", "i1 .* is gone, or not for this project", {}),
    ("bootable, but not made from an image", dict(bootable=True), ("file",), "default", "not made from an image", {}),
    ("not bootable, the type has a store", dict(type_store="rbd"), ("rbd",), "volume_type", "image_service:store_id", {}),
    ("not bootable, the type has none", dict(), ("file",), "default", "not bootable", {}),
    ("not bootable, though there is a base image", dict(base=base("rbd"), base_id="i1"), ("file",), "default", "not bootable", {}),
    # stores that cannot be had
    ("a store of the base image is gone", dict(bootable=True, base=base("tape", "rbd"), base_id="i1"),
     ("rbd",), "base_image", "is in tape, rbd", {"tape": "Glance does not offer it any more"}),
    ("a store of the base image is read-only", dict(bootable=True, base=base("web", "rbd"), base_id="i1"),
     ("rbd",), "base_image", "is in web, rbd", {"web": "it is read-only"}),
    ("no store of the base image can be had", dict(bootable=True, base=base("web", "tape"), base_id="i1"),
     ("file",), "default", "no store that can be written to: .*web .it is read-only", {}),
    ("Glance does not tell where the base image is", dict(bootable=True, base=base(), base_id="i1"), ("file",), "default", "none that Glance tells of", {}),
    ("two locations in one store", dict(bootable=True, base=base("rbd", "rbd"), base_id="i1"), ("rbd",), "base_image", "", {}),
    # what was asked for comes first
    ("a list", dict(asked=["cinder", "file"], type_store="rbd", bootable=True, base=base("rbd"), base_id="i1"),
     ("cinder", "file"), "explicit", "asked for", {}),
    ("all", dict(asked="all", type_store="rbd"), ("file", "rbd", "cinder"), "all", "all stores", {"web": "it is read-only"}),
    ("where the base image is", dict(asked="base", type_store="file", base=base("rbd"), base_id="i1"), ("rbd",), "base_image", "is in rbd", {}),
    # a Glance with one store
    ("the only store", dict(offered=(), type_store="rbd", bootable=True, base_id="i1"), (), "single", "only one store", {}),
    ("all of one", dict(offered=(), asked="all"), (), "single", "only one store", {}),
    ("base of one", dict(offered=(), asked="base"), (), "single", "only one store", {}),
]


@pytest.mark.parametrize("known, stores, rule, reason, skipped", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_where_an_image_belongs(known: t.Dict[str, t.Any], stores: t.Tuple[str, ...], rule: str, reason: str, skipped: t.Dict[str, str]) -> None:
    found = place(**dict({"asked": None, "offered": OFFERED}, **known))
    assert (found.stores, found.rule, dict(found.skipped)) == (stores, rule, skipped)
    assert re.search(reason, found.reason)


@pytest.mark.parametrize("known, words", [
    (dict(asked=["tape"]), "no store 'tape'; there are: file, rbd, cinder, web .read-only"),
    (dict(asked="tape"), "no store 'tape'"),
    (dict(asked=["tape", "disc"]), "no store 'tape' and no store 'disc'"),
    (dict(asked=["rbd", "web"]), "nothing can be copied to web"),
    (dict(asked=["rbd", "file", "rbd"]), "named twice: rbd"),
    (dict(asked=[]), "empty list"),
    (dict(asked="base"), "'base' cannot be served: the volume was not made from an image"),
    (dict(asked="base", base_id="i1"), "'base' cannot be served: the image i1 .* is gone"),
    (dict(asked="base", base_id="i1", base=base("web")), "'base' cannot be served: .* no store that can be written to"),
    (dict(type_store="tape"), "names the store 'tape' .*, which Glance does not have; mend the type, or name stores. There are: file"),
    (dict(type_store="web"), "names the store 'web' .*, which is read-only"),
    (dict(asked="all", offered=[WEB]), "none of Glance's stores can be written to"),
    (dict(offered=[RBD]), "no default store"),
    (dict(asked=["rbd"], offered=[]), "only one store, which has no name"),
])
def test_what_cannot_be_had(known: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        place(**dict({"asked": None, "offered": OFFERED}, **known))


@pytest.mark.parametrize("there, wanted, only, missing, surplus", [
    (("file",), ("rbd", "cinder"), False, ("rbd", "cinder"), ()),
    (("file",), ("rbd", "cinder"), True, ("rbd", "cinder"), ("file",)),
    (("file", "rbd", "file"), ("rbd",), True, (), ("file",)),
    (("rbd",), ("rbd",), True, (), ()),
    ((), (), True, (), ()),
])
def test_what_is_missing_and_too_many(there: t.Tuple[str, ...], wanted: t.Tuple[str, ...], only: bool,
                                      missing: t.Tuple[str, ...], surplus: t.Tuple[str, ...]) -> None:
    assert spread(base(*there), Placement(wanted, SINGLE, ""), only=only) == (missing, surplus)


def test_a_registered_volume_stays_where_it_is() -> None:
    def made(method: str) -> Image:
        return Image("i1", "golden", "active", stores=("cinder",), properties=Origin("v1", method).properties("i1"))

    rbd = Placement(("rbd",), SINGLE, "")
    assert spread(made(CLONE), rbd) == (("rbd",), ("cinder",))
    assert spread(made(REGISTER), rbd, only=False) == (("rbd",), ())
    with pytest.raises(InvalidInput, match="golden .i1. is the volume v1, which would be deleted with it from one of cinder"):
        spread(made(REGISTER), rbd)
