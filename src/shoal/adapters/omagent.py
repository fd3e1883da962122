"""OmAgent's short-term memory: `SharedMemSTM` of omagent-core 0.2.4, over a Shoal store.

Importing this module puts its class in the place of OmAgent's own in OmAgent's registry: programs that ask for
``"SharedMemSTM"``, in code, in a ``container.yaml`` or by lite mode, get this one.

The memory of a workflow instance is an object of the memory of the store's namespace, and each of its keys a field of it. So
workers that write different keys never undo each other's work, a write costs what it writes, and a workflow goes at once.
"""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from threading import Lock
from typing import Any, ClassVar, Optional

from ..backends import open as open_store
from ..codec import encode
from ..errors import InvalidValue, KeyNotFound
from ..memory.path import escape, split
from ..options import MISSING, parse_ttl
from ..store import Store
from ._hashable_names import key_of, name_of

try:
    from omagent_core.memories.stms import stm_sharedMem
    from omagent_core.memories.stms.stm_base import STMBase, WorkflowInstanceProxy
    from omagent_core.utils.registry import registry
    from pydantic import Field
    from pydantic_settings import SettingsConfigDict
except ImportError as error:
    if find_spec("omagent_core") is not None:  # something else is amiss, and says so itself
        raise
    raise ImportError(
        'shoal.adapters.omagent needs omagent-core, which is for Python 3.11: pip install "shoal[omagent]"',
        name="omagent_core",
    ) from error

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from ..memory.object import MemoryObject

__all__ = ["SharedMemSTM", "Workflow", "WorkflowInstanceProxy"]

NAMESPACE = "omagent"
"""Where the memory of workflows lies in a store whose URL names no namespace."""

_ENV = "SHOAL_STM_"
_AT_ONCE = 1e-9  # a ttl: the entry has expired before anybody can look at it
_PLACES = 4096  # handles on workflows that are kept

_SIMPLE = frozenset({bytes, int, float, bool, type(None)})  # not text, which may have surrogates

_opening = Lock()
_program: Store | None = None


def _program_store() -> Store:
    """The store of all STMs of this program that were given none, and of the processes it forks. It has no name."""
    global _program  # noqa: PLW0603 - one per process, as its docstring says
    with _opening:
        if _program is None:
            _program = open_store(None)
        return _program


