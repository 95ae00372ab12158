"""A certificate authority and a certificate for 127.0.0.1, made by the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365")


@dataclass(frozen=True)
class Certificates:
    """Where they lie."""

    authority: Path  # what clients are to trust
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def _request(folder: Path, *words: str | Path) -> None:
    done = subprocess.run(["openssl", "req", "-x509", *KEY, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"openssl: {done.stderr.strip()}")


def make(folder: Path) -> Certificates:
    """Makes them, or takes those that are there. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder / "ca.pem", folder / "host.pem", folder / "host.key")
    if not all(path.exists() for path in (made.authority, made.certificate, made.key)):
        authority_key = folder / "ca.key"
        _request(
            folder, "-keyout", authority_key, "-out", made.authority, "-subj", "/CN=XAPI simulator",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _request(
            folder, "-keyout", made.key, "-out", made.certificate, "-subj", "/CN=127.0.0.1", "-CA", made.authority, "-CAkey", authority_key,
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=serverAuth")
    return made
