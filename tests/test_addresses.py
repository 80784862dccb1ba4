"""What the server says about where it listens can be typed into a browser."""

from urllib.parse import urlsplit

from scada.app import announcement
from scada.settings import HmiSettings, OpcuaSettings, Settings, SiteSettings


def test_an_ipv6_address_is_announced_as_a_url_that_works() -> None:
    """In brackets, for the pages and for OPC UA."""
    settings = Settings(
        site=SiteSettings(name="North"), hmi=HmiSettings(host="fd00::5", port=8080),
        opcua=OpcuaSettings(host="::1", port=4840),
    )
    urls = [urlsplit(word) for word in announcement(settings).split() if "://" in word]

    assert [(url.hostname, url.port) for url in urls] == [("fd00::5", 8080), ("::1", 4840)]
