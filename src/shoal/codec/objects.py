"""Enum members, dataclasses, named tuples and pydantic models: state under the import path of a class.

The class is written as ``module:qualname`` and must be found there again: one defined inside a function cannot be.

Reading runs no code of the class: no ``__init__``, ``__post_init__``, ``__new__``, property or validator. The state that
was written is put back as it was, private attributes included. What a class is called and what it is are checked
against each other, so bytes cannot make an object of a class that is not such a class. Without `allow_pickle`, only
classes of modules that this process has imported already are found.

A class that says itself how it is to be pickled (``__reduce__``, ``__getstate__``, ``__setstate__``...), or whose state
lies in a C base such as ``dict`` or ``Exception``, is left to pickle.
"""

from __future__ import annotations

import sys
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValue
from .extensions import DATACLASS, DECODERS, ENUM, MODEL, NAMEDTUPLE, Encoded, Encoder, encode_pickle, known

if TYPE_CHECKING:
    from .containers import Reader, Writer

__all__ = ["encoder_of", "state_of"]

_OWN_WAY = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, not by C
_NOT_STATE = frozenset({"__orig_class__"})  # what Box[int]() notes about its type arguments: an object of typing's own


# --- classes and their import paths ----------------------------------------------------------------------------------


def _find(namespace: Any, qualname: str) -> Any:
    """What `qualname` names, without running code: no module or metaclass ``__getattr__``, no descriptor."""
    found = namespace.get(qualname)
    if found is not None:  # also the names of generic pydantic models, which may have dots in their brackets
        return found
    for part in qualname.split("."):
        found = namespace.get(part)
        if not isinstance(found, type):
            return None
        namespace = found.__dict__
    return found


def _path_of(cls: type) -> str:
    module, qualname = cls.__module__, cls.__qualname__
    if _find(getattr(sys.modules.get(module), "__dict__", {}), qualname) is not cls:
        if "<locals>" in qualname:
            raise InvalidValue(
                "its class is defined inside a function, where no reader finds it; move it to module level"
            )
        raise InvalidValue(f"its class is not what {module}:{qualname} names, so no reader would find it")
    return f"{module}:{qualname}"


def _resolve(path: Any, reader: Reader) -> type:
    module_name, _, qualname = path.partition(":")
    module = sys.modules.get(module_name)
    if module is None:
        if not reader.allow_pickle:
            raise InvalidValue(f"its class is {path}: import {module_name} before reading it")
        from importlib import import_module

        try:
            module = import_module(module_name)
        except Exception as error:
            raise InvalidValue(f"its class is {path}, whose module cannot be imported: {error}") from error
    cls = _find(getattr(module, "__dict__", {}), qualname)
    if not isinstance(cls, type):
        raise InvalidValue(f"its class is {path}, which is not there")
    return cls


def _parts(payload: Any, reader: Reader, count: int) -> tuple[type, list[Any]]:
    parts = reader.inner().parse(payload)
    if type(parts) is not list or len(parts) != count or type(parts[0]) is not str:
        raise InvalidValue("malformed object")
    return _resolve(parts[0], reader), parts


def _goes_its_own_way(bases: tuple[type, ...]) -> bool:
    """Whether one of the classes says itself how its instances are pickled."""
    for base in bases:
        for name in _OWN_WAY:
            method = base.__dict__.get(name)
            # A frozen dataclass with slots has methods that dataclasses gave it.
            if method is not None and getattr(method, "__module__", None) != "dataclasses":
                return True
    return False


# --- Enum ------------------------------------------------------------------------------------------------------------


def _is_enum(cls: type) -> bool:
    module = sys.modules.get("enum")
    return module is not None and isinstance(cls, module.EnumMeta)


def _encode_enum(value: Any, writer: Writer) -> Encoded:
    cls = type(value)
    name = value._name_
    if name is None or cls._member_map_.get(name) is not value:
        name = int(value._value_)  # flags or'ed together
    return ENUM, writer.inner().pack([_path_of(cls), name])


