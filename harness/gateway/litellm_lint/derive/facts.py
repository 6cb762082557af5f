"""What the functions of a package read, assign and pass on, by parsing its source."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

READERS = {"get", "pop", "setdefault", "has_key"}
PASSING = {"dict", "deepcopy", "copy", "cast", "MappingProxyType", "validate_python", "items", "_d"}
LOADERS = {"get_config", "_get_config_from_file", "load_yaml_config", "_load_yaml_file"}
Source = tuple[Any, ...]
"""Where a value comes from: ('var', name), ('sub', Source, key) or ()."""


@dataclass
class Function:
    """What one function does to names: its reads, its assignments and what it passes on."""

    name: str
    file: str
    owner: str
    parameters: list[str]
    reads: list[tuple[Source, str, int]] = field(default_factory=list)
    binds: list[tuple[str, Source]] = field(default_factory=list)
    passes: list[tuple[str, int | str, Source]] = field(default_factory=list)


@dataclass
class Package:
    """Everything gathered from the package's source."""

    functions: list[Function] = field(default_factory=list)
    fields: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    bases: dict[str, list[str]] = field(default_factory=dict)
    arguments: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    constants: dict[str, list[str]] = field(default_factory=dict)
    module_reads: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    globals: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    metrics: dict[str, tuple[str, str]] = field(default_factory=dict)
    handlers: dict[str, list[str]] = field(default_factory=dict)
    filed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    imported: dict[str, dict[str, str]] = field(default_factory=dict)


def text(node: ast.AST | None) -> str:
    """The annotation as it is written, on one line."""
    return "" if node is None else " ".join(ast.unparse(node).split())


def last_name(node: ast.AST) -> str:
    """``c`` of ``a.b.c``; nothing for other expressions."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def string(node: ast.AST) -> str | None:
    """The value of a text literal."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


def source(node: ast.AST) -> Source:  # noqa: C901, PLR0911  one return per kind of expression
    """Where the value of an expression comes from."""
    if isinstance(node, ast.Name | ast.Attribute):
        return ("var", last_name(node))
    if isinstance(node, ast.Await | ast.NamedExpr | ast.Starred):
        return source(node.value)
    if isinstance(node, ast.IfExp):
        return source(node.body) or source(node.orelse)
    if isinstance(node, ast.BoolOp):
        return next((found for value in node.values if (found := source(value))), ())
    if isinstance(node, ast.Subscript):
        key = string(node.slice)
        return ("sub", source(node.value), key) if key else ("item", source(node.value))
    if isinstance(node, ast.Call):
        called = last_name(node.func)
        if called in READERS and node.args and isinstance(node.func, ast.Attribute):
            key = string(node.args[0])
            return ("sub", source(node.func.value), key) if key else ()
        if called in LOADERS:
            return ("var", "<config>")
        if called in PASSING:
            if node.args:
                return source(node.args[-1])
            return source(node.func.value) if isinstance(node.func, ast.Attribute) else ()
    return ()


