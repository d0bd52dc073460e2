"""A YAML file as validated sections: every mistake is named by its path in the tree."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ValidationError

from finembed_core.errors import SettingsError

Tree = TypeVar("Tree", bound=BaseModel)

LARGEST = 2**20
"""Bytes of a settings file, and values in it once its aliases are written out."""

LONGEST_VALUE = 200  # characters shown


def _no_repeats(items: list[Any]) -> list[Any]:
    repeated = [item for k, item in enumerate(items) if item in items[:k]]
    if repeated:
        raise ValueError(f"{repeated[0]} stands twice")
    return items


Once = AfterValidator(_no_repeats)


def read_sections(path: Path, model: type[Tree]) -> Tree:
    """Read the file into `model`; an empty section has its defaults, at any depth.

    Raises
    ------
    SettingsError
        The file is missing, unreadable or no YAML mapping; a name is misspelt or stands twice, a
        value is out of range.
    """
    tree = _read_mapping(path)
    try:
        return model.model_validate(_filled(tree, model))
    except ValidationError as error:
        raise SettingsError(
            _first_complaint(error), where=str(path), remedy=_hint(error, model)
        ) from None


def _filled(tree: dict[Any, Any], model: Any) -> dict[Any, Any]:
    """The tree without the names of sections under which nothing stands."""
    whole: dict[Any, Any] = {}
    for name, value in tree.items():
        field = model.model_fields.get(name)
        section = field and _section_in(field.annotation)
        if section and value is None:
            continue
        if section and isinstance(value, dict):
            value = _filled(value, section)
        whole[name] = value
    return whole


def _read_mapping(path: Path) -> dict[Any, Any]:
    try:
        tree = _read_yaml(path)
    except OSError as error:
        raise SettingsError(
            f"the settings file cannot be read: {error.strerror}",
            where=str(path),
            remedy="give an existing file, or make one with `finembed init DIR`",
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(
            "the settings file is not UTF-8", where=str(path), remedy="save it as UTF-8 text"
        ) from None
    except _StandsTwiceError as error:
        raise SettingsError(
            f"`{error.name}` stands twice in its section",
            where=f"{path}, line {error.line}",
            remedy="keep one of the two; the later would silently win",
        ) from None
    except RecursionError:
        raise SettingsError(
            "the settings file is nested too deeply",
            where=str(path),
            remedy="close what was opened",
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(
            "the settings file is not YAML",
            where=f"{path}: {error}",
            remedy="write plain names and values, as `finembed init DIR` does",
        ) from None
    if not isinstance(tree, dict):
        raise SettingsError(
            "the settings file must hold sections such as `dataset:`",
            where=str(path),
            remedy="`finembed init DIR` writes one to start from",
        )
    return tree


def _read_yaml(path: Path) -> Any:
    with path.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise SettingsError(
            f"the settings file is larger than {LARGEST // 1024} KB",
            where=str(path),
            remedy="name data files in it, and keep the data out of it",
        )
    loader = _OnceLoader(content.decode("utf-8-sig"))
    node = loader.get_single_node()
    if node is None:
        return {}
    if _size(node, {}) > LARGEST:
        raise SettingsError(
            "aliases in the settings file refer to each other without end, or nearly so",
            where=str(path),
            remedy="write the values out",
        )
    return loader.construct_document(node) or {}


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Values under a node when its aliases are written out."""
    if id(node) not in known:
        known[id(node)] = math.inf  # of one that holds itself
        inner = [] if isinstance(node, yaml.ScalarNode) else node.value
        flat = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in flat)
    return known[id(node)]


class _StandsTwiceError(Exception):
    """A name is given twice in one mapping."""

    def __init__(self, name: str, line: int) -> None:
        super().__init__(name)
        self.name = name
        self.line = line


class _OnceLoader(yaml.SafeLoader):
    """YAML in which a name stands once in its mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for name, _ in node.value:
            if str(name.value) in seen:
                raise _StandsTwiceError(str(name.value), name.start_mark.line + 1)
            seen.add(str(name.value))
        return super().construct_mapping(node, deep)


def _worst_first(error: ValidationError) -> list[Any]:
    """Misspelt names come first: they are why others are missing."""
    return sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")


def _first_complaint(error: ValidationError) -> str:
    problems = _worst_first(error)
    first = problems[0]
    name = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"there is no setting `{name}`{more}"
    if first["type"] == "missing":
        return f"setting `{name}` is needed{more}"
    if first["type"] in ("model_type", "model_attributes_type"):
        given = _shown(first["input"])
        return f"setting `{name}` is {given}: it is a section, with settings below{more}"
    if first["type"] == "value_error" and isinstance(first["input"], dict):
        return f"{f'in section `{name}`' if name else 'between sections'}: {said}{more}"
    return f"setting `{name}` is {_shown(first['input'])}: {said}{more}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _hint(error: ValidationError, model: Any) -> str:
    for part in _worst_first(error)[0]["loc"][:-1]:
        field = model.model_fields.get(part)  # none for a place in a list
        model = (field and _section_in(field.annotation)) or model
    return f"settings here: {', '.join(sorted(model.model_fields))}"


def _section_in(annotation: Any) -> Any:
    """The section of a field that holds one, a list of them, or perhaps none."""
    inner = [_section_in(argument) for argument in get_args(annotation)]
    return next(filter(None, inner), annotation if hasattr(annotation, "model_fields") else None)
