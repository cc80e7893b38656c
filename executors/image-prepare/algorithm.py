"""Makes the picture of a page fit for reading or keeping, and says how good it is."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from documents.pages import SourcePage, open_document
from documents.prepare import find_sheet, flatten, grey, rotate, sharpness, skew_angle, straightened_sheet, text_axis
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from jangada.algorithms.authoring import AlgorithmFailure, Context, File

Operation = Literal["orient", "deskew", "flatten", "binarize", "faces", "quality"]
_FACE_SIDE = 1200
"""Faces are looked for on a copy no larger than this: on an A4 page at 300 dpi they are large anyway."""
_BLURRED_BELOW = 100.0


class In(BaseModel):
    """A picture of a page and what to do with it."""

    model_config = ConfigDict(extra="forbid")

    image: File = Field(description="JPEG, PNG, TIFF, BMP, GIF, WebP or PDF.")
    page: int = Field(default=1, ge=1, description="Which page of a PDF or TIFF.")
    ops: list[Operation] = Field(
        default=["orient", "deskew", "quality"],
        min_length=1,
        max_length=6,
        description="orient: cut out a photographed sheet and lay its lines level (a page upside down stays so: only reading tells). "  # noqa: E501
        "deskew: straighten. flatten: even out light. binarize: black and white. faces: find them. quality: measure.",
    )
    dpi: int | None = Field(default=None, ge=50, le=2400, description="Resolution, when the file does not say it.")


class Quality(BaseModel):
    """Measures of the picture as it came."""

    sharpness: float = Field(description="Variance of the Laplacian; below 100 is blurred.")
    is_blurred: bool
    contrast: float = Field(description="Span between paper and ink, 0 to 1.")
    brightness: float = Field(description="Mean, 0 to 1.")
    blank: bool = Field(description="True when there is next to no ink.")


class Out(BaseModel):
    """The prepared picture and what was found."""

    image: File = Field(description="The picture after all operations, PNG.")
    width: int
    height: int
    dpi: int | None = Field(description="Resolution of the result; null when unknown.")
    turned_deg: int = Field(description="Quarter turns applied, clockwise: 0 or 90.")
    skew_deg: float = Field(description="Angle of the text lines that was found, counter-clockwise positive.")
    sheet_found: bool = Field(description="True when a photographed sheet was cut out of its background.")
    faces: list[list[int]] = Field(description="Faces as [x, y, width, height] in the result.")
    quality: Quality | None


class ImagePrepare:
    """See the module."""

    def setup(self) -> None:
        """Load the face cascade that the OpenCV wheel carries."""
        cv2.setNumThreads(1)
        cascade = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
        self._faces = cv2.CascadeClassifier(str(cascade))
        if self._faces.empty():
            raise AlgorithmFailure("this OpenCV carries no face cascade; expected opencv-python-headless 4.14.0.94")

    def run(self, input: In, context: Context) -> Out:
        """Apply the operations in their natural order, whatever order they are named in. Raises `InvalidInput`."""
        ops = set(input.ops)
        source = next(open_document(input.image.path).pages([input.page]))
        quality = _quality(source) if "quality" in ops else None
        context.progress(0.2, "decoded")
        image, dpi = source.image, input.dpi or source.dpi
        turned, sheet_found = 0, False
        if "orient" in ops:
            image, turned, sheet_found = _orient(image)
            # Cut out of a photograph, the sheet has no known scale.
            dpi = None if sheet_found and input.dpi is None else dpi
        skew = skew_angle(grey(image)) if ops & {"deskew", "orient"} else 0.0
        if "deskew" in ops and abs(skew) >= 0.1:
            image, _ = rotate(image, -skew)
        context.progress(0.5, "straightened")
        if "flatten" in ops:
            image = _flatten(image)
        if "binarize" in ops:
            image = _binarize(image)
        context.progress(0.7)
        faces = self._find_faces(image) if "faces" in ops else []
        context.progress(0.9, "saving")
        saved = context.save("page.png", _png(image, dpi), "image/png")
        height, width = image.shape[:2]
        return Out(
            image=saved,
            width=width,
            height=height,
            dpi=dpi,
            turned_deg=turned,
            skew_deg=round(skew, 2),
            sheet_found=sheet_found,
            faces=faces,
            quality=quality,
        )

    def _find_faces(self, image: np.ndarray) -> list[list[int]]:
        page = grey(image)
        scale = min(1.0, _FACE_SIDE / max(page.shape))
        small = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else page
        found = self._faces.detectMultiScale(small, scaleFactor=1.1, minNeighbors=6, minSize=(40, 40))
        return [[round(value / scale) for value in box] for box in np.asarray(found).reshape(-1, 4).tolist()]


def _orient(image: np.ndarray) -> tuple[np.ndarray, int, bool]:
    corners = find_sheet(grey(image))
    if corners is not None:
        image, _ = straightened_sheet(image, corners)
    sideways, _ = text_axis(flatten(grey(image)))
    if sideways:
        return cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE), 90, corners is not None
    return image, 0, corners is not None


def _flatten(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2:
        return flatten(image)
    return cv2.merge([flatten(np.ascontiguousarray(channel)) for channel in cv2.split(image)])


def _binarize(image: np.ndarray) -> np.ndarray:
    page = cv2.GaussianBlur(grey(image), (3, 3), 0)
    side = max(15, round(min(page.shape) / 40) | 1)
    return cv2.adaptiveThreshold(page, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, side, 12)


def _quality(source: SourcePage) -> Quality:
    page = grey(source.image)
    low, high = np.percentile(page[::4, ::4], (1, 99))
    measured = sharpness(page)
    ink = float((flatten(page) < 128).mean())
    return Quality(
        sharpness=round(measured, 1),
        is_blurred=measured < _BLURRED_BELOW,
        contrast=round(float(high - low) / 255, 3),
        brightness=round(float(page.mean()) / 255, 3),
        blank=ink < 0.0002,
    )


def _png(image: np.ndarray, dpi: int | None) -> bytes:
    rgb = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    buffer = BytesIO()
    made = Image.fromarray(rgb)
    made = (
        made.convert("1")
        if set(np.unique(rgb[::16, ::16])) <= {0, 255} and image.ndim == 2 and _is_two_toned(rgb)
        else made
    )
    made.save(buffer, "PNG", **({"dpi": (dpi, dpi)} if dpi else {}))
    return buffer.getvalue()


def _is_two_toned(image: np.ndarray) -> bool:
    return bool(((image == 0) | (image == 255)).all())
