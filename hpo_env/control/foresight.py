"""Whether a scheduler can be run ahead on a copy without anybody noticing.

Schedulers of torch are arithmetic, but those that are given a function run the user's code: it may
draw random numbers, count its calls, read a file. Only a function whose code can be seen to do
nothing but arithmetic is run ahead; a schedule of any other is taken to stay as it is.
"""

from __future__ import annotations

import builtins
import dis
import functools
import math
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

_ARITHMETIC = frozenset(
    {abs, bool, divmod, enumerate, float, int, len, max, min, pow, range, round, sum, zip}
)
_CONSTANTS = (int, float, complex, str, type(None), range, np.number)
_CONTAINERS = (tuple, list, dict, np.ndarray)
_MUTATORS = frozenset(
    {"append", "clear", "extend", "fill", "insert", "pop", "popitem", "put", "remove", "reverse"}
    | {"setdefault", "sort", "update"}
)
_STORES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "STORE_SUBSCR", "IMPORT_NAME"})
_GIVEN = ("lr_lambdas", "_scale_fn_custom")
"""Where schedulers of torch keep what they are given."""


def can_be_run_ahead(scheduler: Any) -> bool:
    """Say whether a copy of a scheduler can be stepped without side effects."""
    for kind in type(scheduler).__mro__:
        if kind.__module__.startswith(("torch.optim", "builtins")):
            continue
        methods = [value for value in vars(kind).values() if isinstance(value, types.FunctionType)]
        called = [m for m in methods if m.__name__ != "__init__"]
        if not all(is_arithmetic(method, is_method=True) for method in called):
            return False
    return all(is_arithmetic(function) for function in _functions(scheduler))


def is_arithmetic(function: Any, *, is_method: bool = False) -> bool:
    """Say whether a function can be seen to compute something and do nothing else.

    Args:
        function: Anything that can be called.
        is_method: It may set attributes, as those of a copy.

    Example:
        >>> is_arithmetic(lambda step: 0.9**step), is_arithmetic(lambda step: print(step))
        (True, False)
    """
    if function is None:
        return True
    if isinstance(function, functools.partial):
        return is_arithmetic(function.func)
    if isinstance(function, types.FunctionType):
        values = {**vars(builtins), **function.__globals__}
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        return _is_code_arithmetic(
            function.__code__, values | _contents(cells), is_method=is_method
        )
    if not callable(function) or getattr(function, "__hash__", None) is None:
        return False
    return function in _ARITHMETIC or getattr(function, "__module__", "") == "math"


def _functions(scheduler: Any) -> Iterator[Any]:
    for name in _GIVEN:
        given = getattr(scheduler, name, None)
        yield from given if isinstance(given, list | tuple) else (given,)


def _contents(cells: Any) -> dict[str, Any]:
    return {name: cell.cell_contents for name, cell in cells}


def _is_code_arithmetic(code: types.CodeType, values: dict[str, Any], *, is_method: bool) -> bool:
    if _MUTATORS & set(code.co_names):
        return False
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argval
        if name in _STORES and not (is_method and name == "STORE_ATTR"):
            return False
        if name == "STORE_DEREF" and argument not in code.co_cellvars:
            return False
        if name in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
            if argument in code.co_cellvars or (is_method and argument == "__class__"):
                continue
            if argument not in values or not _is_harmless(values[argument]):
                return False
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    local = dict.fromkeys(code.co_cellvars)
    return all(_is_code_arithmetic(c, values | local, is_method=is_method) for c in inner)


def _is_harmless(value: Any) -> bool:
    """Say whether looking at a value and calling it has no effect."""
    if isinstance(value, _CONSTANTS) or value is math:
        return True
    if isinstance(value, _CONTAINERS):
        return True
    return is_arithmetic(value)
