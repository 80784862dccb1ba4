"""Who may open a secure channel: our own certificate, and the list of client certificates an administrator trusts.

A client's certificate is trusted by lying in `trusted/` (DER or PEM, any file name), byte for byte: no certificate
authority stands between. An unknown one is kept in `rejected/`, so that trusting it is moving a file.
"""

import contextlib
import ipaddress
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY_BITS: Final = 3072                  # NIST SP 800-57: good beyond 2030; Basic256Sha256 allows 2048-4096
MIN_CLIENT_BITS: Final = 2048           # the least that the offered policies allow (OPC 10000-7)
VALID_FOR: Final = timedelta(days=3650)
MAX_REJECTED: Final = 50                # files; beyond it the oldest goes


def own_certificate(folder: Path, application_uri: str, hosts: tuple[str, ...]) -> tuple[Path, Path]:
    """Paths of our (certificate, key) in DER and PEM; both made at the first start, and kept then."""
    certificate, key = folder / "server.der", folder / "server.pem"
    if certificate.exists() and key.exists():
        return certificate, key
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scada OPC UA server")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(                                 # OPC 10000-6, 6.2.2: what an application certificate says
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(application_uri), *_names(hosts)])
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + VALID_FOR)
        .add_extension(names, False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem, 0o600)
    _write(certificate, built.public_bytes(serialization.Encoding.DER), 0o644)
    return certificate, key


def _names(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by others on the way."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class TrustList:
    """The administrator's folders; read anew whenever `trusted/` changes, so trust needs no restart."""

    def __init__(self, folder: Path, *, trust_any: bool = False) -> None:
        self._trusted, self._rejected, self._trust_any = folder / "trusted", folder / "rejected", trust_any
        for one in (folder, self._trusted, self._rejected):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._known: frozenset[bytes] = frozenset()
        self.rejections = 0

    def objection(self, der: bytes | None) -> str:
        """Why this client certificate is not accepted; "" when it is."""
        if not der:
            return "no client certificate"
        try:
            certificate = x509.load_der_x509_certificate(der)
            public = certificate.public_key()
        except ValueError:
            return "not a certificate"
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return "not valid at this time"
        if not isinstance(public, rsa.RSAPublicKey) or public.key_size < MIN_CLIENT_BITS:
            return f"not an RSA key of {MIN_CLIENT_BITS} bits or more"
        if self._trust_any or certificate.public_bytes(serialization.Encoding.DER) in self._trust():
            return ""
        self._keep(certificate)
        return "not trusted"

    def _trust(self) -> frozenset[bytes]:
        files = sorted(one for one in self._trusted.iterdir() if one.suffix.lower() in {".der", ".pem", ".crt", ".cer"})
        seen = tuple((one.name, one.stat().st_mtime_ns, one.stat().st_size) for one in files)
        if seen != self._seen:
            self._known = frozenset(der for one in files if (der := _read(one)))
            self._seen = seen
        return self._known

    def _keep(self, certificate: x509.Certificate) -> None:
        self.rejections += 1
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        common = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(names[0].value) if names else "unnamed")[:40].strip(".")
        path = self._rejected / f"{common}-{certificate.fingerprint(hashes.SHA1()).hex()[:16]}.der"
        if path.exists():
            return
        kept = sorted(self._rejected.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        with contextlib.suppress(OSError):                 # a full disk must not change the answer
            for old in kept[:max(0, len(kept) - MAX_REJECTED + 1)]:
                old.unlink()
            path.write_bytes(certificate.public_bytes(serialization.Encoding.DER))


def _read(path: Path) -> bytes | None:
    """A trusted certificate's DER; None for a file that is none (the others must still count)."""
    data = path.read_bytes()
    with contextlib.suppress(ValueError):
        load = x509.load_pem_x509_certificate if data.lstrip().startswith(b"-----") else x509.load_der_x509_certificate
        return load(data).public_bytes(serialization.Encoding.DER)
    return None


def application_uris(der: bytes) -> tuple[str, ...]:
    """The application URIs a certificate speaks for (OPC 10000-4, 6.1.3)."""
    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier))