class _Pickled:
    """A value that was pickled as a whole: it comes back as what it was."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.data,)


def _whole(value: Any) -> Any:
    """The value as it is to be stored: as it is, or pickled as a whole if any part of it needs pickle.

    Pickled one by one, objects that know each other would each bring all the others along, and come back as strangers.
    """
    if type(value) in _SIMPLE:
        return value
    try:
        encode(value, allow_pickle=False)
    except InvalidValue:
        return _Pickled(pickle.dumps(value))
    return value


class Workflow(WorkflowInstanceProxy):
    """The memory of one workflow instance, as a mapping: what ``stm(workflow_instance_id)`` gives."""

    def modify(self, key: Hashable, fn: Callable[[Any], Any], default: Any = MISSING) -> Any:
        """Replace the value by `fn(value)`, atomically. See `SharedMemSTM.modify`."""
        return self.stm.modify(self.workflow_instance_id, key, fn, default)


class SharedMemSTM(STMBase):
    """Short-term memory that all workers of a program share, in threads and in processes.

    Values are copies: change one that was read, and write it back, or use `modify`. Any value that can be pickled will do. Ids and
    keys may be anything hashable; all falsy ids are one workflow, that of lite mode.

    Args:
        id: OmAgent's own, for components.
        url: Where the memory lies: a Shoal URL, or a `Store`. None is a store without a name, which this program shares
            with the processes that it forks. A named one is shared by all programs that name it.
        ttl: Seconds after its last write at which the memory of a workflow goes; None is never.
        kwargs: Fields of OmAgent's components. What belongs to other components is let pass: OmAgent hands the settings of
            one to the next.

    Raises:
        InvalidValue: `ttl` is no time.
        ShoalError: The store cannot be opened.
    """

    model_config = SettingsConfigDict(env_prefix=_ENV, extra="allow", arbitrary_types_allowed=True)

    # Optional[...], for OmAgent leaves fields of type "str | None" out of container.yaml.
    url: Optional[str] = Field(  # noqa: UP045
        default=None, description="Shoal URL of the memory, such as shm://my-agents; null: this program's own"
    )
    ttl: Optional[float] = Field(  # noqa: UP045
        default=None, description="Seconds after its last write at which a workflow's memory goes; null: never"
    )

    # Slots: pydantic takes some ten microseconds to find an attribute of its own that is private.
    __slots__ = ("_places", "_root", "_store")
    _places: ClassVar[Any]
    _root: ClassVar[Any]
    _store: ClassVar[Any]

    def __init__(
        self,
        id: str | None = None,
        url: str | Store | None = None,
        ttl: float | None = None,
        **kwargs: Any,
    ) -> None:
        given = {"id": id, "url": url.url if isinstance(url, Store) else url, "ttl": ttl}
        super().__init__(**{name: value for name, value in given.items() if value is not None}, **kwargs)
        parse_ttl(self.ttl)
        store = url if isinstance(url, Store) else open_store(self.url) if self.url else _program_store()
        # A handle of this STM's own, whose end is the end of nothing else.
        own = store.namespace(NAMESPACE if store.namespace_name == "default" else store.namespace_name)
        if self.url and store is not url:
            store.close()
        for name, value in {"_store": own, "_root": own.memory(), "_places": {}}.items():
            object.__setattr__(self, name, value)

    @property
    def store(self) -> Store:
        """The namespace of the store that the memory lies in."""
        found: Store = self._store
        return found

    # ------------------------------------------------------------------ places and names

    def __call__(self, workflow_instance_id: Hashable) -> Workflow:
        """The memory of a workflow instance."""
        return Workflow(self, workflow_instance_id)

    def _place(self, workflow_instance_id: Hashable) -> MemoryObject:
        key = _id(workflow_instance_id)
        place: MemoryObject | None = self._places.get(key)
        if place is None:
            if len(self._places) >= _PLACES:
                self._places.clear()
            place = self._places[key] = self._store.memory(_path(key))
        return place

    def _paths(self, place: MemoryObject) -> list[str]:
        """The paths of a workflow's fields, in the order in which they came."""
        found = []
        for path in place.get_field_names():
            try:
                about = place.metadata(path)
            except KeyNotFound:  # it went meanwhile
                continue
            # The version tells those of one microsecond apart.
            found.append((about.created_at, about.version, path))
        return [path for *_, path in sorted(found)]

    # ------------------------------------------------------------------ one value

    def __getitem__(self, key: Any) -> Any:
        """Of ``stm[workflow_instance_id, key]`` the value; of ``stm[workflow_instance_id]`` all of them, a dict.

        Raises `KeyError` if there is no such key.
        """
        if not isinstance(key, tuple):
            return dict(self.items(key))
        workflow_instance_id, key = key
        value = self._place(workflow_instance_id).get(_path(key), MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: tuple[Hashable, Hashable], value: Any) -> None:
        """Write ``stm[workflow_instance_id, key]``.

        Raises:
            pickle.PicklingError: The value cannot be pickled. (Pickle has other errors for that, too.)
            CapacityExceeded: The store is full; a larger one has a URL such as ``shm://name?size=8GiB``.
        """
        workflow_instance_id, key = _pair(key)
        path, value = _path(key), self._storable(value)
        self._keep(workflow_instance_id)
        self._place(workflow_instance_id).set(path, value)

    def _storable(self, value: Any) -> Any:
        return _whole(value) if self._store.allow_pickle else value

    def _keep(self, workflow_instance_id: Hashable) -> None:
        """Give a workflow that is about to be written its time. Before the write, which would go with one that ends now."""
        if self.ttl is not None:
            path = _path(_id(workflow_instance_id))
            if not self._root.touch(path, self.ttl):
                self._root.new_object(path, ttl=self.ttl)

    def __delitem__(self, workflow_instance_id: Any, key: Any = MISSING) -> None:
        """Remove a value; ``del stm[workflow_instance_id, key]`` does so, too. Raises `KeyError` if there is none."""
        if key is MISSING:
            workflow_instance_id, key = _pair(workflow_instance_id)
        if not self._place(workflow_instance_id).delete(_path(key)):
            raise KeyError(key)

    def __contains__(self, key: tuple[Hashable, Hashable]) -> bool:
        workflow_instance_id, key = _pair(key)
        return self._place(workflow_instance_id).is_exist(_path(key))

    def get(self, workflow_instance_id: Hashable, key: Hashable, default: Any = None) -> Any:
        """The value, or `default` if there is none."""
        return self._place(workflow_instance_id).get(_path(key), default)

    def pop(self, workflow_instance_id: Hashable, key: Hashable, default: Any = None) -> Any:
        """Remove a value and return it, or `default`. Of several who pop one value, one gets it."""
        path = _path(key)
        place = self._place(workflow_instance_id)
        while True:
            try:
                value, version = place.get_versioned(path)
            except KeyNotFound:
                return default
            if place.compare_and_set(path, None, version, ttl=_AT_ONCE):
                return value

    def modify(
        self, workflow_instance_id: Hashable, key: Hashable, fn: Callable[[Any], Any], default: Any = MISSING
    ) -> Any:
        """Replace a value by `fn(value)`, atomically; the result is the new value.

        `fn` is called again if somebody else wrote meanwhile. Without a `default` a missing key is a `KeyError`; with one,
        `fn(default)` is written.
        """
        changed = MISSING

        def storable(value: Any) -> Any:
            nonlocal changed
            changed = fn(value)
            return self._storable(changed)

        path = _path(key)
        self._keep(workflow_instance_id)
        try:
            self._place(workflow_instance_id).modify(path, storable, default)
        except KeyNotFound:
            raise KeyError(key) from None
        return changed

    # ------------------------------------------------------------------ a workflow

    def keys(self, workflow_instance_id: Hashable) -> list[Any]:
        """The keys, in the order in which they came."""
        return [_key(path) for path in self._paths(self._place(workflow_instance_id))]

    def values(self, workflow_instance_id: Hashable) -> list[Any]:
        """The values, in the order of their keys."""
        return [value for _, value in self.items(workflow_instance_id)]

    def items(self, workflow_instance_id: Hashable) -> list[tuple[Any, Any]]:
        """The keys with their values, in the order in which they came."""
        place = self._place(workflow_instance_id)
        found = ((path, place.get(path, MISSING)) for path in self._paths(place))
        return [(_key(path), value) for path, value in found if value is not MISSING]

    def update(self, workflow_instance_id: Hashable, other: Mapping[Any, Any]) -> None:
        """Write all values of a mapping, one after the other."""
        for key, value in other.items():
            self[workflow_instance_id, key] = value

    def clear(self, workflow_instance_id: Hashable) -> None:
        """Remove all that a workflow has stored, at once. Nothing of it stays."""
        self._root.delete(_path(_id(workflow_instance_id)))

    def __len__(self, workflow_instance_id: Hashable) -> int:  # noqa: PLE0302 - OmAgent's interface has it so
        """How many keys a workflow has."""
        return len(self._place(workflow_instance_id))

    def __bool__(self) -> bool:
        return True  # else len() would be asked, which takes an id

    # ------------------------------------------------------------------ the component

    def cleanup(self) -> None:
        """Remove the memory of all workflows, also those of other programs that share the store. Never called by itself."""
        self._root.clear()

    def close(self) -> None:
        """Let go of the store. It need not be called; the memory stays for all others who use it."""
        self._places.clear()
        self._store.close()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> SharedMemSTM:
        return self  # a copy of a worker shares its memory

    __copy__ = __deepcopy__

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (type(self), self._store, self.model_dump())

    @classmethod
    def get_config_template(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What OmAgent writes to container.yaml, with the names of the environment variables that are read."""
        template: dict[str, Any] = super().get_config_template(*args, **kwargs)
        for about in template.values():
            if isinstance(about, dict) and "env_var" in about:
                about["env_var"] = _ENV + about["env_var"]
        return template


def _arrived(cls: type[SharedMemSTM], store: Store, fields: dict[str, Any]) -> SharedMemSTM:
    """An STM that was pickled: the same memory, in another process."""
    made = cls(**{**fields, "url": store})
    object.__setattr__(made, "url", fields["url"])
    return made


def _id(workflow_instance_id: Any) -> Any:
    return workflow_instance_id or None  # all that is falsy is the one workflow of lite mode


def _path(key: Hashable) -> str:
    return escape(name_of(key))


def _key(path: str) -> Any:
    return key_of(split(path)[0])


def _pair(key: Any) -> tuple[Any, Any]:
    if not isinstance(key, tuple) or len(key) != 2:
        raise ValueError(f"not a pair of workflow instance id and key: {key!r}")
    return key


# OmAgent's own module was imported above, so it has registered its class already and will not do so again.
registry.mapping["component"][stm_sharedMem.SharedMemSTM.__name__] = SharedMemSTM
