"""Writes docs/api.md, the page of everything public in mlagents-plugin-shared, from its docstrings."""

import re
import textwrap
from collections.abc import Iterable, Iterator

import griffe
from griffe import Alias, Attribute, Class, DocstringSection, DocstringSectionKind, Function, Module
from sources import ROOT, load

PAGE = ROOT / "docs" / "api.md"
PACKAGE = "mlagents_plugin_shared"
LONGEST_VALUE = 300  # characters; of a longer one, such as a table of texts, only the brackets are shown

HEAD = f"""# Public API of `{PACKAGE}`

`nox -s docs` writes this page from the docstrings. Letters of shapes: `B` batch, `T` time, `A` actions of all branches
together, `D` branches, `N` atoms or quantiles, `S` reward streams.
"""

Documented = Class | Function | Attribute


def public_modules(package: Module) -> list[Module]:
    """Modules by path, those in subpackages among them."""
    members = package.modules.items()
    modules = [module for name, module in members if not (name.startswith("_") or module.is_alias)]
    return sorted([*modules, *(each for module in modules for each in public_modules(module))], key=path_of)


def path_of(each: Module | Documented) -> str:
    """Where a module is, from the package on: `maths.targets`."""
    return str(each.path).removeprefix(f"{PACKAGE}.")


def public_names(module: Module) -> dict[str, Documented]:
    """What a module lists in `__all__`; without it, what it defines under a name with no underscore.

    What its subpackage lists is documented there, and once.
    """
    if module.exports is not None:
        return {str(name): _target(module[str(name)]) for name in module.exports}
    own = {name: member for name, member in module.members.items() if not (member.is_alias or member.is_module)}
    handed_on = set(map(str, module.parent.exports or ()))
    return {name: own[name] for name in own if not name.startswith("_") and name not in {"logger", *handed_on}}


def public_members(owner: Class) -> list[Documented]:
    """Methods and attributes that have a docstring; those without mean what the base class says."""
    own = [member for name, member in owner.members.items() if not name.startswith("_") and not member.is_alias]
    return [member for member in own if member.docstring]


def undocumented(package: Module) -> list[str]:
    """Public modules and names that have no docstring."""
    modules = public_modules(package)
    objects = [*modules, *(each for module in modules for each in public_names(module).values())]
    return [each.path for each in objects if not each.docstring]


def page(package: Module) -> str:
    """The whole page."""
    modules = public_modules(package)
    table = ["| module | holds |", "|---|---|", *map(_table_row, modules)]
    return "\n".join([HEAD, *table, "", *(line for module in modules for line in _module(module))]).rstrip() + "\n"


def _target(member: Alias | Documented) -> Documented:
    return member.final_target if isinstance(member, Alias) else member


def _table_row(module: Module) -> str:
    names = (f"[`{name}`](#{_anchor(f'{path_of(module)}.{name}')})" for name in public_names(module))
    return f"| [`{path_of(module)}`](#{_anchor(path_of(module))}) | {', '.join(names)} |"


def _anchor(heading: str) -> str:
    """The fragment under which GitHub shows a heading."""
    return re.sub(r"[^\w-]", "", heading.lower())


def _module(module: Module) -> Iterator[str]:
    yield from [f"## `{path_of(module)}`", ""]
    yield from _docstring(module)
    for name, each in public_names(module).items():
        yield from [f"### `{path_of(module)}.{name}`", ""]
        yield from _object(each)


def _object(each: Documented) -> Iterator[str]:
    yield from ["```python", *_declaration(each), "```", ""]
    yield from _docstring(each)
    if isinstance(each, Class):
        yield from _members(each)


def _members(owner: Class) -> Iterator[str]:
    members = public_members(owner)
    attributes = [member for member in members if isinstance(member, Attribute)]
    if attributes:
        title = "Properties" if attributes[0].has_labels("property") else "Members"
        yield from _list(title, ((member.name, member.docstring.value) for member in attributes))
    for method in (member for member in members if isinstance(member, Function)):
        yield from [f"#### `{owner.name}.{method.name}`", ""]
        yield from _object(method)


def _declaration(each: Documented) -> list[str]:
    if isinstance(each, Attribute):
        value = str(each.value)
        return [f"{each.name} = {value if len(value) <= LONGEST_VALUE else f'{value[0]}...{value[-1]}'}"]
    lines = [each.signature()] if each.signature() else []  # empty for a class that takes over its constructor
    if isinstance(each, Class):
        lines = [_class_line(each), *lines]
    return [part for line in lines for part in _wrapped(line)]


def _wrapped(signature: str) -> list[str]:
    """Breaks after commas only."""
    joined = re.sub(r"(?<!,) ", "\N{NO-BREAK SPACE}", signature)
    lines = textwrap.wrap(joined, 100, subsequent_indent="    ", break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _class_line(each: Class) -> str:
    bases = ", ".join(map(str, each.bases))
    return f"class {each.name}({bases})" if bases else f"class {each.name}"


def _docstring(each: Module | Documented) -> Iterator[str]:
    if each.docstring:
        for section in each.docstring.parsed:
            yield from _section(section)


def _section(section: DocstringSection) -> Iterator[str]:
    kind = section.kind
    if kind is DocstringSectionKind.text:
        yield from [_text(section.value), ""]
    elif kind in (DocstringSectionKind.returns, DocstringSectionKind.yields):
        yield from [f"**{kind.value.title()}**", "", *map(_returned, section.value), ""]
    elif kind is DocstringSectionKind.raises:
        yield from _list("Raises", ((item.annotation, item.description) for item in section.value))
    elif kind in (DocstringSectionKind.parameters, DocstringSectionKind.attributes):
        title = "Args" if kind is DocstringSectionKind.parameters else "Attributes"
        yield from _list(title, ((item.name, item.description) for item in section.value))
    else:
        raise ValueError(f"no rendering for a docstring section of kind {kind.value}")


def _returned(item: griffe.DocstringReturn) -> str:
    """griffe takes what stands before a colon for the type."""
    return f"{item.annotation}: {item.description}" if isinstance(item.annotation, str) else item.description


def _text(text: str) -> str:
    return "\n\n".join(_equation(part) if _is_equation(part) else part for part in text.split("\n\n"))


def _is_equation(paragraph: str) -> bool:
    """An equation stands in a paragraph of its own, which is no sentence."""
    return bool(re.search(r" [=←] ", paragraph)) and not paragraph.rstrip().endswith((".", ":"))


def _equation(paragraph: str) -> str:
    return f"```text\n{paragraph}\n```"


def _list(title: str, items: Iterable[tuple[object, str]]) -> Iterator[str]:
    yield from [f"**{title}**", ""]
    for name, text in items:
        yield f"* `{name}`: " + text.replace("\n", "\n  ")
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(load(PACKAGE)), encoding="utf-8")
