"""Handles: what a module returns when it is called, a promise that `run` fills with tensors.

Tensors have the order (time, batch, neuron). Fields can be given by keyword or in the order in which each
class lists them; every field is None until it is filled.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch
from torch import Tensor

from hxtorch.snn.display import handle_html
from hxtorch.snn.functional.memory.carried import Carried

_CARRIED = "_carried"  # of a handle: tensors that nobody has read yet, by name


def _nothing() -> None:
    """The first content of a field. As a default of the class, None would stand where a tensor comes later."""


class _HandleType(type):
    """Lets ``Handle("spikes", ...)`` make a handle with these fields."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _handle_with(args, kwargs) if cls is Handle else super().__call__(*args, **kwargs)

    @property
    def __signature__(cls) -> inspect.Signature:
        """Signature of the constructor, which `__call__` would hide."""
        if cls is Handle:
            return inspect.signature(_handle_with_names)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature(
            [inspect.Parameter(item.name, kind, default=None) for item in fields(cls)]  # type: ignore[arg-type]
        )


@dataclass(eq=False)
class Handle(metaclass=_HandleType):
    """Base class of all handles; a subclass lists the tensors that it carries as fields.

    ``Handle("spikes", "current")`` makes an empty handle with these fields and ``Handle(spikes=z)`` a filled
    one; the same names always have the same class.
    """

    if TYPE_CHECKING:  # it takes names, or values by keyword

        def __init__(self, *names: str, **values: Any) -> None: ...

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the carried tensors, in positional order."""
        known: tuple[str, ...] | None = cls.__dict__.get("_field_names")
        if known is None:  # every run asks for them many times
            known = tuple(item.name for item in fields(cls))
            type.__setattr__(cls, "_field_names", known)
        return known

    def holds(self, name: str) -> bool:
        """Whether there is a tensor called `name`; False for an empty field and for unknown names."""
        return name in self.names() and self.peek(name) is not None

    def peek(self, name: str) -> Tensor | Carried | None:
        """The tensor called `name`, still `Carried` if nobody has read it yet; None: there is none."""
        held = vars(self)
        unread: Carried | None = held[_CARRIED].get(name) if _CARRIED in held else None
        return getattr(self, name) if unread is None else unread

    def put(self, *tensors: Tensor | Carried | None, **named: Tensor | Carried | None) -> None:
        """Fill fields, by position or by name. Unknown names and too many tensors: AssertionError.

        A `Carried` tensor is there, for everybody to see, as soon as its field is read.
        """
        names, held = self.names(), vars(self)
        if len(tensors) > len(names):
            raise AssertionError(f"{type(self).__name__} carries {len(names)} tensors {names}, got {len(tensors)}.")
        if not named.keys() <= set(names):
            unknown = sorted(set(named) - set(names))
            raise AssertionError(f"{type(self).__name__} carries {names}, but not {unknown}.")
        for name, tensor in (dict(zip(names, tensors)) | named).items():
            if not isinstance(tensor, Carried):
                setattr(self, name, tensor)
            elif hasattr(type(self), name):  # a default of the class would stand where the tensor is looked for
                setattr(self, name, tensor.read())
            else:
                held.pop(name, None)
                held.setdefault(_CARRIED, {})[name] = tensor

    def __setattr__(self, name: str, value: Any) -> None:
        held = vars(self)
        if _CARRIED in held:
            held[_CARRIED].pop(name, None)
        super().__setattr__(name, value)

    if not TYPE_CHECKING:  # which would take any name for a valid one

        def __getattr__(self, name: str) -> Any:
            """Read a tensor that was `Carried` until now: its field is empty until then."""
            unread = vars(self).get(_CARRIED, {}).get(name)
            if unread is None:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
            setattr(self, name, _read(unread))
            return vars(self)[name]

    def shallow_copy(self) -> Self:
        """Another handle with the same tensors, read or not."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        if _CARRIED in vars(self):
            vars(other)[_CARRIED] = dict(vars(self)[_CARRIED])
        return other

    def clone(self, other: Handle) -> None:
        """Take over every tensor of `other`. One that this handle does not carry: AssertionError."""
        self.put(**{name: other.peek(name) for name in other.names() if other.holds(name)})

    def clear(self) -> None:
        """Empty all fields."""
        self.put(**dict.fromkeys(self.names()))

    def _repr_html_(self) -> str:
        """Shapes and a first look at every tensor, for notebooks."""
        return handle_html(type(self).__name__, self._flat())

    def _flat(self) -> dict[str, Tensor | None]:
        """Tensors by name; those of a handle within this one as ``name.inner``."""
        flat: dict[str, Tensor | None] = {}
        for name in self.names():
            value = getattr(self, name)
            if isinstance(value, Handle):
                flat |= {f"{name}.{inner}": tensor for inner, tensor in value._flat().items()}
            else:
                flat[name] = value
        return flat

    def __reduce__(self) -> tuple[Any, ...]:
        # Classes made by `handle_type` have no name by which pickle could find them.
        return _restored, (self.names(), tuple(getattr(self, name) for name in self.names()), _by_name(type(self)))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in self.names())

    __hash__ = None  # type: ignore[assignment]  # compares by content, which changes


