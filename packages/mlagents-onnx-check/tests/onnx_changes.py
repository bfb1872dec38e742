"""Changes of an ONNX model, each of one thing."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

Change = Callable[[ModelProto], None]


def constant(name: str, values: object, dtype: type = np.float32) -> Change:
    """Replaces an output by a constant."""

    def change(model: ModelProto) -> None:
        value = numpy_helper.from_array(np.asarray(values, dtype), name)
        _free(model, name)
        model.graph.node.append(helper.make_node("Constant", [], [name], value=value))
        output = _output(model, name)
        output.CopyFrom(helper.make_tensor_value_info(name, value.data_type, list(value.dims)))

    return change


def drop(*names: str) -> Change:
    """Leaves outputs out."""

    def change(model: ModelProto) -> None:
        kept = [value for value in model.graph.output if value.name not in names]
        del model.graph.output[:]
        model.graph.output.extend(kept)

    return change


def swap(first: str, second: str) -> Change:
    """Exchanges the names of two inputs."""
    return lambda model: _rename(model, {first: second, second: first})


def rename(old: str, new: str) -> Change:
    """Gives an input or output another name."""
    return lambda model: _rename(model, {old: new})


def fill(name: str, shape: Sequence[int]) -> Change:
    """Makes a constant of an input."""

    def change(model: ModelProto) -> None:
        kept = [value for value in model.graph.input if value.name != name]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))

    return change


def axis(name: str, index: int, size: int | str) -> Change:
    """States another size of an input or output: a number, or a name for an open one."""

    def change(model: ModelProto) -> None:
        value = next(each for each in [*model.graph.input, *model.graph.output] if each.name == name)
        dimension = value.type.tensor_type.shape.dim[index]
        if isinstance(size, int):
            dimension.dim_value = size
        else:
            dimension.dim_param = size

    return change


def feed(name: str, shape: Sequence[int | str], *operations: tuple, dtype: int = TensorProto.FLOAT) -> Change:
    """Gives an input another shape or type, and turns it into what the network reads.

    An operation is its ONNX name, the constants that it reads behind the tensor, and its attributes.
    """

    def change(model: ModelProto) -> None:
        inner = f"{name}/network"
        _reread(model, name, inner)
        value = next(each for each in model.graph.input if each.name == name)
        value.CopyFrom(helper.make_tensor_value_info(name, dtype, shape))
        for node in reversed(_chain(model, name, inner, operations)):
            model.graph.node.insert(0, node)

    return change


def give(name: str, shape: Sequence[int | str], *operations: tuple, dtype: int = TensorProto.FLOAT) -> Change:
    """Changes an output after the network; operations as of `feed`."""

    def change(model: ModelProto) -> None:
        _free(model, name)
        model.graph.node.extend(_chain(model, f"{name}/old", name, operations))
        _output(model, name).CopyFrom(helper.make_tensor_value_info(name, dtype, shape))

    return change


def add_input(name: str, shape: Sequence[int | str]) -> Change:
    """Adds an input that nothing reads."""
    return lambda model: model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def add_output(name: str, source: str) -> Change:
    """Adds a copy of an output."""

    def change(model: ModelProto) -> None:
        value = _output(model, source)
        model.graph.node.append(helper.make_node("Identity", [source], [name]))
        model.graph.output.append(
            helper.make_tensor_value_info(
                name,
                value.type.tensor_type.elem_type,
                [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
            )
        )

    return change


def opset(version: int) -> Change:
    """States another operator set."""

    def change(model: ModelProto) -> None:
        model.opset_import[0].version = version

    return change


def ir_version(version: int) -> Change:
    """States another version of the format."""

    def change(model: ModelProto) -> None:
        model.ir_version = version

    return change


def domain(name: str) -> Change:
    """Takes the last operator from elsewhere."""

    def change(model: ModelProto) -> None:
        model.graph.node[-1].domain = name
        model.opset_import.append(helper.make_opsetid(name, 1))

    return change


def break_graph(model: ModelProto) -> None:
    """Lets an operator read what nothing makes."""
    model.graph.node[-1].input[0] = "nothing"


def count_agents(model: ModelProto) -> None:
    """Makes the version number of the number of agents."""
    _free(model, "version_number")
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["obs_0"], ["shape"]),
            helper.make_node("Slice", ["shape"], ["agents"], starts=[0], ends=[1], axes=[0]),
            helper.make_node("Cast", ["agents"], ["version_number"], to=TensorProto.FLOAT),
        ]
    )


def mutate(good: Path, changed: Path, changes: Sequence[Change]) -> Path:
    """Writes the good model with changes."""
    model = onnx.load(str(good))
    for change in changes:
        change(model)
    onnx.save(model, str(changed))
    return changed


def _chain(model: ModelProto, first: str, last: str, operations: Sequence[tuple]) -> list:
    """Nodes from one tensor to another, through all operations."""
    nodes = []
    for i, (operation, constants, attributes) in enumerate(operations):
        read = first if i == 0 else f"{last}/{i}"
        written = last if i == len(operations) - 1 else f"{last}/{i + 1}"
        names = [f"{written}/constant_{j}" for j in range(len(constants))]
        for name, values in zip(names, constants, strict=True):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        nodes.append(helper.make_node(operation, [read, *names], [written], **attributes))
    return nodes


def _output(model: ModelProto, name: str):
    return next(value for value in model.graph.output if value.name == name)


def _free(model: ModelProto, name: str) -> None:
    """Lets the node that makes an output make another tensor."""
    for node in model.graph.node:
        node.output[:] = [f"{name}/old" if each == name else each for each in node.output]
        node.input[:] = [f"{name}/old" if each == name else each for each in node.input]


def _reread(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.input[:] = [new if each == old else each for each in node.input]


def _rename(model: ModelProto, names: dict[str, str]) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]
