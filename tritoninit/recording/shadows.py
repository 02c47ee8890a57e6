"""Putting shadows in the place of a model's tensors on meta, and taking them out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from tritoninit.fsdp2 import plain_class
from tritoninit.recording.hf import FLAG, tied_later
from tritoninit.recording.targets import TABLES, RecordError, Target, make_shadow, storage_of

DICTS = (*TABLES.values(), "_modules")
SETS = ("_non_persistent_buffers_set",)
TABLES_OF_MODULES = (*DICTS, *SETS)


@dataclass(eq=False, slots=True)
class State:
    """What a module held: its attributes, and the contents of its tables, but for empty ones."""

    module: nn.Module
    name: str
    kind: type[nn.Module]
    attributes: dict[str, Any]
    tables: dict[str, Any]
    is_same: bool = False  # the attributes were found to be what they were

    @classmethod
    def of(cls, module: nn.Module, name: str) -> State:
        """The module's state now."""
        held = vars(module)
        tables: dict[str, Any] = {}
        for table in TABLES_OF_MODULES:
            # Not copy(): DeepSpeed's ZeROOrderedDict takes the module as an argument.
            if contents := held[table]:
                tables[table] = set(contents) if table in SETS else dict(contents)
        return cls(module, name, type(module), dict(held), tables)

    def restore(self) -> None:
        """Put everything back, in the containers it was in."""
        if not self.is_same:
            vars(self.module).clear()
            vars(self.module).update(self.attributes)
        for table in TABLES_OF_MODULES:
            container, contents = self.attributes[table], self.tables.get(table)
            if container:
                container.clear()
            if contents:
                container.update(contents)
        if type(self.module) is not self.kind:
            self.module.__class__ = self.kind

    def changed_attributes(self) -> dict[str, Any]:
        """The plain attributes that were set since."""
        held, before = vars(self.module), self.attributes
        self.is_same = (
            len(held) == len(before)
            and all(map(is_, held.values(), before.values()))
            and list(held) == list(before)
        )
        if self.is_same:
            return {}  # nearly every module
        return {
            key: value
            for key, value in held.items()
            if key not in TABLES_OF_MODULES and not (key in before and before[key] is value)
        }

    def check_structure(self) -> None:
        """Raise if parameters, buffers or modules came or went."""
        for table in DICTS:
            contents, held = self.tables.get(table), vars(self.module)[table]
            if not (contents or held):
                continue
            before = {k for k, v in (contents or {}).items() if v is not None}
            after = {k for k, v in held.items() if v is not None}
            if before != after:
                raise RecordError(
                    f"init code changed the structure of {self.name or 'the model'}"
                    f" ({type(self.module).__name__}): {table} held {sorted(before)}, now"
                    f" {sorted(after)}; register them before the values are planned"
                )


class Shadows:
    """The shadows of a model while its init code runs."""

    def __init__(self, modules: dict[nn.Module, str], targets: list[Target]) -> None:
        self.targets = targets
        self.apart = tied_later(modules)
        self.states = [
            State.of(module, name)
            for module, name in modules.items()
            if not isinstance(module, torch.jit.ScriptModule)  # none of its tensors is on meta
        ]
        self.real = [(t.tensor, t.tensor.detach()) for t in targets if not t.tensor.is_meta]
        self.grads = [(tensor, tensor.requires_grad) for tensor, _ in self.real]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the shadows in; whatever happens, the model is afterwards what it was."""
        try:
            for target in self.targets:
                if target.tensor.is_meta:
                    target.shadow = make_shadow(target.tensor, target.working)
                    for module, key in target.slots:
                        apart = (id(module), key) in self.apart
                        shadow = target.shadow
                        if apart:
                            shadow = make_shadow(target.tensor, target.working)
                        vars(shadow).pop(FLAG, None)
                        getattr(module, TABLES[target.kind])[key] = shadow
            plain = {kind: plain_class(kind) for kind in {state.kind for state in self.states}}
            for state in self.states:
                vars(state.module).pop(FLAG, None)
                if plain[state.kind] is not state.kind:
                    state.module.__class__ = plain[state.kind]
            # Global generators are left as they are, even by init code that seeds them.
            gpus = torch.cuda.device_count() if torch.cuda.is_initialized() else 0
            with torch.random.fork_rng(devices=range(gpus)):
                yield
        finally:
            for state in self.states:
                state.restore()
            for (tensor, data), (_, requires_grad) in zip(self.real, self.grads, strict=True):
                if storage_of(tensor) != storage_of(data):
                    tensor.data = data  # init code assigned .data
                tensor.requires_grad_(requires_grad)

    def held(self) -> Iterator[tuple[Target, Tensor]]:
        """The targets with shadows, and the tensor that their module now holds."""
        for target in self.targets:
            if target.shadow is None:
                continue
            table = TABLES[target.kind]
            if len(target.slots) == 1 and not self.apart:
                module, key = target.slots[0]
                yield target, vars(module)[table][key]
                continue
            slots = [(m, k) for m, k in target.slots if (id(m), k) not in self.apart]
            held = {id(t): t for t in (vars(m)[table][k] for m, k in slots)}
            if len(held) > 1:
                raise RecordError(
                    f"init code assigned a new tensor to one of {', '.join(target.names)}, which"
                    " were tied; write into the tensor instead"
                )
            (tensor,) = held.values()
            yield target, tensor

    def changed_attributes(self) -> list[tuple[nn.Module, dict[str, Any]]]:
        """The plain attributes that init code set, with the model's own tensors for shadows."""
        originals = {id(t.shadow): t.tensor for t in self.targets if t.shadow is not None}
        return [
            (state.module, {k: originals.get(id(v), v) for k, v in changed.items()})
            for state in self.states
            if (changed := state.changed_attributes())
        ]
