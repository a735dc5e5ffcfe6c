"""The changes: each swaps one operator, condition, constant or statement of a module."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
NOT_RUN = {"annotation", "returns", "decorator_list", "bases", "type_params", "exc"}
"""Parts of a node without behaviour: types, and the texts of errors."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. Its name outlives edits elsewhere in the file, and a move of the file."""

    name: str
    line: int
    start: int
    """In bytes of the source."""
    end: int
    new: bytes

    def apply(self, source: bytes) -> bytes:
        """Return the source with the change."""
        return source[: self.start] + self.new + source[self.end :]

    @property
    def rank(self) -> bytes:
        """The order in which mutants are taken: at random, and the same in each run."""
        return sha256(self.name.encode()).digest()


def mutants_of(source: bytes, module: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of `rank`."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen: Counter[str] = Counter()
    found = []
    for place, node, new in _changes(ast.parse(source), ()):
        old = " ".join(ast.unparse(node).split())
        name = f"{module} {'.'.join(place)}: {old} -> {new}"
        seen[name] += 1
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        number = f" #{seen[name]}" if seen[name] > 1 else ""
        found.append(Mutant(name + number, node.lineno, start, end, new.encode()))
    return sorted(found, key=lambda mutant: mutant.rank)


def _changes(node: ast.AST, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], ast.expr | ast.stmt, str]]:
    """Yield where, what and what instead, for the node and all below it."""
    if _is_left_alone(node):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        place = (*place, node.name)
    if isinstance(node, ast.expr):
        yield from ((place, node, f"({new})") for new in _other_expressions(node))
    elif isinstance(node, ast.stmt):
        yield from ((place, node, new) for new in _other_statements(node))
    for name, value in ast.iter_fields(node):
        if name not in NOT_RUN:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _changes(child, place)


def _is_left_alone(node: ast.AST) -> bool:
    """Whether it is text, a log line, an assertion or an import."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case (
            ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log"))))
            | ast.If(test=ast.Name(id="TYPE_CHECKING"))
        ):
            return True
    return False


def _other_expressions(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Compare(left=left, ops=[operator, *others], comparators=comparators) if type(operator) in COMPARISONS:
            yield ast.unparse(ast.Compare(left, [COMPARISONS[type(operator)](), *others], comparators))
        case ast.BoolOp(op=operator, values=values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield ast.unparse(ast.BoolOp(other, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield ast.unparse(operand)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            yield ast.unparse(ast.BinOp(left, OPERATORS[type(operator)](), right))
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=(int() | float()) as value):
            yield repr(value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield ast.unparse(ast.Call(ast.Name(CALLS[name]), node.args, node.keywords))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.unparse(ast.IfExp(test, orelse, body))


def _other_statements(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Delete() | ast.Continue() | ast.Break():
            yield "pass"
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return None"
        case ast.Raise():
            yield "pass"
