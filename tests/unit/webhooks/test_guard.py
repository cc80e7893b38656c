"""Which addresses are called. No socket is opened: what is refused is refused before one would be."""

import ipaddress

import pytest

from jangada.webhooks.addresses import is_forbidden
from jangada.webhooks.guard import OutboundError, OutboundGuard

FORBIDDEN = [
    "127.0.0.1",
    "127.255.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.1.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001::1",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "fd00:ec2::254",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_address_that_is_not_public_is_forbidden(address):
    assert is_forbidden(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_not_forbidden(address):
    assert not is_forbidden(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "http://example.com/",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com:22/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com/a b",
        "https://example.com/\r\nX-Injected: 1",
        "https://example.com\\@127.0.0.1/",
        "https://localhost/",
        "https://api.localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://" + "a" * 70 + ".example.com/",
        "https://localhost./",
        "https://ⓛocalhost/",
        "https://0/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127。0。0。1/",
        "https://１２７.0.0.1/",
        "https://①②⑦.⓪.⓪.①/",
        "https://127.0.0.1./",
        "https://1.2.3.4.5/",
        "https://example.999/",
        "https://8.8.8.8%00.example.com/",
    ],
)
def test_url_is_refused_without_asking_dns(url):
    def never(host, port):
        raise AssertionError("DNS was asked")

    with pytest.raises(OutboundError) as caught:
        OutboundGuard(resolve=never).check(url)
    assert caught.value.reason == "refused"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?a=b",
        "https://example.com:8443/",
        "https://8.8.8.8/x",
        "https://134744072/",
        "https://bücher.example/",
    ],
)
def test_url_is_accepted(url):
    OutboundGuard().check(url)


def test_plain_http_is_accepted_when_the_operator_says_so():
    OutboundGuard(allow_http=True).check("http://example.com/")


def test_named_internal_host_may_be_anything():
    OutboundGuard(allowed_hosts=["hooks.internal"]).check("http://HOOKS.internal.:22/x")


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "017700000001", "rebound.example.com"])
def test_name_that_resolves_to_loopback_is_refused(host):
    guard = OutboundGuard(resolve=lambda host, port: ["127.0.0.1"])
    with pytest.raises(OutboundError) as caught:
        guard.request("GET", f"https://{host}/")
    assert caught.value.reason == "refused"


def test_one_internal_address_among_public_ones_is_refused():
    guard = OutboundGuard(resolve=lambda host, port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(OutboundError) as caught:
        guard.request("GET", "https://mixed.example.com/")
    assert caught.value.reason == "refused"


def test_scoped_link_local_address_is_refused():
    guard = OutboundGuard(resolve=lambda host, port: ["fe80::1%eth0"])
    with pytest.raises(OutboundError) as caught:
        guard.request("GET", "https://scoped.example.com/")
    assert caught.value.reason == "refused"


def test_name_without_address_is_unreachable():
    def fails(host, port):
        raise OSError("Name or service not known")

    with pytest.raises(OutboundError) as caught:
        OutboundGuard(resolve=fails).request("GET", "https://nowhere.example.com/")
    assert caught.value.reason == "unreachable"