H = TypeVar("H", bound=Handle)


def empty_handle(kind: type[H]) -> H:
    """A handle without tensors; calling the constructor takes longer, which small networks notice."""
    made = object.__new__(kind)
    vars(made).update(dict.fromkeys(kind.names()))
    return made


def _read(unread: Carried) -> Tensor:
    if torch.compiler.is_compiling():
        eager: Callable[[], Tensor] = torch.compiler.disable(unread.read)  # type: ignore[no-untyped-call]
        return eager()
    return unread.read()


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    if isinstance(a, Handle) or isinstance(b, Handle):
        return bool(a == b)
    return torch.equal(a, b)


@dataclass(eq=False)
class TensorHandle(Handle):
    """Any single tensor."""

    tensor: Tensor = field(default_factory=_nothing)  # type: ignore[assignment]


@dataclass(eq=False)
class SynapseHandle(Handle):
    """Output of a synapse: `graded_spikes` (T, B, out), the weighted sum of the spikes of each step."""

    graded_spikes: Tensor = field(default_factory=_nothing)  # type: ignore[assignment]


@dataclass(eq=False)
class NeuronHandle(Handle):
    """Output of spiking neurons.

    * `spikes`: 0 or 1, (T, B, N).
    * `membrane_cadc`: membrane trace, (T, B, N); in mock mode the membrane of the model.
    * `current`: synaptic current of the model, (T, B, N).
    * `membrane_madc`: (2, samples, B), times in cycles of 8 ns and 10-bit codes; None in mock mode.
    """

    spikes: Tensor = field(default_factory=_nothing)  # type: ignore[assignment]
    membrane_cadc: Tensor = field(default_factory=_nothing)  # type: ignore[assignment]
    current: Tensor = field(default_factory=_nothing)  # type: ignore[assignment]
    membrane_madc: Tensor | None = field(default_factory=_nothing)


@dataclass(eq=False)
class ReadoutNeuronHandle(Handle):
    """Output of non-spiking neurons: like `NeuronHandle` without spikes."""

    membrane_cadc: Tensor = field(default_factory=_nothing)  # type: ignore[assignment]
    current: Tensor = field(default_factory=_nothing)  # type: ignore[assignment]
    membrane_madc: Tensor | None = field(default_factory=_nothing)


LIFObservables = NeuronHandle
LIObservables = ReadoutNeuronHandle

_ORDER = ("spikes", "membrane_cadc", "current", "membrane_madc", "adaptation_cadc", "adaptation_madc")


_TYPES: dict[frozenset[str], type[Handle]] = {
    frozenset(known.names()): known for known in (NeuronHandle, ReadoutNeuronHandle, SynapseHandle, TensorHandle)
}


def handle_type(names: frozenset[str]) -> type[Handle]:
    """The class of handles with the fields `names`, always the same one."""
    if names not in _TYPES:  # a dict, as torch.compile warns of functools' caches
        _TYPES[names] = _made_type(names)
    return _TYPES[names]


def _made_type(names: frozenset[str]) -> type[Handle]:
    ordered = [name for name in _ORDER if name in names] + sorted(names - set(_ORDER))
    items: list[Any] = [(name, Tensor | None, field(default_factory=_nothing)) for name in ordered]
    title = "".join(name.title().replace("_", "") for name in ordered)
    return make_dataclass(f"Handle{title}", items, bases=(Handle,), eq=False)


def _by_name(kind: type[Handle]) -> type[Handle] | None:
    """The class, if pickle can find it by its name."""
    module = sys.modules.get(kind.__module__)
    return kind if getattr(module, kind.__qualname__, None) is kind else None


def _restored(names: tuple[str, ...], values: tuple[Any, ...], kind: type[Handle] | None) -> Handle:
    return (kind or handle_type(frozenset(names)))(**dict(zip(names, values, strict=True)))


def _handle_with_names(*names: str, **values: Tensor | None) -> None:
    """Carries the signature of `Handle`."""


def _handle_with(names: tuple[str, ...], values: dict[str, Any]) -> Handle:
    if names and values and set(values) != set(names):
        raise Exception(  # the type that scripts know
            "Ambiguous Handle construction mode", f"Got the names {names} and values for {tuple(values)}."
        )
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            "Handle(...) takes names of fields, or values by keyword. For tensors by position use "
            "NeuronHandle(spikes) or another of the handle classes."
        )
    return handle_type(frozenset(names or values))(**values)
