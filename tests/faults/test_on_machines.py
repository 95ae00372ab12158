"""Faults that only a kernel of one's own can have: an NFS server that goes away, a full thin pool, a disk that is unplugged, a host that is reset.

Modules run on the machine birch, by Ansible over ssh; alder has the NFS server. scripts/lab machine up alder birch.
"""

from __future__ import annotations

import hashlib
import re

import pytest

from faults.machine import MACHINES, Machine, serving

SIZE = 16 << 20
DISK = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_data4"

STORAGES = {
    "nfs": {"driver": "file", "mountpoint": "/srv/nfs"},
    "staged": {"driver": "file", "mountpoint": "/srv/nfs", "format": "qcow2"},
    "soft": {"driver": "file", "mountpoint": "/srv/soft"},
    "thick": {"driver": "lvm", "vg": "volumes"},
    "thin": {"driver": "lvm", "vg": "volumes", "thin_pool": "pool"},
    "small": {"driver": "lvm", "vg": "volumes", "thin_pool": "small"},
    "block": {"driver": "block", "devices": {"block": DISK}},
}
PATHS = {"nfs": "/srv/nfs/nfs", "staged": "/srv/nfs/staged", "soft": "/srv/soft/soft", "thick": "/dev/volumes/thick", "thin": "/dev/volumes/thin",
         "small": "/dev/volumes/small-1", "block": DISK}
NAMES = dict({name: name for name in STORAGES}, small="small-1")
# Succeeds once a volume is being filled; the image's second half is not sent before that.
BEGUN = {
    "nfs": "test -s /srv/nfs/.nfs.partial",
    "staged": "test -s /srv/nfs/.staged.partial.stored",
    "soft": "test -s /srv/soft/.soft.partial",
    **{name: "lvs --noheadings -o lv_tags volumes/%s | grep -q state=filling" % NAMES[name] for name in ("thick", "thin", "small")},
    "block": "grep -q filling /var/lib/bootable.volumes/block/*.json",
}

SERVER = """
mkdir -p /srv/export
mountpoint -q /srv/export || {
    blkid /dev/disk/by-id/virtio-data1 >/dev/null || mkfs.xfs -q /dev/disk/by-id/virtio-data1
    mount /dev/disk/by-id/virtio-data1 /srv/export
}
printf '[nfsd]\\ngrace-time=10\\nlease-time=10\\n' >/etc/nfs.conf.d/lab.conf
printf '/srv/export 192.168.177.0/24(rw,no_root_squash,no_subtree_check)\\n' >/etc/exports
systemctl is-active -q nfs-server || systemctl start nfs-server
exportfs -r
"""
MOUNTED = """
mkdir -p /srv/nfs /srv/soft
mountpoint -q /srv/nfs || mount -t nfs4 alder:/srv/export /srv/nfs
mountpoint -q /srv/soft || mount -t nfs4 -o soft,timeo=20,retrans=1,nosharecache alder:/srv/export /srv/soft
"""
CLIENT = MOUNTED + """
vgs volumes >/dev/null 2>&1 || {
    vgcreate -q volumes /dev/disk/by-id/virtio-data3
    lvcreate -q --yes --type thin-pool --name pool --size 1G volumes
}
"""
CLEAN = """
rm -rf /srv/nfs/{nfs,staged,soft} /srv/nfs/.{nfs,staged,soft}.* /var/lib/bootable.volumes
for name in thick thin hog small-1 small; do
    ! lvs volumes/$name >/dev/null 2>&1 || lvremove -q --yes volumes/$name
done
dd if=/dev/zero of=%(disk)s bs=1M count=1 status=none
dd if=/dev/zero of=%(disk)s bs=1M count=1 seek=1023 status=none
""" % {"disk": DISK}


@pytest.fixture(scope="module")
def alder():
    if not (MACHINES / "alder").exists():
        pytest.fail("the machines are down; start them with scripts/lab machine up alder birch")
    found = Machine("alder")
    found.call(SERVER)
    return found


@pytest.fixture(scope="module")
def prepared(alder):
    found = Machine("birch")
    found.call(CLIENT)
    return found


@pytest.fixture
def birch(prepared):
    prepared.call(CLEAN)
    return prepared


@pytest.fixture
def image():
    with serving(SIZE) as found:
        yield found


def wish(image, where):
    """What the module is asked for."""
    return {"image_url": image.url, "image_format": "raw", "image_checksum": "sha256:" + hashlib.sha256(image.content).hexdigest(), "name": NAMES[where],
            "storage": STORAGES[where], "timeout": 800}


