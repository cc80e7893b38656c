"""RapidOCR: text detection and recognition networks on onnxruntime, whole in a pip package."""

from __future__ import annotations

import importlib.util
from typing import Any

import cv2
import numpy as np

from documents.engines.engine import EngineName
from documents.lines import Line, in_reading_order
from documents.prepare import Prepared

_DETECT_SIDE = 960
"""Longest side the detector sees; its default costs twice the time and finds no more (reference workloads §1)."""
_MIN_CONFIDENCE = 0.5
_PROBES = 6


def is_installed() -> bool:
    """True when the package, and with it the models, is here."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


class RapidEngine:
    """PP-OCR detection and recognition, single-threaded: executors scale by processes."""

    name: EngineName = "rapidocr"

    def __init__(self) -> None:
        import onnxruntime
        from rapidocr import RapidOCR

        cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        self._ocr: Any = RapidOCR(
            params={
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "EngineConfig.onnxruntime.use_cuda": cuda,
                "Det.limit_type": "max",
                "Det.limit_side_len": _DETECT_SIDE,
                # Padding to the longest line of a batch costs more than batching saves on a CPU.
                "Rec.rec_batch_num": 6 if cuda else 1,
                "Global.use_cls": False,
                "Global.log_level": "error",
            }
        )
        self._boxes: tuple[np.ndarray, np.ndarray] | None = None
        # The networks are loaded by their first use: here, not in somebody's first page.
        sample = np.full((64, 320, 3), 255, np.uint8)
        cv2.putText(sample, "Jangada", (20, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2)
        self._detect(sample)
        self._recognise([sample])
        self._ocr.cls_and_rotate([sample])

    def upright(self, page: Prepared) -> Prepared:
        """
        See `Engine`. The detector's boxes tell lying from standing text.

        A small network votes which end is up on a few long lines; where it is not sure, those
        lines are read both ways and the better reading wins.
        """
        boxes = self._detect(_colour(page.image))
        if not len(boxes):
            return page
        page, boxes = self._lay_down(page, boxes)
        if self._is_upside_down(page, boxes):
            boxes = _turn_boxes(boxes, page.image.shape[:2], 180)
            page = page.turned(180)
        # The boxes found here serve `read` as well: detection is a third of a page's time.
        self._boxes = (page.image, boxes)
        return page

    def read(self, page: Prepared, lang: list[str]) -> list[Line]:  # noqa: ARG002
        """See `Engine`. *lang* is not used: one model reads all Latin script."""
        image = _colour(page.image)
        known, self._boxes = self._boxes, None
        boxes = known[1] if known is not None and known[0] is page.image else self._detect(image)
        if not len(boxes):
            return []
        texts = self._recognise(self._ocr.crop_text_regions(image, boxes))
        lines = []
        for box, (text, confidence) in zip(boxes, texts, strict=True):
            if confidence >= _MIN_CONFIDENCE and any(character.isalnum() for character in text):
                (left, top), (right, bottom) = box.min(axis=0), box.max(axis=0)
                lines.append(Line(" ".join(text.split()), confidence, *map(float, (left, top, right, bottom))))
        return in_reading_order(lines, page.image.shape[1])

    def read_strip(self, strip: np.ndarray) -> tuple[str, float]:
        """See `Engine`."""
        return self._recognise([_colour(strip)])[0]

    def _lay_down(self, page: Prepared, boxes: np.ndarray) -> tuple[Prepared, np.ndarray]:
        widths = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
        heights = np.linalg.norm(boxes[:, 3] - boxes[:, 0], axis=1)
        # Votes weigh by length: a short box ("CPF") is nearly square and tells little.
        standing = heights > 1.5 * widths
        weight = np.maximum(widths, heights)
        if weight[standing].sum() <= weight[~standing].sum():
            return page, boxes
        return page.turned(90), _turn_boxes(boxes, page.image.shape[:2], 90)

    def _is_upside_down(self, page: Prepared, boxes: np.ndarray) -> bool:
        widths = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
        longest = boxes[np.argsort(-widths)[:_PROBES]]
        crops = self._ocr.crop_text_regions(_colour(page.image), longest)
        _, votes = self._ocr.cls_and_rotate([crop.copy() for crop in crops])
        balance = sum(float(score) * (1 if label == "180" else -1) for label, score in votes.cls_res)
        if balance < -0.5 * len(crops):
            return False
        crops = sorted(crops, key=lambda crop: crop.shape[1] / crop.shape[0])[:3]
        as_is = sum(score for _, score in self._recognise(crops))
        turned = sum(score for _, score in self._recognise([cv2.rotate(crop, cv2.ROTATE_180) for crop in crops]))
        return turned > as_is

    def _detect(self, image: np.ndarray) -> np.ndarray:
        found = self._ocr(image, use_det=True, use_cls=False, use_rec=False)
        boxes = getattr(found, "boxes", None)
        return np.zeros((0, 4, 2), np.float32) if boxes is None else np.asarray(boxes, np.float32)

    def _recognise(self, crops: list[np.ndarray]) -> list[tuple[str, float]]:
        if not crops:
            return []
        found = self._ocr.recognize_txt(crops)
        return [(str(text), float(score)) for text, score in zip(found.txts, found.scores, strict=True)]


def _colour(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def _turn_boxes(boxes: np.ndarray, shape: tuple[int, int], degrees: int) -> np.ndarray:
    """Corner boxes of a page of *shape* (height, width), turned clockwise with it, first corner top left again."""
    height, width = shape
    turned = boxes.copy()
    if degrees == 90:
        turned[:, :, 0], turned[:, :, 1] = height - 1 - boxes[:, :, 1], boxes[:, :, 0]
        return np.roll(turned, 1, axis=1)
    turned[:, :, 0], turned[:, :, 1] = width - 1 - boxes[:, :, 0], height - 1 - boxes[:, :, 1]
    return np.roll(turned, 2, axis=1)
