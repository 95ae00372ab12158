# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulator by itself: it tells where it is, and leaves nothing of its state."""

from __future__ import annotations

import os
import pathlib
import ssl
import subprocess
import sys
import xmlrpc.client

import yaml

TESTS = pathlib.Path(__file__).absolute().parents[3]


def test_it_says_where_it_is_and_goes_when_told(tmp_path: pathlib.Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.xapi", str(tmp_path)], env={**os.environ, "PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and "the pool answers at https://127.0.0.1:" in process.stdout.readline()
        access = yaml.safe_load((tmp_path / "xapi.yml").read_text())
        assert (tmp_path / "xapi.yml").stat().st_mode & 0o777 == 0o600
        assert "export XENSERVER_PASSWORD=%s\n" % access["password"] in (tmp_path / "env.sh").read_text()
        assert access["hosts"][0] == access["hostname"]
        proxy = xmlrpc.client.ServerProxy(access["hostname"], context=ssl.create_default_context(cafile=access["ca_path"]))
        answer = proxy.session.login_with_password(access["username"], access["password"], "1.0", "tests")
        assert isinstance(answer, dict) and answer["Status"] == "Success"
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
        if process.stdout:
            process.stdout.close()
    assert {path.name for path in tmp_path.iterdir()} == {"guests", "tls"}
