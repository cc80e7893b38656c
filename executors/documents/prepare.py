"""Turns the picture of a page into one that is easy to read: even light, right size, straight, upright."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

WORK_DPI = 200
"""Recognition works at this resolution; more costs time and loses accuracy (measured, reference workloads §1)."""
_A4_LONG_IN = 11.69
_WORK_PIXELS = 12_000_000
_LETTER_HEIGHT = (9.0, 44.0)
"""Heights of a usual small letter at 200 dpi, in pixels; outside of these the declared resolution is wrong."""


@dataclass(frozen=True)
class Prepared:
    """A page ready to be read, and the way back."""

    image: np.ndarray
    """Grey, 8 bits."""
    to_source: np.ndarray
    """3×3 matrix from pixels of `image` to pixels of the stored page."""
    skew_deg: float
    """Angle of the text lines in the stored page, counter-clockwise positive, after any quarter turn."""
    orientation: int
    """Degrees clockwise by which the stored page has to be turned to stand upright: 0, 90, 180 or 270."""

    def turned(self, degrees: int) -> Prepared:
        """This page turned clockwise by *degrees*, a multiple of 90."""
        degrees %= 360
        if degrees == 0:
            return self
        height, width = self.image.shape[:2]
        code = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}[degrees]
        back = {
            90: np.array([[0, 1, 0], [-1, 0, height - 1], [0, 0, 1]], dtype=np.float64),
            180: np.array([[-1, 0, width - 1], [0, -1, height - 1], [0, 0, 1]], dtype=np.float64),
            270: np.array([[0, -1, width - 1], [1, 0, 0], [0, 0, 1]], dtype=np.float64),
        }[degrees]
        return Prepared(
            cv2.rotate(self.image, code), self.to_source @ back, self.skew_deg, (self.orientation + degrees) % 360
        )


def grey(image: np.ndarray) -> np.ndarray:
    """*image* as one 8-bit channel."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def prepare(image: np.ndarray, dpi: int | None) -> Prepared:
    """
    Cut out the sheet, scale to 200 dpi, even out the light and straighten.

    The quarter turns are left to the reader, who can tell up from down by reading.
    """
    page = grey(image)
    to_source = np.eye(3)
    sheet = find_sheet(page)
    if sheet is not None:
        page, to_source = straightened_sheet(page, sheet)
        dpi = None
    page, scale = _to_work_size(page, dpi)
    to_source = to_source @ np.diag([1 / scale, 1 / scale, 1.0])
    page = flatten(page)
    angle = skew_angle(page)
    if abs(angle) >= 0.1:
        page, back = rotate(page, -angle)
        to_source = to_source @ back
    return Prepared(page, to_source, angle, 0)


def as_is(image: np.ndarray, dpi: int | None) -> Prepared:
    """Only scale to 200 dpi: for pages that are known to be clean."""
    page, scale = _to_work_size(grey(image), dpi)
    return Prepared(page, np.diag([1 / scale, 1 / scale, 1.0]), 0.0, 0)


def _to_work_size(page: np.ndarray, dpi: int | None) -> tuple[np.ndarray, float]:
    height, width = page.shape
    # Without a resolution the sheet is taken for A4; the height of its letters then corrects a wrong guess.
    factor = WORK_DPI / (dpi or max(height, width) / _A4_LONG_IN)
    letters = letter_height(page)
    if letters is not None:
        low, high = _LETTER_HEIGHT
        if letters * factor < low:
            factor = min(18.0 / letters, 4.0)
        elif letters * factor > high:
            factor = max(24.0 / letters, 0.1)
    factor = min(factor, (_WORK_PIXELS / (height * width)) ** 0.5, 4.0)
    if abs(factor - 1) < 0.02:
        return page, 1.0
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(page, (max(16, round(width * factor)), max(16, round(height * factor))), interpolation=method)
    return resized, resized.shape[1] / width