def _decode_enum(payload: Any, reader: Reader) -> Any:
    cls, (_, name) = _parts(payload, reader, 2)
    if not _is_enum(cls):
        raise InvalidValue(f"{cls.__module__}:{cls.__qualname__} is not an Enum")
    members: Any = cls
    if type(name) is str:
        member = members._member_map_.get(name)
        if member is None:
            raise InvalidValue(f"{cls.__module__}:{cls.__qualname__} has no member {name!r}")
        return member
    from enum import Flag

    if type(name) is not int or not issubclass(cls, Flag):
        raise InvalidValue("an Enum member is written by its name")
    member = members._value2member_map_.get(name)
    # Flag's own lookup, not one that the class has put in its place.
    return Flag.__dict__["_missing_"].__func__(cls, name) if member is None else member


# --- dataclasses -----------------------------------------------------------------------------------------------------


class _Layout:
    """Where the instances of a dataclass keep their state."""

    __slots__ = ("has_dict", "slots")

    def __init__(self, cls: type) -> None:
        self.has_dict = cls.__dictoffset__ != 0
        self.slots = {
            name: member
            for base in reversed(cls.__mro__)
            for name, member in base.__dict__.items()
            if type(member) is MemberDescriptorType
        }


_layouts: dict[type, _Layout] = {}


def _layout_of(cls: type) -> _Layout:
    """The layout of a dataclass; InvalidValue if `cls` is none that this module handles."""
    layout = _layouts.get(cls)
    if layout is None:
        if not _is_plain_dataclass(cls):
            raise InvalidValue(f"{cls.__module__}:{cls.__qualname__} is not a plain dataclass")
        if len(_layouts) >= 1024:
            _layouts.clear()
        layout = _layouts[cls] = _Layout(cls)
    return layout


def _is_plain_dataclass(cls: type) -> bool:
    bases = cls.__mro__[:-1]
    return (
        any("__dataclass_fields__" in base.__dict__ for base in bases)
        and all(base.__flags__ & _HEAP_TYPE for base in bases)
        and not _is_enum(cls)
        and not _goes_its_own_way(bases)
    )


def _dataclass_state(value: Any, layout: _Layout) -> dict[str, Any]:
    state = {}
    for name, member in layout.slots.items():
        try:
            state[name] = member.__get__(value)
        except AttributeError:
            continue  # never set
    if layout.has_dict:
        state.update(object.__getattribute__(value, "__dict__"))
        for name in _NOT_STATE:
            state.pop(name, None)
    return state


def _encode_dataclass(value: Any, writer: Writer) -> Encoded:
    cls = type(value)
    return DATACLASS, writer.inner().pack([_path_of(cls), _dataclass_state(value, _layout_of(cls))])


def _decode_dataclass(payload: Any, reader: Reader) -> Any:
    cls, (_, state) = _parts(payload, reader, 2)
    layout = _layout_of(cls)
    if type(state) is not dict:
        raise InvalidValue("malformed object")
    value: Any = object.__new__(cls)
    for name in layout.slots.keys() & state.keys():
        layout.slots[name].__set__(value, state.pop(name))
    if layout.has_dict:
        object.__getattribute__(value, "__dict__").update(state)
    elif state:
        raise InvalidValue(f"{cls.__module__}:{cls.__qualname__} has no field {next(iter(state))!r}")
    return value


# --- named tuples ----------------------------------------------------------------------------------------------------


def _fields_of(cls: type) -> tuple[str, ...] | None:
    """The fields of a named tuple; None if `cls` is none that this module handles."""
    if not issubclass(cls, tuple):
        return None
    bases = cls.__mro__[: cls.__mro__.index(tuple)]
    # What namedtuple generates has __getnewargs__ and no other of these.
    if any(name in base.__dict__ for base in bases for name in _OWN_WAY[:4]):
        return None
    for base in bases:
        fields = base.__dict__.get("_fields")
        if type(fields) is tuple and tuple in base.__bases__:
            return fields
    return None


