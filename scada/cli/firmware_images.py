"""Makers' keys and images of `scada firmware`, straight in the store: beside a running server, or without one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from scada.cli.output import print_json, print_table
from scada.cli.periods import utc_ns
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.drivers.dmesh.updates import image_of
from scada.errors import CommandRejected, ConfigError, Problem
from scada.firmware.store import FILE, FirmwareStore, Package
from scada.firmware.trust import TrustedKey, faults, key_file_of, vouched
from scada.lock import private_directory, private_files
from scada.settings import load

MOST_BYTES: Final = 0x0100_0000         # of an image (docs/dmlp.md)
SIGNATURE_BYTES: Final = 64


@click.command()
@CONFIG
@click.argument("key_file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--vendor", required=True, help="The maker, exactly as manifests name it.")
@click.option("--remove", is_flag=True, help="Trust it no longer; campaigns with its images pause by themselves.")
def trust(config: Path, key_file: Path, vendor: str, remove: bool) -> None:
    """Trust the public key in KEY_FILE (Ed25519: PEM, or 64 hex digits) for images of --vendor; compare its fingerprint."""
    key = TrustedKey(vendor, key_file_of(key_file), time.time_ns(), person().name)
    with _store(config) as store:
        there = next((one for one in store.trusted() if one.key == key.key), None)
        if remove:
            if there is None:
                raise ConfigError([Problem(str(key_file), "", f"{key.fingerprint} is not trusted")])
            _audited(config, "distrust", there.vendor, fingerprint=key.fingerprint)
            store.distrust(key.key)
        elif there is not None:
            raise ConfigError([Problem(str(key_file), "", f"{key.fingerprint} is trusted already, for {there.vendor}")])
        else:
            _audited(config, "trust", vendor, fingerprint=key.fingerprint)
            store.trust(key)
    click.echo(f"{vendor}: key {key.fingerprint} is {'no longer ' if remove else ''}trusted")


@click.command("import")
@CONFIG
@click.argument("image", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--manifest", type=click.Path(path_type=Path), help="Its manifest.  [default: IMAGE.manifest]")
@click.option("--signature", type=click.Path(path_type=Path), help="The manifest's signature.  [default: IMAGE.sig]")
def import_(config: Path, image: Path, manifest: Path | None, signature: Path | None) -> None:
    """Take IMAGE with its manifest and signature, if a trusted key of its maker signed it and every byte is right."""
    content = _read(image, MOST_BYTES)
    body = _read(manifest or image.with_name(f"{image.name}.manifest"), 512)
    signed = _read(signature or image.with_name(f"{image.name}.sig"), SIGNATURE_BYTES)
    said = image_of(body)
    with _store(config) as store:
        if found := faults(said, signed, content, store.trusted()):
            raise CommandRejected(found)
        name = f"{said.vendor} {said.hardware} {said.version}"
        if any(one.id == said.id for one in store.packages()):
            click.echo(f"{name}: image {said.id.hex()} is here already")
            return
        _audited(config, "import", name, image=said.id.hex(), size=said.size, sha256=said.sha256.hex())
        store.add_image(Package(said.id, body, signed, time.time_ns(), person().name), content)
    click.echo(f"{name}: image {said.id.hex()} imported, {said.size} bytes, {said.blocks} blocks")


@click.command("list")
@CONFIG
@AS_JSON
def list_(config: Path, as_json: bool) -> None:
    """List the trusted keys and the images, each with the key that signed it."""
    with _store(config) as store:
        keys, packages = store.trusted(), store.packages()
    images: list[dict[str, Any]] = []
    for one in packages:
        said = image_of(one.manifest)
        signer = vouched(said, one.signature, keys)
        images.append({
            "id": said.id.hex(), "vendor": said.vendor, "hardware": said.hardware, "version": said.version,
            "rollback": said.rollback, "size": said.size, "signer": signer.fingerprint if signer else "",
            "imported": utc_ns(one.imported), "by": one.by,
        })
    known = [
        {"vendor": one.vendor, "fingerprint": one.fingerprint, "added": utc_ns(one.added), "by": one.by} for one in keys
    ]
    if as_json:
        print_json({"keys": known, "images": images})
        return
    print_table("trusted keys", ("maker", "fingerprint", "added (UTC)", "by"), [tuple(one.values()) for one in known])
    rows = [[str(value) for value in (one | {"signer": one["signer"] or "not trusted"}).values()] for one in images]
    columns = ("image", "maker", "hardware", "version", "rollback", "bytes", "signed with", "imported (UTC)", "by")
    print_table("images", columns, rows, numbers=(4, 5))


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from None
    if len(data) > most:
        raise ConfigError([Problem(str(path), "", f"has more than {most} bytes; expected at most so many")])
    return data


@contextmanager
def _store(config: Path) -> Iterator[FirmwareStore]:
    private_files()
    settings = load(config)
    private_directory(settings.data_dir)
    store = FirmwareStore(settings.data_dir / FILE)
    store.open()
    try:
        yield store
    finally:
        store.close()


def _audited(config: Path, action: str, target: str, **detail: Any) -> None:
    with registry_of(config) as database:
        database.audit.append_now(person(), f"firmware.{action}", target, **detail)