def letter_height(page: np.ndarray) -> float | None:
    """Median height in pixels of what looks like a letter; nothing when there are fewer than 40 of them."""
    step = max(1, round(max(page.shape) / 2400))
    small = page[::step, ::step] if step > 1 else page
    ink = cv2.adaptiveThreshold(small, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 31, 15)
    count, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    if count < 41:
        return None
    width, height, area = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT], stats[1:, cv2.CC_STAT_AREA]
    shaped = (height >= 4) & (width >= 2) & (height < 200) & (width < 3 * height) & (height < 5 * width) & (area >= 8)
    heights = height[shaped]
    return float(np.median(heights)) * step if len(heights) >= 40 else None


def flatten(page: np.ndarray) -> np.ndarray:
    """Divide by the paper's own brightness, so that shadow and tint vanish."""
    small = cv2.resize(page, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    paper = cv2.GaussianBlur(paper, (0, 0), 7)
    background = cv2.resize(paper, (page.shape[1], page.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.divide(page, np.maximum(background, 1), scale=255)


def skew_angle(page: np.ndarray) -> float:
    """Angle of the text lines in degrees, counter-clockwise positive, within ±12, along whichever axis they run."""
    return text_axis(page)[1]


def text_axis(page: np.ndarray) -> tuple[bool, float]:
    """
    Whether the text lines run up the page instead of across, and their angle to that axis.

    The angle with the sharpest profile wins, so that a page turned by a quarter is straightened as well.
    """
    scale = 600 / max(page.shape)
    small = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else page
    ink = (255 - small).astype(np.uint8)
    ink[ink < 50] = 0
    if int(np.count_nonzero(ink)) < 50:
        return False, 0.0
    across, up = _profile_search(ink), _profile_search(cv2.rotate(ink, cv2.ROTATE_90_CLOCKWISE))
    return (True, up[1]) if up[0] > across[0] else (False, across[1])


def _profile_search(ink: np.ndarray) -> tuple[float, float]:
    """(sharpness, angle) of the best straightening of *ink*."""

    def sharpness(angle: float) -> float:
        turned, _ = rotate(ink, -angle, fill=0)
        rows = turned.sum(axis=1, dtype=np.float64)
        return float(((rows[1:] - rows[:-1]) ** 2).sum())

    coarse = max((sharpness(angle), float(angle)) for angle in np.arange(-12, 12.1, 1.0))
    fine = max((sharpness(angle), float(angle)) for angle in coarse[1] + np.arange(-0.75, 0.76, 0.25))
    return max(coarse, fine)


def rotate(page: np.ndarray, degrees: float, *, fill: int = 255) -> tuple[np.ndarray, np.ndarray]:
    """*page* turned counter-clockwise around its centre, same size, and the 3×3 matrix from the result back."""
    height, width = page.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    border = (fill,) * (page.shape[2] if page.ndim == 3 else 1)
    turned = cv2.warpAffine(page, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=border)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    return turned, back


def find_sheet(page: np.ndarray) -> np.ndarray | None:
    """
    The four corners of a sheet photographed on a darker ground, clockwise from the top left, or nothing.

    A frame printed on the page is no sheet: what lies outside must be clearly darker than what lies inside.
    """
    scale = 500 / max(page.shape)
    if scale >= 1:
        return None
    small = cv2.GaussianBlur(cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), (5, 5), 0)
    # Text vanishes in a closing, the edge of the sheet stays.
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
    rim = np.concatenate([closed[:6].ravel(), closed[-6:].ravel(), closed[:, :6].ravel(), closed[:, -6:].ravel()])
    ground, light = float(np.median(rim)), float(np.percentile(closed, 95))
    if ground > 0.8 * light:
        return None
    # Otsu's level may run through a shadow on the sheet; levels just above the ground do not.
    levels = [ground + share * (light - ground) for share in (0.2, 0.35, 0.5)]
    levels.append(cv2.threshold(closed, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0])
    found = [quad for level in levels if (quad := _bright_quad(closed, level)) is not None]
    return max(found, key=cv2.contourArea) / scale if found else None


def _bright_quad(closed: np.ndarray, level: float) -> np.ndarray | None:
    """Corners, clockwise from the top left, of the largest region above *level*, if it is a sheet's shape."""
    mask = cv2.threshold(closed, level, 255, cv2.THRESH_BINARY)[1]
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    outline = max(contours, key=cv2.contourArea)
    area, whole = cv2.contourArea(outline), float(mask.size)
    if not 0.2 * whole < area < 0.97 * whole:
        return None
    quad = cv2.approxPolyDP(cv2.convexHull(outline), 0.03 * cv2.arcLength(outline, True), True)
    if len(quad) != 4 or not 0.93 < area / cv2.contourArea(quad) < 1.07:
        return None
    inside = np.zeros_like(mask)
    cv2.fillConvexPoly(inside, quad, 255)
    if closed[inside == 0].mean() > 0.78 * closed[inside > 0].mean():
        return None
    corners = quad.reshape(4, 2).astype(np.float32)
    total, difference = corners.sum(axis=1), corners[:, 1] - corners[:, 0]
    ordered = np.array(
        [corners[total.argmin()], corners[difference.argmin()], corners[total.argmax()], corners[difference.argmax()]],
        dtype=np.float32,
    )
    if len(np.unique(ordered, axis=0)) != 4:
        return None
    sides = np.roll(ordered, -1, axis=0) - ordered
    lengths = np.linalg.norm(sides, axis=1)
    # Seen from a usual angle a sheet keeps nearly right angles and nearly equal opposite sides.
    cosines = np.abs((sides * np.roll(sides, 1, axis=0)).sum(axis=1)) / (lengths * np.roll(lengths, 1))
    if cosines.max() > 0.35 or not all(0.7 < lengths[i] / lengths[i + 2] < 1.43 for i in (0, 1)):
        return None
    return ordered


def straightened_sheet(page: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sheet between *corners* seen from straight above, and the 3×3 matrix from it back to *page*."""
    top_left, top_right, bottom_right, bottom_left = corners
    width = round(max(np.linalg.norm(top_right - top_left), np.linalg.norm(bottom_right - bottom_left)))
    height = round(max(np.linalg.norm(bottom_left - top_left), np.linalg.norm(bottom_right - top_right)))
    target = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(corners, target)
    # Borders are filled with the nearest paper, so that the ground does not come back as a dark rim.
    flat = cv2.warpPerspective(page, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return flat, np.linalg.inv(matrix)


def sharpness(page: np.ndarray) -> float:
    """Variance of the Laplacian of the grey page: below about 100 a scan is blurred."""
    return float(cv2.Laplacian(grey(page), cv2.CV_64F).var())


def ink_outside(page: np.ndarray, boxes: list[tuple[float, float, float, float]]) -> float:
    """
    Share (0 to 1) of the text-like ink of a prepared page that no box (left, top, right, bottom) covers.

    This is how skipped paragraphs are noticed: the confidence of the words that were read does not show them.
    """
    small = cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    ink = cv2.threshold(small, 140, 255, cv2.THRESH_BINARY_INV)[1]
    count, _, stats, centres = cv2.connectedComponentsWithStats(ink, connectivity=8)
    if count < 2:
        return 0.0
    width, height, area = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT], stats[1:, cv2.CC_STAT_AREA]
    letters = (height >= 5) & (height <= 40) & (width >= 2) & (width <= 60) & (area >= 6)
    edge = 12
    x, y = centres[1:, 0], centres[1:, 1]
    letters &= (x > edge) & (x < small.shape[1] - edge) & (y > edge) & (y < small.shape[0] - edge)
    total = float(area[letters].sum())
    if letters.sum() < 20:
        return 0.0
    covered = np.zeros(len(x), dtype=bool)
    for left, top, right, bottom in boxes:
        pad = 0.15 * (bottom - top)
        covered |= (x * 2 >= left - pad) & (x * 2 <= right + pad) & (y * 2 >= top - pad) & (y * 2 <= bottom + pad)
    return float(area[letters & ~covered].sum()) / total