def _encode_namedtuple(value: Any, writer: Writer) -> Encoded:
    if getattr(value, "__dict__", None):  # of a subclass without __slots__
        return encode_pickle(value, writer)
    fields = _fields_of(type(value)) or ()
    return NAMEDTUPLE, writer.inner().pack([_path_of(type(value)), dict(zip(fields, value, strict=True))])


def _decode_namedtuple(payload: Any, reader: Reader) -> Any:
    cls, (_, state) = _parts(payload, reader, 2)
    fields = _fields_of(cls)
    if fields is None or type(state) is not dict:
        raise InvalidValue(f"{cls.__module__}:{cls.__qualname__} is not a named tuple")
    if state.keys() != set(fields):
        raise InvalidValue(f"{cls.__module__}:{cls.__qualname__} has the fields {fields}, the value {tuple(state)}")
    return tuple.__new__(cls, [state[name] for name in fields])


# --- pydantic models -------------------------------------------------------------------------------------------------

_STATE = "__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"


def _is_model(cls: type) -> bool:
    module = sys.modules.get("pydantic.main")
    if module is None or not issubclass(cls, module.BaseModel):
        return False
    return not _goes_its_own_way(tuple(base for base in cls.__mro__[:-1] if _top(base) not in ("pydantic", "typing")))


def _top(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def _model_state(value: Any) -> list[Any]:
    state = value.__getstate__()
    fields_set = state.get("__pydantic_fields_set__")
    return [
        state["__dict__"],
        None if fields_set is None else sorted(fields_set),
        state.get("__pydantic_extra__"),
        state.get("__pydantic_private__"),
    ]


def _encode_model(value: Any, writer: Writer) -> Encoded:
    return MODEL, writer.inner().pack([_path_of(type(value)), *_model_state(value)])


def _decode_model(payload: Any, reader: Reader) -> Any:
    cls, (_, *state) = _parts(payload, reader, 5)
    if not _is_model(cls):
        raise InvalidValue(f"{cls.__module__}:{cls.__qualname__} is not a plain pydantic model")
    fields, fields_set, extra, private = state
    if type(fields) is not dict or not all(type(part) in (dict, type(None)) for part in (extra, private)):
        raise InvalidValue("malformed object")
    value: Any = object.__new__(cls)
    fields_set = None if fields_set is None else set(fields_set)
    value.__setstate__(dict(zip(_STATE, (fields, fields_set, extra, private), strict=True)))
    return value


# --- all of them -----------------------------------------------------------------------------------------------------


def encoder_of(cls: type) -> Encoder | None:
    """The encoder of a class of one of these kinds, None for any other."""
    if _is_enum(cls):  # a member is its name: how else the class may be pickled does not matter
        return _encode_enum
    if _fields_of(cls) is not None:
        return _encode_namedtuple
    if _is_model(cls):
        return _encode_model
    if _is_plain_dataclass(cls):
        return _encode_dataclass
    return None


def state_of(value: Any) -> list[tuple[str, Any]] | None:
    """The names and values that an object of one of these kinds is written with; None for any other.

    InvalidValue if its class cannot be written.
    """
    cls = type(value)
    encoder = encoder_of(cls)
    if encoder is None or encoder is _encode_enum or known(cls):
        return None
    _path_of(cls)
    if encoder is _encode_namedtuple:
        return None if getattr(value, "__dict__", None) else list(zip(cls._fields, value, strict=True))
    if encoder is _encode_dataclass:
        return list(_dataclass_state(value, _layout_of(cls)).items())
    fields, _, extra, private = _model_state(value)
    return [item for part in (fields, extra, private) for item in (part or {}).items()]


DECODERS[ENUM] = _decode_enum
DECODERS[DATACLASS] = _decode_dataclass
DECODERS[NAMEDTUPLE] = _decode_namedtuple
DECODERS[MODEL] = _decode_model
