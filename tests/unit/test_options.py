"""The arguments of open(): sizes, times, names, URLs."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.errors import InvalidKey, InvalidValue
from shoal.options import (
    DEFAULT,
    KEEP,
    MAX_TTL,
    MISSING,
    Options,
    check_name,
    make_url,
    parse_mode,
    parse_options,
    parse_size,
    parse_timeout,
    parse_ttl,
    ttl_to_ns,
)


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (1, 1),
        (123_456, 123_456),
        ("123", 123),
        ("10B", 10),
        ("64kb", 64_000),
        ("64KB", 64_000),
        ("64KiB", 65_536),
        ("512MiB", 512 << 20),
        ("4GiB", 4 << 30),
        ("4gb", 4_000_000_000),
        ("1TiB", 1 << 40),
        ("1.5GiB", 3 << 29),
        (" 2 MiB ", 2 << 20),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_sizes(size: int | str, count: int) -> None:
    assert parse_size(size) == count
    assert parse_options("x", size=size).size == count


@pytest.mark.parametrize(
    "size",
    [
        "",
        "MiB",
        "12 bananas",
        "4G",
        "4M",
        "1e6",
        "-1",
        "0",
        "0MiB",
        "1_000",
        "1.2.3MiB",
        ".",
        "٣",
        "nan",
        "inf",
        "1KiBB",
    ],
)
def test_text_that_is_no_size(size: str) -> None:
    with pytest.raises(InvalidValue):
        parse_size(size)


@pytest.mark.parametrize("size", [0, -1, True, False, 1.5, b"1MiB", [1]])
def test_what_is_no_size(size: Any) -> None:
    with pytest.raises(InvalidValue):
        parse_size(size)


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (1, 1.0),
        (0.25, 0.25),
        (1e-9, 1e-9),
        (timedelta(minutes=1), 60.0),
        (timedelta(microseconds=1), 1e-6),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 2), 0.5),
        (np.int64(3), 3.0),
        (np.float32(0.5), 0.5),
        (MAX_TTL, MAX_TTL),
        (None, None),
        (math.inf, None),
    ],
)
def test_times_to_live(ttl: Any, seconds: float | None) -> None:
    parsed = parse_ttl(ttl)
    assert parsed == seconds
    assert parsed is None or type(parsed) is float


@pytest.mark.parametrize(
    "ttl",
    [
        0,
        0.0,
        -1,
        -math.inf,
        math.nan,
        timedelta(0),
        timedelta(days=-1),
        True,
        "5",
        b"5",
        1j,
        [],
        MAX_TTL * 1.01,
        10**400,
    ],
)
def test_what_is_no_time_to_live(ttl: Any) -> None:
    with pytest.raises(InvalidValue):
        parse_ttl(ttl)


def test_sentinels_stay_themselves() -> None:
    assert parse_ttl(DEFAULT) is DEFAULT
    assert parse_ttl(KEEP) is KEEP
    assert [repr(one) for one in (DEFAULT, KEEP, MISSING)] == ["<default>", "<keep>", "<missing>"]


def test_a_time_to_live_never_becomes_0_nanoseconds() -> None:
    assert ttl_to_ns(1e-30) == 1
    assert ttl_to_ns(1.5) == 1_500_000_000
    assert ttl_to_ns(MAX_TTL) < 2**63 // 2


@pytest.mark.parametrize(("timeout", "seconds"), [(0, 0.0), (1.5, 1.5), (timedelta(seconds=2), 2.0)])
def test_timeouts(timeout: Any, seconds: float) -> None:
    assert parse_timeout(timeout) == seconds


@pytest.mark.parametrize("timeout", [-1, math.inf, math.nan, None, "1", True])
def test_what_is_no_timeout(timeout: Any) -> None:
    with pytest.raises(InvalidValue):
        parse_timeout(timeout)


@pytest.mark.parametrize(("mode", "bits"), [(0o600, 0o600), ("0660", 0o660), ("666", 0o666), ("0o640", 0o640)])
def test_modes(mode: Any, bits: int) -> None:
    assert parse_mode(mode) == bits


@pytest.mark.parametrize("mode", [0, 0o400, 0o700, 0o1600, -1, "rw", "888", "", True, 6.0, None])
def test_what_is_no_mode(mode: Any) -> None:
    with pytest.raises(InvalidValue):
        parse_mode(mode)


@pytest.mark.parametrize("name", ["a", "a b", "ü" * 100, "x" * 200, "...", "a.b", "-"])
def test_names(name: str) -> None:
    assert check_name(name) == name
    assert parse_options(name).name == name
    assert parse_options(make_url("shm", name)).name == name


@pytest.mark.parametrize("name", ["", "a/b", "/", ".", "..", "a\0", "ü" * 101, "x" * 201, "\udcff"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        parse_options(name)
    assert caught.value.name == name
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("target", [5, b"name", 1.5, ["a"]])
def test_a_target_is_a_str(target: Any) -> None:
    with pytest.raises(InvalidKey) as caught:
        shoal.open(target)
    assert isinstance(caught.value, TypeError)


def test_defaults() -> None:
    options = parse_options()
    assert (options.scheme, options.name, options.flag, options.size) == ("shm", None, "c", None)
    assert (options.namespace, options.ttl, options.max_keys, options.eviction) == (
        "default",
        DEFAULT,
        DEFAULT,
        DEFAULT,
    )
    assert (options.persist, options.mode, options.timeout, options.allow_pickle) == (False, 0o600, 5.0, None)
    assert options.create
    assert not options.read_only


def test_everything_in_the_url() -> None:
    options = parse_options(
        "shm://my%20swarm?size=2GiB&namespace=a%2Fb&persist=1&ttl=1.5&max_keys=10&eviction=sieve&mode=0660&timeout=2"
    )
    assert (options.scheme, options.name, options.size, options.namespace) == ("shm", "my swarm", 2 << 30, "a/b")
    assert (options.persist, options.ttl, options.max_keys, options.eviction) == (True, 1.5, 10, "sieve")
    assert (options.mode, options.timeout) == (0o660, 2.0)
    assert parse_options("shm://x?ttl=never").ttl is None
    assert parse_options("shm://x?persist=no").persist is False
    assert parse_options("SHM://Name").name == "Name"


def chosen(options: Options) -> tuple[object, ...]:
    fields = ("size", "namespace", "ttl", "max_keys", "eviction", "persist", "mode", "timeout")
    return tuple(getattr(options, field) for field in fields)


def test_arguments_beat_the_url() -> None:
    url = "shm://x?size=1MiB&namespace=a&ttl=1&max_keys=1&eviction=error&mode=0660&timeout=2"
    options = parse_options(
        url, size="2MiB", namespace="b", ttl=2, max_keys=2, eviction="sieve", persist=True, mode=0o640, timeout=3
    )
    assert chosen(options) == (2 << 20, "b", 2.0, 2, "sieve", True, 0o640, 3.0)
    kept = parse_options(url)
    assert chosen(kept) == (1 << 20, "a", 1.0, 1, "error", False, 0o660, 2.0)


@pytest.mark.parametrize(
    "url",
    [
        "shm://x?sizes=1MiB",
        "shm://x?size",
        "shm://x?size=",
        "shm://x?size=1MiB&size=2MiB",
        "shm://x?size=big",
        "shm://x?ttl=0",
        "shm://x?ttl=soon",
        "shm://x?ttl=nan",
        "shm://x?timeout=-1",
        "shm://x?max_keys=-1",
        "shm://x?max_keys=1.5",
        "shm://x?persist=2",
        "shm://x?mode=rw",
        "shm://x?eviction=lru",
        "shm://x?allow_pickle=1",
        "shm://x?&",
    ],
)
def test_options_that_a_url_cannot_have(url: str) -> None:
    with pytest.raises(InvalidValue):
        parse_options(url)


def test_an_empty_namespace_in_the_url() -> None:
    with pytest.raises(InvalidValue):
        parse_options("shm://x?namespace=")


@pytest.mark.parametrize(
    "arguments",
    [{"flag": "rw"}, {"persist": 1}, {"allow_pickle": 1}, {"max_keys": True}, {"eviction": None}, {"mode": "x"}],
    ids=str,
)
def test_arguments_that_cannot_be(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        parse_options("x", **arguments)


@pytest.mark.parametrize("target", ["foo://x", "http://example.org/", "://x", "redis//://x"])
def test_unknown_schemes(target: str) -> None:
    with pytest.raises(InvalidValue, match="unknown scheme") as caught:
        shoal.open(target)
    assert caught.value.name == target
    assert "memory://" in str(caught.value)


@pytest.mark.parametrize("name", ["plain", "a b", "a/b", "ü?&=#%", "+"])
def test_urls_lead_back(name: str) -> None:
    options = parse_options(make_url("shm", "store ?&", name))
    assert (options.location, options.namespace) == ("store ?&", name)