def start(birch, image, *places):
    """Runs that have written something, and get no more before the image is released."""
    runs = [birch.start("volume_from_image", **wish(image, where)) for where in places]
    for where in places:
        birch.wait_for(BEGUN[where])
    return runs


def expect_failure(run, words):
    """How a run failed, in words that tell what to do."""
    result = run.result()
    assert result.get("failed") and re.search(words, result["msg"]), result
    assert "Traceback" not in str(result), result


def expect_whole(birch, image, where, hows=("adopted", "copied")):
    """A run brings it to its end, another one has nothing to do, and the bytes are those of the image."""
    result = birch.run("volume_from_image", **wish(image, where))
    assert not result.get("failed") and result["volumes"][0]["how"] in hows, result
    result = birch.run("volume_from_image", **wish(image, where))
    assert not result.get("changed") and result["volumes"][0]["how"] == "unchanged", result
    format = STORAGES[where].get("format", "raw")
    found = birch.call("""
        echo 3 >/proc/sys/vm/drop_caches
        qemu-img dd -f %s -O raw bs=1M count=%d if=%s of=/root/content
        sha256sum /root/content
    """ % (format, SIZE >> 20, PATHS[where]))
    assert found.split()[0] == hashlib.sha256(image.content).hexdigest()


def left_by(birch, *names):
    """Everything on NFS that belongs to these volumes, or to nothing."""
    return sorted(name for name in birch.call("ls -A /srv/nfs").split() if name.strip(".").split(".")[0] in names or re.match(r"\.(nfs\d|bootable)", name))


def test_a_copy_waits_for_an_nfs_server_that_is_away(alder, birch, image):
    run, = start(birch, image, "nfs")
    alder.call("systemctl stop nfs-server")
    try:
        image.release()
        assert not run.is_over
    finally:
        alder.call("systemctl start nfs-server")
    result = run.result()
    assert result["volumes"][0]["how"] == "copied", result
    expect_whole(birch, image, "nfs", ("unchanged",))


def test_a_soft_mount_gives_up_and_says_so(alder, birch, image):
    run, = start(birch, image, "soft")
    alder.call("systemctl stop nfs-server")
    try:
        image.release()
        expect_failure(run, "/srv/soft.*(Input/output error|timed out)")
    finally:
        alder.call("systemctl start nfs-server")
    expect_whole(birch, image, "soft")
    assert left_by(birch, "soft") == [".soft.volume.json", "soft"]


def test_a_thin_pool_becomes_full(birch, image):
    birch.call("lvcreate -q --yes --type thin-pool --name small --size 24M volumes && lvchange -q --errorwhenfull y volumes/small")
    run, = start(birch, image, "small")
    birch.call("""
        lvcreate -q --yes --type thin --virtualsize 64M --name hog --thinpool small volumes
        ! dd if=/dev/urandom of=/dev/volumes/hog bs=1M oflag=direct
    """)
    image.release()
    expect_failure(run, "the thin pool volumes/small became full.*lvextend")
    assert "small-1" not in birch.call("lvs --noheadings -o lv_name volumes").split()
    birch.call("lvextend -q --yes --size +64M volumes/small")
    expect_whole(birch, image, "small", ("copied",))


def test_a_disk_is_unplugged(birch, image):
    run, = start(birch, image, "block")
    birch.unplug("data4")
    try:
        birch.wait_for("[ ! -e %s ]" % DISK)
        image.release()
        expect_failure(run, "writing to /dev/.* failed.*(not there any more|error)")
    finally:
        birch.plug("data4")
    birch.wait_for("[ -b %s ]" % DISK)
    expect_whole(birch, image, "block")


def test_a_logical_volume_loses_its_disk(birch, image):
    run, = start(birch, image, "thick")
    birch.call("""
        dmsetup load volumes-thick --table "0 $(dmsetup table volumes-thick | cut -d ' ' -f 2) error"
        dmsetup resume volumes-thick
    """)
    try:
        image.release()
        expect_failure(run, "writing to /dev/.* failed.*Input/output error")
    finally:
        birch.call("lvchange --refresh volumes/thick")
    expect_whole(birch, image, "thick")


def test_the_host_is_reset(birch, image):
    places = ["nfs", "staged", "thick", "thin", "block"]
    runs = start(birch, image, *places)
    birch.reset()
    for run in runs:
        run.end()
    birch.call(MOUNTED)
    image.release()
    for where in places:
        expect_whole(birch, image, where)
    assert left_by(birch, "nfs", "staged") == [".nfs.volume.json", ".staged.volume.json", "nfs", "staged"]
