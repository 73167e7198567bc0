"""Certificates for servers and clients of tests, made with openssl."""

from __future__ import annotations

import pathlib
import subprocess


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def make_certificate(folder: pathlib.Path, name: str, names: str, signer: str | None) -> None:
    """NAME.pem and NAME.key, for `names` ("IP:127.0.0.1,DNS:localhost"); signed by SIGNER, else by itself."""
    request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
               "-keyout", str(folder / f"{name}.key")]
    if signer is None:
        _openssl(*request, "-x509", "-days", "2", "-out", str(folder / f"{name}.pem"))
        return
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    _openssl(*request, "-out", str(folder / f"{name}.csr"))
    _openssl("x509", "-req", "-in", str(folder / f"{name}.csr"), "-CA", str(folder / f"{signer}.pem"),
             "-CAkey", str(folder / f"{signer}.key"), "-CAcreateserial", "-days", "2", "-extfile", str(folder / f"{name}.ext"),
             "-out", str(folder / f"{name}.pem"))


def make_certificates(folder: pathlib.Path, server: str) -> pathlib.Path:
    """What tests of a server with TLS need: an authority, another one, a server's for the names `server` and one for names that
    are not its, and a client's. Returns `folder`."""
    make_certificate(folder, "ca", "", None)
    make_certificate(folder, "other", "", None)
    make_certificate(folder, "server", server, "ca")
    make_certificate(folder, "elsewhere", "DNS:elsewhere.example", "ca")
    make_certificate(folder, "client", "DNS:licensor", "ca")
    return folder
