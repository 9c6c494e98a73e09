"""Imports torch without a third of what `import torch` runs: nothing on the CPU needs that part.

It is `_meta_registrations`, and with it `_decomp`, `_prims` and `_refs`: some thousand operators written in
Python again, for compilers and the "meta" device. It comes in, in torch's own order, as soon as a
program names one of those modules, the meta device, or any module of torch that a plain `import torch` does
not load: no program can tell, and most never pay for it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

_LEFT_OUT: Final = "torch._meta_registrations"
_OF_THAT_PART: Final = ("_decomp", "_meta_registrations", "_prims", "_refs")
META_DEVICE: Final = "meta"


def import_torch() -> None:
    """Import torch, for the first time in this process, without that part."""
    sys.modules[_LEFT_OUT] = ModuleType(_LEFT_OUT)
    import torch
    from torch._opaque_base import OpaqueBaseMeta

    del sys.modules[_LEFT_OUT], torch._meta_registrations
    # What that part does besides: without it, torch.Generator cannot be called.
    torch._C._set_generator_metaclass(OpaqueBaseMeta)
    torch._lazy_modules.update(_OF_THAT_PART)  # type: ignore[attr-defined] # torch's own way to import late
    sys.meta_path.insert(0, _Completer())


def complete() -> None:
    """Import that part too, if it is not there; never raises for a torch that was imported whole."""
    importlib.import_module(_LEFT_OUT)


class _Completer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports what was left out before the first other module of torch, then is gone.

    Before, since modules of torch import each other in circles that only close in torch's own order.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of the module that was asked for, if that part has brought it in."""
        if not fullname.startswith("torch."):
            return None
        sys.meta_path.remove(self)
        importlib.import_module(_LEFT_OUT)
        loaded = sys.modules.get(fullname)
        if loaded is None:
            return None
        # A module that has a spec would be run again from it, whatever is returned here.
        spec = ModuleSpec(fullname, self, loader_state=loaded.__spec__)
        loaded.__spec__ = None
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module as it is already."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it has run. Only its spec was taken from it."""
        module.__spec__ = getattr(module.__spec__, "loader_state", None)
