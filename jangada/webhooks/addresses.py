"""Which addresses are public, and what a host name that is an address spells."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA special-purpose registries, plus multicast. Written out because the properties
# of `ipaddress` (is_global, is_private) differ between Python versions.
_FORBIDDEN = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's host agent: public by its number, local to every machine there
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")


def is_forbidden(address: Address) -> bool:
    """Whether *address* is loopback, private, link-local (cloud metadata), multicast or otherwise not public."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded_ipv4(address)
        if embedded is not None:
            return is_forbidden(embedded)
    return any(address.version == network.version and address in network for network in _FORBIDDEN)


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, NAT64 or 6to4."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return address.sixtofour
    return None


def plain_host(host: str) -> str:
    """*host* as a resolver reads it: full-width digits and circled letters are plain ones, a last dot is nothing."""
    return unicodedata.normalize("NFKC", host).lower().replace("\u3002", ".").rstrip(".")


def spelled_address(host: str) -> Address | None:
    """
    The address that *host* (a `plain_host`) spells, None for a name.

    Resolvers read ``127.1``, ``0x7f000001`` and ``2130706433`` as addresses too (inet_aton), so we do.
    Raises `ValueError` for what ends in a number and is no address: no name does (WHATWG URL §3.5).
    """
    try:
        return ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        pass
    if not _NUMBER.match(host.rpartition(".")[2]):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError as error:
        raise ValueError(f"{host} is not an address") from error
