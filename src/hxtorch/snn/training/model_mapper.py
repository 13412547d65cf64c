"""Take over the trained values of a model that names its modules differently."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


class MixinHXModelMapper(nn.Module):
    """Base of a network that takes its state from a foreign one, e.g. one trained with plain torch."""

    def map_from(self, state_dict: Mapping[str, Tensor], mapping: Mapping[str, str], map_all: bool = True) -> None:
        """Copy entries of `state_dict` into this module's state.

        `mapping` gives for each own key the key in `state_dict`. With `map_all`, every own entry must be named.
        Unknown keys, and own entries that are not named: KeyError; unequal shapes: ValueError. Then nothing is
        changed.
        """
        own = self.state_dict()
        for kind, names, known in (("own", mapping.keys(), own), ("foreign", mapping.values(), state_dict)):
            unknown = sorted(set(names) - set(known))
            if unknown:
                raise KeyError(f"Unknown {kind} keys {unknown}. There are {sorted(known)}.")
        missing = sorted(set(own) - set(mapping))
        if map_all and missing:
            raise KeyError(f"No source is given for {missing}. Name one for each, or use map_all=False.")
        for key, source in mapping.items():
            here, there = tuple(own[key].shape), tuple(state_dict[source].shape)
            if here != there:
                raise ValueError(f"{key!r} has shape {here}, but {source!r} has {there}.")
        self.load_state_dict({**own, **{key: state_dict[source] for key, source in mapping.items()}})
