"""The ids of a label map, as PASCAL VOC has them: 0 background, c + 1 for foreground class c."""

__all__ = ["IGNORED"]

IGNORED = 255  # neither scored nor trained on
