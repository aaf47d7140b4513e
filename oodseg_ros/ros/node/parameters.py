"""The schema's parameters on a node: declared with descriptors, checked, and turned into `Settings`.

A wrong value in a params file must not end the process (rclpy would): the parameter is declared at its default, the
sentence is kept, and configure refuses with it until the parameter is set right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ...errors import ConfigError
from ...parameters.params_file import FOREIGN, is_idle_block
from ...parameters.schema import Schema, Spec, check, less_careful, load_schema, unknown
from ...parameters.settings import Settings, make_settings

_PARAMETER_TYPES = {
    "string": Parameter.Type.STRING,
    "bool": Parameter.Type.BOOL,
    "integer": Parameter.Type.INTEGER,
    "double": Parameter.Type.DOUBLE,
    "string_array": Parameter.Type.STRING_ARRAY,
    "double_array": Parameter.Type.DOUBLE_ARRAY,
}
_ARRAYS = tuple(getattr(Parameter.Type, f"{kind}_ARRAY") for kind in ("BOOL", "INTEGER", "DOUBLE", "STRING", "BYTE"))


class NodeParameters:
    """Declares on construction.

    Attributes:
        locked: while True (the node is configured), only parameters marked `runtime` may be changed.
        meanings: full name → what NaN stands for, once the bundle is known.

    Args:
        changed: gets the new settings after a change at run time, before `settings()` would tell them.
        schema: None = the package's own.
    """

    def __init__(self, node: Node, changed: Callable[[Settings], None], schema: Schema | None = None) -> None:
        self.locked = False
        self.meanings: dict[str, float] = {}
        self._changed = changed
        self._node = node
        self._schema = schema or load_schema()
        # What the command line and params files say. rclpy offers it under this name only, from Foxy to Kilted.
        self._given: dict[str, Parameter] = dict(node._parameter_overrides)
        self._specs: dict[str, Spec] = {}
        self._problems: dict[str, str] = {}
        for name, spec in self._schema.node.items():
            self._declare(name, spec)
        self._declare_blocks()
        if hasattr(node, "add_pre_set_parameters_callback"):  # since Iron
            node.add_pre_set_parameters_callback(self._before_set)
        node.add_on_set_parameters_callback(self._on_set)

    def settings(self) -> Settings:
        """The present values.

        Raises:
            ConfigError: with one sentence per wrong or unknown parameter.
        """
        self._declare_blocks()
        specs = self._wanted()
        problems = [text for name, text in self._problems.items() if name in specs]
        problems += [unknown(name, specs) for name in self._unknown(specs) if not is_idle_block(self._schema, name)]
        if problems:
            raise ConfigError("; ".join(problems))
        return make_settings({name: self._node.get_parameter(name).value for name in specs})

    def unused(self) -> list[str]:
        """Parameters that were given for cameras that are not in `cameras`: not wrong, but worth a warning."""
        return [name for name in self._unknown(self._wanted()) if is_idle_block(self._schema, name)]

    def qos_overrides(self) -> dict[str, Any]:
        """`qos_overrides` parameters as given, whether anything reads them or not."""
        return {name: given.value for name, given in self._given.items() if name.startswith("qos_overrides.")}

    def less_careful(self) -> list[str]:
        """`name default -> value` of what is less careful than by default."""
        comparable = {name: spec for name, spec in self._wanted().items() if spec.careful != "same"}
        values = {name: _plain(self._node.get_parameter(name)) for name in comparable}
        return less_careful(comparable, {}, values, self.meanings)

    def _wanted(self) -> dict[str, Spec]:
        return self._schema.specs(*(self._node.get_parameter(name).value for name in ("cameras", "zones")))

    def _unknown(self, specs: dict[str, Spec]) -> list[str]:
        return [name for name in self._given if name not in specs and not name.startswith(FOREIGN)]

    def _declare_blocks(self) -> None:
        for name, spec in self._wanted().items():
            self._declare(name, spec)

    def _declare(self, name: str, spec: Spec) -> None:
        if self._node.has_parameter(name):
            return
        value = spec.default
        if name in self._given:
            try:
                value = check(spec, name, _plain(_typed(spec, self._given[name])))
            except ConfigError as error:
                self._problems[name] = str(error)
        self._specs[name] = spec
        # The override is ignored because `value` already holds it.
        self._node.declare_parameter(name, value, _descriptor(name, spec), ignore_override=True)
        if value == []:
            # rclpy takes any empty list for one of bytes.
            self._node.set_parameters([Parameter(name, _PARAMETER_TYPES[spec.type], value)])

    def _before_set(self, parameters: list[Parameter]) -> list[Parameter]:
        """What `ros2 param set` and a file write, in the declared types: rclpy refuses 1 for a double, and any `[]`."""
        return [_typed(self._specs[p.name], p) if p.name in self._specs else p for p in parameters]

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            changed = {p.name: self._checked(p) for p in parameters if p.name in self._specs}
            steps = self._steps(changed) if self.locked else []
            if self.locked and changed:
                # Alone each may be fine, but not together with the others.
                values = {name: self._node.get_parameter(name).value for name in self._specs} | changed
                self._changed(make_settings(values))
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name in changed:
            self._problems.pop(name, None)
        for step in steps:
            self._node.get_logger().warning(f"less careful: {step}")
        return SetParametersResult(successful=True)

    def _steps(self, changed: dict[str, Any]) -> list[str]:
        """Steps of a change towards less care; refused where they are locked."""
        before = {name: _plain(self._node.get_parameter(name)) for name in changed}
        steps = less_careful(self._specs, before, changed, self.meanings)
        if steps and self._node.get_parameter("lock_careful").value:
            raise ConfigError(f"lock_careful is set, and this is less careful: {', '.join(steps)}")
        return steps

    def _checked(self, parameter: Parameter) -> Any:
        spec = self._specs[parameter.name]
        value = check(spec, parameter.name, _plain(parameter))
        if self.locked and not spec.runtime:
            raise ConfigError(
                f"parameter {parameter.name} takes effect at configure: deactivate and clean up the node first"
            )
        return value


def _typed(spec: Spec, parameter: Parameter) -> Parameter:
    """The parameter in the type of its spec where nothing is lost by it, else as it is.

    rcl gives `[]` of a file without a type, `ros2 param set` gives it as an array of bool; both write 1.0 as 1.
    """
    wanted, value = _PARAMETER_TYPES[spec.type], parameter.value
    if parameter.type_ == wanted:
        return parameter
    if wanted in _ARRAYS and (
        parameter.type_ == Parameter.Type.NOT_SET or (parameter.type_ in _ARRAYS and not len(value))
    ):
        return Parameter(parameter.name, wanted, [])
    if (wanted, parameter.type_) == (Parameter.Type.DOUBLE, Parameter.Type.INTEGER):
        return Parameter(parameter.name, wanted, float(value))
    if (wanted, parameter.type_) == (Parameter.Type.DOUBLE_ARRAY, Parameter.Type.INTEGER_ARRAY):
        return Parameter(parameter.name, wanted, [float(item) for item in value])
    return parameter


def _plain(parameter: Parameter) -> Any:
    """Value with arrays as lists."""
    value = parameter.value
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "tolist") else value


def _descriptor(name: str, spec: Spec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(name=name, type=_PARAMETER_TYPES[spec.type].value, description=spec.description)
    # Of a list rclpy guesses the type from its items, and would refuse all others later; `check` is stricter than it.
    descriptor.dynamic_typing = spec.type.endswith("array")
    if spec.choices:
        descriptor.additional_constraints = "one of " + ", ".join(spec.choices)
    if spec.range and spec.type == "integer":
        descriptor.integer_range = [IntegerRange(from_value=int(spec.range[0]), to_value=int(spec.range[1]), step=0)]
    elif spec.range and all(map(math.isfinite, spec.range)):
        low, high = map(float, spec.range)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    return descriptor