class Reader(ast.NodeVisitor):
    """Walks one module and notes what its functions read."""

    def __init__(self, package: Package, file: str) -> None:
        self.package = package
        self.file = file
        self.owner = ""
        self.function = Function("<module>", file, "", [])
        package.functions.append(self.function)
        self.loops: dict[str, list[str]] = {}
        self.methods: set[ast.AST] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The fields and bases of a class; the words of an enumeration."""
        fields = {
            item.target.id: (self.at(item), text(item.annotation))
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        self.package.fields.setdefault(node.name, {}).update(fields)
        self.package.bases.setdefault(node.name, []).extend(last_name(base) for base in node.bases)
        values = [item.value for item in node.body if isinstance(item, ast.Assign)]
        words = [word for value in values if (word := string(value))]
        if "Enum" in {last_name(base) for base in node.bases} and words:
            self.package.constants[node.name] = words
        outer, self.owner = self.owner, node.name
        self.generic_visit(node)
        self.owner = outer

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A function: its parameters, then what it does."""
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = [each.arg for each in arguments]
        outer = self.function, self.loops
        self.function = Function(node.name, self.file, self.owner, names)
        self.loops = {}
        self.package.functions.append(self.function)
        known = {
            each.arg: (f"{self.file}:{each.lineno}", text(each.annotation))
            for each in arguments
            if each.arg not in {"self", "cls"}
        }
        title = self.owner if node.name == "__init__" else node.name
        self.package.arguments.setdefault(title, {}).update(known)
        self.generic_visit(node)
        self.function, self.loops = outer

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  named by ast

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """``from litellm import drop_params`` reads it; ``litellm`` itself gathers data so."""
        if node.module == "litellm":
            for alias in node.names:
                self.package.module_reads[alias.name].append(self.at(node))
        home = "" if node.module is None else node.module.removeprefix("litellm.")
        known = self.package.imported.setdefault(self.file, {})
        known.update({alias.name: f"litellm/{home.replace('.', '/')}.py" for alias in node.names})

    def visit_Assign(self, node: ast.Assign) -> None:
        """``name = value``."""
        for target in node.targets:
            self.bind(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """``name: annotation = value``."""
        if node.value is not None:
            self.bind(node.target, node.value)
        if isinstance(node.target, ast.Name) and self.function.name == "<module>":
            self.remember(node.target.id, node, text(node.annotation))
        self.generic_visit(node)

    def bind(self, target: ast.AST, value: ast.AST) -> None:
        """``name`` now stands for what ``value`` comes from."""
        name = last_name(target)
        found = source(value)
        if name and found:
            self.function.binds.append((name, found))
        words = texts(value, self.package.constants)
        if name and words:
            self.loops[name] = list(words)
            if self.function.name == "<module>":
                self.package.constants[name] = list(words)
        if isinstance(target, ast.Name) and self.function.name == "<module>" and not self.owner:
            self.remember(target.id, value, "")

    def remember(self, name: str, node: ast.AST, annotation: str) -> None:
        """A name of the module, with its annotation."""
        known = self.package.globals.setdefault(self.file, {})
        if annotation or name not in known:
            known[name] = (self.at(node), annotation)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """A loop."""
        self.loop(node.target, node.iter)
        self.generic_visit(node)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """A loop in a comprehension."""
        self.loop(node.target, node.iter)
        self.generic_visit(node)

    def loop(self, target: ast.AST, over: ast.AST) -> None:
        """``for name in ("a", "b")`` makes name stand for both; ``for k, v in x.items()``."""
        words = texts(over, self.package.constants)
        first = target.elts[0] if isinstance(target, ast.Tuple) else target
        if words:
            self.loops[last_name(first)] = words
            return
        found = source(over)
        if found:
            self.function.binds.append((f"<key> {last_name(first)}", found))
            if not isinstance(target, ast.Tuple):
                self.function.binds.append((last_name(target), ("item", found)))

    def visit_ListComp(self, node: Any) -> None:
        """A comprehension: its loops come before what it makes."""
        for each in node.generators:
            self.loop(each.target, each.iter)
        self.generic_visit(node)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp  # noqa: N815

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """``section["key"]``."""
        if isinstance(node.ctx, ast.Load):
            self.read(node.value, node.slice, node)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """``"key" in section`` and ``key == "key"``."""
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                self.read(right, node.left, node)
            if isinstance(operator, ast.In | ast.Eq) and isinstance(node.left, ast.Name):
                for word in texts(right, self.package.constants) or [string(right) or ""]:
                    if word:
                        read = (("var", f"<key> {node.left.id}"), word, node.lineno)
                        self.function.reads.append(read)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """``section.key`` and ``litellm.key``."""
        if isinstance(node.ctx, ast.Load) and node not in self.methods:
            if isinstance(node.value, ast.Name) and node.value.id == "litellm":
                self.package.module_reads[node.attr].append(self.at(node))
            found = source(node.value)
            if found:  # a section held by a model: settings.cache
                self.function.reads.append((found, node.attr, node.lineno))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """``section.get("key")`` and what is passed on."""
        called = last_name(node.func)
        self.methods.add(node.func)
        if isinstance(node.func, ast.Attribute) and called in READERS and node.args:
            self.read(node.func.value, node.args[0], node)
        if called in {"getattr", "hasattr"} and len(node.args) > 1:
            self.read(node.args[0], node.args[1], node)
            if last_name(node.args[0]) == "litellm":
                for word in self.words(node.args[1]):
                    self.package.module_reads[word].append(self.at(node))
        if called:
            for index, argument in enumerate(node.args):
                found = source(argument)
                if found:
                    self.function.passes.append((called, index, found))
            for keyword in node.keywords:
                found = source(keyword.value)
                if found:
                    self.function.passes.append((called, keyword.arg or "**", found))
        self.metric(called, node)
        self.generic_visit(node)

    def metric(self, called: str, node: ast.Call) -> None:
        """``Counter("litellm_...")``."""
        kind = next(
            (kind for kind in ("counter", "gauge", "histogram") if kind in called.lower()), ""
        )
        named = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        for argument in (*node.args[:2], *named):
            name = string(argument)
            if kind and name and name.startswith("litellm_"):
                self.package.metrics[name] = (kind, self.at(node))

    def visit_If(self, node: ast.If) -> None:
        """``if provider == "openai": openai_models.add(name)`` files the names of a provider."""
        words = [word for each in ast.walk(node.test) if (word := string(each))]
        calls = [
            each for line in node.body for each in ast.walk(line) if isinstance(each, ast.Call)
        ]
        for call in calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr == "add":
                for word in words:
                    self.package.filed[word].add(last_name(call.func.value))
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        """A table of handlers by name, such as the health check's by mode."""
        words = [word for key in node.keys if key is not None and (word := string(key))]
        if words and all(isinstance(value, ast.Lambda) for value in node.values):
            self.package.handlers.setdefault(self.file, []).extend(words)
        self.generic_visit(node)

    def words(self, node: ast.AST) -> list[str]:
        """The texts an expression can be, as far as that is plain."""
        literal = string(node)
        if literal is not None:
            return [literal]
        name = last_name(node)
        return self.loops.get(name) or self.package.constants.get(name, [])

    def read(self, of: ast.AST, key: ast.AST, node: ast.expr) -> None:
        """Note that ``of`` is asked for ``key``."""
        found = source(of)
        if found:
            for word in self.words(key):
                self.function.reads.append((found, word, node.lineno))

    def at(self, node: Any) -> str:
        """File and line of a node."""
        return f"{self.file}:{node.lineno}"


def texts(node: ast.AST, constants: dict[str, list[str]]) -> list[str]:
    """The members of a literal tuple, list or set of texts, or the text itself."""
    if isinstance(node, ast.Call) and last_name(node.func) in {"frozenset", "set", "tuple"}:
        return texts(node.args[0], constants) if node.args else []
    if isinstance(node, ast.Name | ast.Attribute):
        return constants.get(last_name(node), [])
    if isinstance(node, ast.Subscript) and last_name(node.value) in {"Literal", "list", "List"}:
        return texts(node.slice, constants)
    literal = string(node)
    if literal is not None:
        return [literal]
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        found = [word for item in node.elts for word in texts(item, constants)]
        return found if len(found) >= len(node.elts) else []
    return []
