"""Which tensor of the base each tensor of the target continues: by name, then content, then order."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence

from fleetward.delivery.manifest import TensorSpan

COUNTED_OUT = "onnx::"
"""How the names begin that PyTorch's exporter numbers."""

Content = Callable[[TensorSpan], Hashable]
"""What a tensor holds: equal for equal bytes. Asked only of tensors that the other side lacks."""


def match_tensors(
    base: Sequence[TensorSpan],
    target: Sequence[TensorSpan],
    base_content: Content,
    target_content: Content,
) -> dict[str, TensorSpan]:
    """The base's tensor for each name of the target that continues one; pure but for its callbacks.

    A name continues its namesake of the same element type. Those that have none were added or
    renamed: they continue a tensor of the same bytes, or else the next one in order of the same
    element type and shape that nobody else continues. A name that an exporter counted out
    (``onnx::MatMul_1042``) says nothing: one node more, and it is another tensor's.
    """
    by_name = {tensor.name: tensor for tensor in base}
    found = {
        tensor.name: by_name[tensor.name] for tensor in target if _is_namesake(tensor, by_name)
    }
    left = [tensor for tensor in target if tensor.name not in found]
    continued = {tensor.name for tensor in found.values()}
    free = [tensor for tensor in base if tensor.name not in continued]
    if left and free:
        _match_in_order(left, free, _by_content(base_content, target_content), found)
        _match_in_order(left, free, _by_shape, found)
    return found


def _is_namesake(tensor: TensorSpan, by_name: dict[str, TensorSpan]) -> bool:
    namesake = by_name.get(tensor.name)
    if namesake is None or tensor.name.startswith(COUNTED_OUT):
        return False
    return namesake.element_type == tensor.element_type


_Key = Callable[[TensorSpan, bool], Hashable]


def _by_content(base_content: Content, target_content: Content) -> _Key:
    def key(tensor: TensorSpan, of_base: bool) -> Hashable:
        content = base_content(tensor) if of_base else target_content(tensor)
        return (tensor.element_type, tensor.length, content)

    return key


def _by_shape(tensor: TensorSpan, of_base: bool) -> Hashable:
    return (tensor.element_type, tensor.shape)


def _match_in_order(
    left: Iterable[TensorSpan], free: Iterable[TensorSpan], key: _Key, found: dict[str, TensorSpan]
) -> None:
    """Add to ``found`` the tensors of ``left`` that share a key with one of ``free``, in order."""
    taken = {tensor.name for tensor in found.values()}
    waiting: dict[Hashable, deque[TensorSpan]] = defaultdict(deque)
    for tensor in free:
        if tensor.name not in taken:
            waiting[key(tensor, True)].append(tensor)
    for tensor in left:
        if tensor.name not in found and (same := waiting.get(key(tensor, False))):
            found[tensor.name] = same.popleft()
