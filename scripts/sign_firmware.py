"""The maker's side of firmware: writes IMAGE.manifest and IMAGE.sig, which `scada firmware import` takes with the image.

    openssl genpkey -algorithm ed25519 -out maker.pem
    openssl pkey -in maker.pem -pubout -out maker.pub.pem
    python scripts/sign_firmware.py image.bin --key maker.pem --vendor Maker --hardware D100FC --version 2.0 --rollback 2

The private key stays with the maker. What is signed is in docs/dmlp.md, section 9.
"""

import hashlib
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scada.drivers.dmesh.messages import Manifest, image_id, manifest_body, read_manifest, signed_part
from scada.drivers.dmesh.rejected import Rejected


@click.command()
@click.argument("image", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path, exists=True), help="Private key, PEM.")
@click.option("--vendor", required=True, help="Maker, as the server's administrator will name it.")
@click.option("--hardware", required=True, help="Hardware class the image is for.")
@click.option("--version", required=True, help="What a module says that runs it.")
@click.option("--rollback", required=True, type=click.IntRange(0), help="Anti-rollback number; modules never go below it.")
@click.option("--block-size", default=896, show_default=True, type=click.IntRange(16, 896), help="Bytes of a block.")
def sign(image: Path, key_file: Path, vendor: str, hardware: str, version: str, rollback: int, block_size: int) -> None:
    """Sign IMAGE."""
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise click.ClickException(f"{key_file}: expected an Ed25519 private key in PEM, without a passphrase")
    content = image.read_bytes()
    body = manifest_body(
        Manifest(vendor, hardware, version, rollback, len(content), hashlib.sha256(content).digest(), block_size)
    )
    if isinstance(found := read_manifest(body), Rejected):
        raise click.ClickException(f"no device would take it: {found.detail}")
    for ending, data in (("manifest", body), ("sig", key.sign(signed_part(body)))):
        image.with_name(f"{image.name}.{ending}").write_bytes(data)
    click.echo(f"{vendor} {hardware} {version}: image {image_id(body).hex()}")


if __name__ == "__main__":
    sign()
