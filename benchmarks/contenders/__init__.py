"""The stores that are measured: those of the package, and others that have to be installed."""

from __future__ import annotations

from shoal.bench.stores import Dict, Lmdb, Manager, Shoal, Sqlite

from .dict_with_codec import DictWithCodec
from .diskcache import DiskCache
from .easyglobals import EasyGlobals
from .memcached import Memcached
from .redis import Redis, Valkey
from .subetha import Subetha
from .ultradict import UltraDict

__all__ = ["ALL", "Dict", "Shoal"]

_IN_ORDER = (
    *(Dict, DictWithCodec, Shoal, Lmdb, UltraDict, Subetha, EasyGlobals),
    *(Sqlite, DiskCache, Manager, Redis, Valkey, Memcached),
)
ALL = {contender.name: contender for contender in _IN_ORDER}
"""By name."""
