"""Which addresses pages may come from, whatever way they are written."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from everturn.tools.kit.web import Refused
from everturn.tools.kit.web.addresses import Rules, is_public
from tests.tools.world import settings

INSIDE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254
168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1
192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1::1 2001:10::1 2001:db8::1
2002:7f00:1:: 2002:a9fe:a9fe:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1
ff02::1 ff0e::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.215.14 100.63.255.255 100.128.0.0 172.15.255.255
172.32.0.0 192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255
2606:4700:4700::1111 2a00:1450:4001::200e 2400:cb00::1 ::ffff:8.8.8.8 64:ff9b::808:808
"""


@pytest.mark.parametrize("address", INSIDE.split())
def test_inside(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_nothing_is_public_that_python_calls_private(address: IPv4Address) -> None:
    if is_public(address):
        assert not address.is_private
        assert not address.is_multicast
        assert not address.is_reserved
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_unspecified


@given(st.ip_addresses(v=6))
def test_nothing_of_version_6_is_public_that_python_calls_private(address: IPv6Address) -> None:
    if is_public(address) and address.ipv4_mapped is None and address.packed[:2] != b"\x00\x64":
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
@example(IPv4Address("169.254.169.254"))
@example(IPv4Address("8.8.8.8"))
def test_an_address_is_the_same_in_whatever_it_is_wrapped(address: IPv4Address) -> None:
    number = int(address)
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        assert is_public(IPv6Address(int(IPv6Address(prefix)) | number)) is is_public(address)
    assert not is_public(IPv6Address((0x2002 << 112) | (number << 80)))  # 6to4
    assert not is_public(IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)))  # Teredo


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "8.8.8.0x8", "1"],
)
def test_odd_numbers_are_no_hosts(host: str) -> None:
    if host == "127.0.0.1.":
        Rules().check_host(host)  # an address, which is judged as one
        return
    with pytest.raises(Refused, match="number"):
        Rules().check_host(host)


@pytest.mark.parametrize(
    "host", ["example.org", "1.example.org", "8.8.8.8", "2606:4700::1", "xn--9"]
)
def test_hosts(host: str) -> None:
    Rules().check_host(host)


def test_the_operator_allows_and_denies() -> None:
    rules = Rules.of(
        settings(
            fetch_allow="example.org, *.python.org",
            fetch_deny="private.python.org",
            fetch_networks="",
        )
    )
    for host in ("example.org", "EXAMPLE.org.", "docs.python.org"):
        rules.check_host(host)
    for host in ("evil.org", "python.org", "private.python.org", "example.org.evil.org"):
        with pytest.raises(Refused, match="operator"):
            rules.check_host(host)


def test_ports() -> None:
    public, inside = ip_address("8.8.8.8"), ip_address("10.1.2.3")
    for port in (80, 443, 8080, 8443):
        Rules().check_addresses("h", [public], port)
    for port in (0, 22, 25, 6379, 9200):
        with pytest.raises(Refused, match="Port"):
            Rules().check_addresses("h", [public], port)
    opened = Rules.of(settings(fetch_networks="10.1.0.0/16"))
    opened.check_addresses("h", [inside], 9200)
    with pytest.raises(Refused, match="not a public host"):
        opened.check_addresses("h", [ip_address("10.2.0.1")], 80)


def test_one_address_inside_is_enough() -> None:
    with pytest.raises(Refused, match="not a public host"):
        Rules().check_addresses("h", [ip_address("8.8.8.8"), ip_address("127.0.0.1")], 80)


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ValidationError, match=r"10\.1\.0\.0/16"):
        settings(fetch_networks="10.1.2.3/16")
