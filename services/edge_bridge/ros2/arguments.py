"""The command line of the node's process, in its order."""

from __future__ import annotations

from msgspec import Struct


class NodeArguments(Struct, frozen=True, kw_only=True):
    """socket_fd: the connected frame socket, inherited. Pictures are brought to height_px x width_px."""

    socket_fd: int
    image_topic: str
    result_topic: str
    height_px: int
    width_px: int
    silence_s: float

    def argv(self) -> list[str]:
        return [str(getattr(self, name)) for name in self.__struct_fields__]

    @classmethod
    def of(cls, argv: list[str]) -> NodeArguments:
        socket_fd, image_topic, result_topic, height_px, width_px, silence_s = argv
        return cls(
            socket_fd=int(socket_fd),
            image_topic=image_topic,
            result_topic=result_topic,
            height_px=int(height_px),
            width_px=int(width_px),
            silence_s=float(silence_s),
        )
