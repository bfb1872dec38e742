"""The comments of a YAML by the keys that they are about; YAML's own reader drops them."""

from collections.abc import Iterator

import yaml


def comments_of(text: str) -> dict[str, list[str]]:
    """The comments of a file.

    Args:
        text: of a YAML whose outermost node is a mapping.

    Returns:
        By path, keys with a colon and a space between them: the comments above a key and behind its value, from their
        `#` on. Those in a list belong to the list's key, and those below the last key to the empty path.
    """
    places: dict[int, str] = {}
    for line, path in _keys(yaml.compose(text, yaml.SafeLoader), ""):
        places.setdefault(line, path)
    found: dict[str, list[str]] = {}
    for line, comment, is_alone in _comments(text):
        others = [place for place in places if (place > line if is_alone else place <= line)]
        nearest = (min(others) if is_alone else max(others)) if others else None
        found.setdefault("" if nearest is None else places[nearest], []).append(comment)
    return found


def _keys(node: yaml.Node | None, path: str) -> Iterator[tuple[int, str]]:
    """The line of each key, and its path; of keys in a list the path of the list."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from ((line, path) for line, _ in _keys(item, path))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = f"{path}: {key.value}" if path else str(key.value)
            yield key.start_mark.line, place
            yield from _keys(value, place)


def _comments(text: str) -> Iterator[tuple[int, str, bool]]:
    """The line of each comment, its text, and whether nothing stands before it."""
    ends: dict[int, int] = {}  # of what stands in a line and is no comment
    for token in yaml.scan(text, yaml.SafeLoader):
        if token.start_mark.index != token.end_mark.index:  # the others stand for indentation
            ends.update(dict.fromkeys(range(token.start_mark.line, token.end_mark.line), -1))  # a text of several lines
            if token.end_mark.column:
                ends[token.end_mark.line] = token.end_mark.column
    for number, line in enumerate(text.splitlines()):
        end = ends.get(number, 0)
        rest = line[end:].strip()
        if end >= 0 and rest.startswith("#"):
            yield number, rest, number not in ends
