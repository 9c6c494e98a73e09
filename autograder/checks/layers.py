"""Says what is wrong with a model's weights: names, shapes, biases, weights that should not be there."""

from __future__ import annotations

from autograder.feedback.messages import shape_text
from autograder.sandbox.calls import Answer, Sizes
from autograder.text import NAME_LIMIT, clean

TRAINABLE, FROZEN, BUFFER = "trainable", "frozen", "buffer"


def expected_weights(sizes: Sizes) -> dict[str, tuple[int, int]]:
    """Name to shape of every weight that the model must have, in PyTorch's orientation, (out, in)."""
    weights = {
        "Km.weight": (sizes.qk_dim, sizes.total_dim),
        "Qm.weight": (sizes.qk_dim, sizes.total_dim),
        "Vm.weight": (sizes.v_dim, sizes.total_dim),
    }
    if sizes.pos_dim is not None:
        weights["pos.weight"] = (sizes.max_seq_len, sizes.pos_dim)
    return weights


def layer_faults(answer: Answer, sizes: Sizes) -> list[str]:
    """One line per fault of the model that `Describe` told of; empty if the layers are right.

    Buffers, and modules without weights, are the student's own affair.
    """
    found = _found(answer)
    expected = expected_weights(sizes)
    faults = []
    for name, shape in expected.items():
        layer = name.partition(".")[0]
        kind, came = found.get(name, ("", ()))
        if not kind:
            faults.append(f"- {_missing(layer, list(found))}")
        elif came != shape:
            faults.append(f"- {name} has shape {shape_text(came)}, expected {shape_text(shape)}.")
        elif kind != TRAINABLE:
            faults.append(
                f"- {name} is not trainable: leave requires_grad on, and register no buffer for it."
            )
    for name, (kind, _) in found.items():
        if name in expected or kind == BUFFER:
            continue
        if name in {"Km.bias", "Qm.bias", "Vm.bias"}:
            faults.append(f"- {name} should not be there: pass bias=False to nn.Linear.")
        elif kind == TRAINABLE:
            faults.append(
                f"- {clean(name, NAME_LIMIT)} is a weight that the NumPy transformer does not have: "
                "remove it, or make it a plain number."
            )
    return faults


def _missing(layer: str, found: list[str]) -> str:
    from autograder.feedback.errors import rename  # the failing path's alone

    have = ", ".join(clean(other, NAME_LIMIT) for other in found[:8]) or "none at all"
    told = f"There is no self.{layer} with a weight. The weights found: {have}."
    return f"{told} {rename(layer, found)}".rstrip()


def unloadable(answer: Answer, sizes: Sizes) -> list[str]:
    """The layers into which the notebook could not load its matrices: not there, or of another shape."""
    found = _found(answer)
    return [
        name.partition(".")[0]
        for name, shape in expected_weights(sizes).items()
        if found.get(name, ("", ()))[1] != shape
    ]


def _found(answer: Answer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name to kind and shape of everything in the model's state dict."""
    found = {}
    for entry, sizes in answer.arrays.items():
        kind, _, name = entry.partition(" ")
        found[name] = kind, tuple(int(size) for size in sizes)
    return found
