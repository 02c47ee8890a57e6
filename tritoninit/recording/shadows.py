"""Putting shadows in the place of a model's tensors on meta, and taking them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


class State:
    """What a module holds: its attributes, and the contents of its tables, but for empty ones."""

    __slots__ = ("attributes", "is_same", "kind", "module", "name", "tables")

    def __init__(self, module: nn.Module, name: str) -> None:
        held = module.__dict__
        tables: dict[str, Any] = {}
        for table in TABLES_OF_MODULES:
            # Not copy(): DeepSpeed's ZeROOrderedDict takes the module as an argument.
            if contents := held[table]:
                tables[table] = set(contents) if table in SETS else dict(contents)
        self.module, self.name, self.kind = module, name, type(module)
        self.attributes = held.copy()  # shares its keys, and takes a sixth of the time of dict()
        self.tables = tables
        self.is_same = False  # the module was found to hold what it held

    def restore(self) -> None:
        """Put everything back, in the containers it was in."""
        if type(self.module) is not self.kind:
            self.module.__class__ = self.kind
        vars(self.module).clear()
        vars(self.module).update(self.attributes)
        for table in TABLES_OF_MODULES:
            container, contents = self.attributes[table], self.tables.get(table)
            if container:
                container.clear()
            if contents:
                container.update(contents)

    def changed_attributes(self) -> dict[str, Any]:
        """The plain attributes that were set since.

        Raises:
            RecordError: parameters, buffers or modules came or went.
        """
        held, before = self.module.__dict__, self.attributes
        same_class = type(self.module) is self.kind
        self.is_same = same_class and _are_same(held, before) and self._has_same_tables()
        if self.is_same:
            return {}  # nearly every module
        self._check_structure()
        return {
            key: value
            for key, value in held.items()
            if key not in TABLES_OF_MODULES and not (key in before and before[key] is value)
        }

    def _has_same_tables(self) -> bool:
        before, tables = self.attributes, self.tables
        for table in TABLES_OF_MODULES:
            container = before[table]
            contents = tables.get(table)
            if not contents:
                if container:
                    return False
            elif table in SETS:
                if container != contents:
                    return False
            elif not _are_same(container, contents):
                return False
        return True

    def _check_structure(self) -> None:
        for table in DICTS:
            contents, held = self.tables.get(table), vars(self.module)[table]
            before = {k for k, v in (contents or {}).items() if v is not None}
            after = {k for k, v in held.items() if v is not None}
            if before != after:
                raise RecordError(
                    f"init code changed the structure of {self.name or 'the model'}"
                    f" ({type(self.module).__name__}): {table} held {sorted(before)}, now"
                    f" {sorted(after)}; register them before the values are planned"
                )


def _are_same(held: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether two tables hold the same objects in the same order; tensors are not compared."""
    return (
        len(held) == len(before)
        and all(map(is_, held.values(), before.values()))
        and list(held) == list(before)
    )


def _shadow_of(target: Target) -> Tensor:
    shadow = make_shadow(target.tensor, target.working)
    shadow.__dict__.pop(FLAG, None)
    return shadow


class Shadows:
    """The shadows of a model while its init code runs."""

    def __init__(self, modules: dict[nn.Module, str], targets: list[Target]) -> None:
        self.modules = modules
        self.targets = targets
        self.apart = tied_later(modules)
        self.states: list[State] = []  # with the shadows in their places
        self.real = [(t.tensor, t.tensor.detach()) for t in targets if not t.tensor.is_meta]
        self.grads = [(tensor, tensor.requires_grad) for tensor, _ in self.real]

    @contextmanager
    def in_place(self, begin: Callable[[Target], object]) -> Iterator[None]:
        """Put the shadows in; whatever happens, the model is afterwards what it was.

        ``begin`` is called with every target, as soon as its shadow is there.
        """
        try:
            for target in self.targets:
                if target.tensor.is_meta:
                    self._cover(target)
                begin(target)
            plain: dict[type[nn.Module], type[nn.Module]] = {}
            for module, name in self.modules.items():
                if isinstance(module, torch.jit.ScriptModule):
                    continue  # none of its tensors is on meta
                self.states.append(State(module, name))
                module.__dict__.pop(FLAG, None)
                kind = type(module)
                if kind not in plain:
                    plain[kind] = plain_class(kind)
                if plain[kind] is not kind:
                    module.__class__ = plain[kind]
            # Global generators are left as they are, even by init code that seeds them.
            gpus = torch.cuda.device_count() if torch.cuda.is_initialized() else 0
            with torch.random.fork_rng(devices=range(gpus)):
                yield
        finally:
            for state in self.states:
                if not state.is_same:
                    state.restore()
            for target in self.targets:
                if target.shadow is not None:
                    for module, key in target.slots:
                        module.__dict__[TABLES[target.kind]][key] = target.tensor
            for (tensor, data), (_, requires_grad) in zip(self.real, self.grads, strict=True):
                if storage_of(tensor) != storage_of(data):
                    tensor.data = data  # init code assigned .data
                tensor.requires_grad_(requires_grad)

    def _cover(self, target: Target) -> None:
        """Put a shadow in all places of a target."""
        target.shadow = _shadow_of(target)
        for module, key in target.slots:
            apart = (id(module), key) in self.apart
            shadow = _shadow_of(target) if apart else target.shadow
            module.__dict__[TABLES[target.kind]][key] = shadow

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
