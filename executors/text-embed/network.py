"""all-MiniLM-L6-v2 as an ONNX graph, built from the weights its package carries: no torch, no export step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.onnx_ml_pb2 import NodeProto

OPSET = 20
_EPSILON = 1e-12


class _Graph:
    """Collects nodes and weights; every method returns the name of its result."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self._weights = weights
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def weight(self, name: str, *, transposed: bool = False) -> str:
        values = self._weights[name]
        key = f"{name}.T" if transposed else name
        self.constants[key] = np.ascontiguousarray(values.T if transposed else values)
        return key

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants[name] = values
        return name

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def linear(self, value: str, layer: str) -> str:
        product = self.add("MatMul", value, self.weight(f"{layer}.weight", transposed=True))
        return self.add("Add", product, self.weight(f"{layer}.bias"))

    def normalised(self, value: str, layer: str) -> str:
        scale, bias = self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")
        return self.add("LayerNormalization", value, scale, bias, axis=-1, epsilon=_EPSILON)


def read_weights(file: Path) -> dict[str, np.ndarray]:
    """The float32 tensors of a safetensors file: eight bytes of length, JSON, raw values."""
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    weights = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            weights[name] = np.frombuffer(raw[8 + size + start : 8 + size + end], np.float32).reshape(entry["shape"])
    return weights


def build(folder: Path) -> bytes:
    """
    The serialised graph of the model in *folder*.

    Inputs ``ids`` and ``mask`` (int64, batch × tokens), output ``vectors``: the mean of the token
    vectors that the mask keeps, of length 1, as the model's own pooling does.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    heads = int(config["num_attention_heads"])
    hidden = int(config["hidden_size"])
    graph = _Graph(read_weights(folder / "model.safetensors"))
    one = graph.constant("one", np.array([1], np.int64))
    mask = graph.add("Cast", "mask", to=TensorProto.FLOAT)
    value = _embeddings(graph)
    # 0 where a token counts, a very negative number where the mask hides padding; heads × queries broadcast.
    hidden_tokens = graph.add("Sub", graph.constant("unit", np.array(1, np.float32)), mask)
    penalty = graph.add("Mul", hidden_tokens, graph.constant("lowest", np.array(-1e9, np.float32)))
    penalty = graph.add("Unsqueeze", penalty, graph.constant("axes_1_2", np.array([1, 2], np.int64)))
    for number in range(int(config["num_hidden_layers"])):
        value = _layer(graph, value, penalty, f"encoder.layer.{number}", heads, hidden)
    weight = graph.add("Unsqueeze", mask, graph.constant("axis_2", np.array([2], np.int64)))
    total = graph.add("ReduceSum", graph.add("Mul", value, weight), one, keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", weight, one, keepdims=0))
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["vectors"], axis=-1, p=2))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("ids", "mask")],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", hidden])],
            [numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
    return bytes(model.SerializeToString())


def _embeddings(graph: _Graph) -> str:
    words = graph.add("Gather", graph.weight("embeddings.word_embeddings.weight"), "ids")
    length = graph.add("Shape", "ids", start=1, end=2)
    zero = graph.constant("zero", np.array([0], np.int64))
    places = graph.add("Slice", graph.weight("embeddings.position_embeddings.weight"), zero, length, zero)
    kind = graph.add("Gather", graph.weight("embeddings.token_type_embeddings.weight"), zero)
    return graph.normalised(graph.add("Add", graph.add("Add", words, places), kind), "embeddings.LayerNorm")


def _layer(graph: _Graph, value: str, penalty: str, name: str, heads: int, hidden: int) -> str:
    split = graph.constant("split", np.array([0, 0, heads, hidden // heads], np.int64))
    merge = graph.constant("merge", np.array([0, 0, hidden], np.int64))

    def per_head(part: str, order: list[int]) -> str:
        flat = graph.linear(value, f"{name}.attention.self.{part}")
        return graph.add("Transpose", graph.add("Reshape", flat, split), perm=order)

    query, key, content = (
        per_head("query", [0, 2, 1, 3]),
        per_head("key", [0, 2, 3, 1]),
        per_head("value", [0, 2, 1, 3]),
    )
    scale = graph.constant("scale", np.array((hidden // heads) ** -0.5, np.float32))
    scores = graph.add("Add", graph.add("Mul", graph.add("MatMul", query, key), scale), penalty)
    seen = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), content)
    seen = graph.add("Reshape", graph.add("Transpose", seen, perm=[0, 2, 1, 3]), merge)
    seen = graph.linear(seen, f"{name}.attention.output.dense")
    value = graph.normalised(graph.add("Add", seen, value), f"{name}.attention.output.LayerNorm")
    wide = graph.add("Gelu", graph.linear(value, f"{name}.intermediate.dense"), approximate="none")
    narrow = graph.linear(wide, f"{name}.output.dense")
    return graph.normalised(graph.add("Add", narrow, value), f"{name}.output.LayerNorm")
