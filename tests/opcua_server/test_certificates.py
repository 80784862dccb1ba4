"""Our certificate, and the folders in which an administrator says whom to trust."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from scada.opcua_server.certificates import MAX_REJECTED, TrustList, application_uris, own_certificate
from tests.opcua_server.conftest import CLIENT_URI, Identity, make_identity


def test_our_certificate_says_what_the_standard_asks(tmp_path: Path) -> None:
    """OPC 10000-6, 6.2.2: the application URI first among the names, key usages, a long life, a strong key."""
    path, key = own_certificate(tmp_path, "urn:scada:test", ("localhost", "127.0.0.1", "localhost"))
    made = x509.load_der_x509_certificate(path.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    public = made.public_key()

    assert application_uris(path.read_bytes()) == ("urn:scada:test",)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert usage.digital_signature
    assert usage.data_encipherment
    assert isinstance(public, rsa.RSAPublicKey)
    assert public.key_size == 3072
    assert key.stat().st_mode & 0o777 == 0o600


def test_trust_is_a_file_in_a_folder_der_or_pem(tmp_path: Path, identity: Identity) -> None:
    """Read anew when the folder changes; taken away again the same way."""
    der = identity.certificate.read_bytes()
    trust = TrustList(tmp_path)
    assert trust.objection(der) == "not trusted"
    path = tmp_path / "trusted" / "client.pem"
    path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    assert trust.objection(der) == ""
    path.unlink()

    assert trust.objection(der) == "not trusted"


def test_a_file_that_is_no_certificate_does_not_spoil_the_others(tmp_path: Path, identity: Identity) -> None:
    """An administrator's slip must not lock everybody out."""
    trust = TrustList(tmp_path)
    (tmp_path / "trusted" / "a.pem").write_text("-----BEGIN CERTIFICATE-----\nnot\n")
    (tmp_path / "trusted" / "notes.txt").write_text("who is who")
    (tmp_path / "trusted" / "b.der").write_bytes(identity.certificate.read_bytes())

    assert trust.objection(identity.certificate.read_bytes()) == ""


def test_what_is_not_a_certificate_is_named(tmp_path: Path) -> None:
    """No certificate at all, and garbage."""
    trust = TrustList(tmp_path)

    assert trust.objection(None) == "no client certificate"
    assert trust.objection(b"garbage") == "not a certificate"


def test_an_expired_certificate_is_refused_also_in_commissioning(tmp_path: Path) -> None:
    """`trust_any` waives trust, not validity."""
    old = make_identity(tmp_path / "old", "old", days=-1)

    assert TrustList(tmp_path, trust_any=True).objection(old.certificate.read_bytes()) == "not valid at this time"


def test_rejected_certificates_are_kept_once_and_not_without_end(tmp_path: Path, identity: Identity) -> None:
    """Strangers cannot fill the disk: the oldest goes."""
    trust = TrustList(tmp_path)
    for number in range(MAX_REJECTED + 5):
        (tmp_path / "rejected" / f"old{number}.der").write_bytes(b"x")
    for _ in range(3):
        trust.objection(identity.certificate.read_bytes())
    kept = list((tmp_path / "rejected").iterdir())

    assert len(kept) == MAX_REJECTED
    assert sum(one.name.startswith("client-") for one in kept) == 1
    assert trust.rejections == 3


def test_a_hostile_common_name_is_only_a_file_name(tmp_path: Path) -> None:
    """No path leaves the folder, whatever a stranger calls himself."""
    stranger = make_identity(tmp_path / "s", "stranger")
    der = stranger.certificate.read_bytes().replace(b"stranger", b"../../ev")
    TrustList(tmp_path).objection(der)

    assert [one.parent for one in tmp_path.rglob("*ev-*.der")] == [tmp_path / "rejected"]


def test_application_uris_of_garbage_are_none() -> None:
    """Then no application name fits."""
    assert application_uris(b"garbage") == ()
    assert CLIENT_URI not in application_uris(b"")
