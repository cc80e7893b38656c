"""Files that break readers: each made from a good page, with what has to become of it."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def _page(text_page: Path) -> Image.Image:
    with Image.open(text_page) as image:
        return image.convert("L").resize((1240, 1754))


def _pdf(pages: int, *, body: bytes = b"", size: bytes = b"595 842") -> bytes:
    """A minimal PDF with *pages* empty pages; pdfium repairs the missing cross-reference table."""
    kids = b" ".join(b"3 0 R" for _ in range(pages))
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count "
        + str(pages).encode()
        + b"/Kids["
        + kids
        + b"]>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 "
        + size
        + b"]"
        + body
        + b">>endobj\ntrailer<</Root 1 0 R>>\n"
    )


def _locked_pdf() -> bytes:
    """A PDF with an encryption dictionary (RC4, 40 bits) whose user password is not empty."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n"
        b"4 0 obj<</Filter/Standard/V 1/R 2/Length 40/P -4/O<" + b"11" * 32 + b">/U<" + b"22" * 32 + b">>>endobj\n"
        b"trailer<</Root 1 0 R/Encrypt 4 0 R/ID[<" + b"33" * 16 + b"><" + b"33" * 16 + b">]>>\n"
    )


def _bomb_png(side: int) -> bytes:
    """A PNG of *side* × *side* white pixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\x00" + b"\xff" * (side // 8)
    squeezed = zlib.compressobj(9)
    content = b"".join(squeezed.compress(row * 100) for _ in range(side // 100)) + squeezed.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def unreadable(good: Path) -> dict[str, tuple[bytes, str]]:
    """File name → bytes and a word that the `InvalidInput` has to say."""
    jpeg = good.read_bytes()
    png = _saved(_page(good), "PNG")
    return {
        "empty.jpg": (b"", "empty"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "decoded"),
        "header-only.jpg": (jpeg[:20], "image"),
        "truncated.png": (png[: len(png) // 2], "decoded"),
        "text.jpg": (b"plain text, not a picture\n" * 20, "plain text"),
        "noise.png": (bytes(range(256)) * 8, "image"),
        "bomb.png": (_bomb_png(32_000), "pixels"),
        "tiny.png": (_saved(Image.new("L", (3, 3)), "PNG"), "pixels"),
        "locked.pdf": (_locked_pdf(), "password"),
        "broken.pdf": (b"%PDF-1.7\n" + b"\x00garbage" * 200, "PDF"),
        "no-pages.pdf": (_pdf(0), "PDF"),
        "speck.pdf": (_pdf(1, size=b"0.001 0.001"), "points"),
        "program.jpg": (b"\x7fELF" + b"\x00" * 500, "image"),
    }


def readable(good: Path) -> dict[str, bytes]:
    """File name → bytes of the same page in unusual clothes."""
    page = _page(good)
    alpha = page.convert("RGBA")
    alpha.putalpha(Image.fromarray(((np.asarray(page) < 150) * 255).astype(np.uint8)))
    turned = page.rotate(-90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 8
    return {
        "one-bit.png": _saved(page.convert("1", dither=Image.Dither.NONE), "PNG"),
        "one-bit.tif": _saved(page.convert("1", dither=Image.Dither.NONE), "TIFF", compression="group4"),
        "sixteen-bit.png": _saved(Image.fromarray(np.asarray(page).astype(np.uint16) * 257), "PNG"),
        "sixteen-bit.tif": _saved(Image.fromarray(np.asarray(page).astype(np.uint16) * 257), "TIFF"),
        "cmyk.jpg": _saved(page.convert("RGB").convert("CMYK"), "JPEG", quality=80),
        "palette.png": _saved(page.convert("P"), "PNG", transparency=0),
        "grey-alpha.png": _saved(alpha.convert("LA"), "PNG"),
        "alpha.png": _saved(alpha, "PNG"),
        "page.webp": _saved(page, "WEBP", quality=80),
        "page.gif": _saved(page.convert("P"), "GIF"),
        "page.bmp": _saved(page, "BMP"),
        "exif-turned.jpg": _saved(turned, "JPEG", quality=80, exif=exif),
        "scan.pdf": _saved(page.convert("RGB"), "PDF", resolution=150),
    }


def blank() -> bytes:
    """A sheet of paper with nothing on it but grain."""
    grain = np.random.default_rng(1).normal(245, 2, (1754, 1240)).clip(0, 255).astype(np.uint8)
    return _saved(Image.fromarray(grain), "PNG", dpi=(150, 150))


def many_pages_pdf(pages: int = 5000) -> bytes:
    """A small file with a great many empty pages."""
    return _pdf(pages)


def two_page_tiff(first: Path, second: Path) -> bytes:
    """Two scans in one TIFF."""
    return _saved(
        _page(first), "TIFF", save_all=True, append_images=[_page(second)], compression="tiff_lzw", dpi=(150, 150)
    )


def two_page_pdf(first: Path, second: Path) -> bytes:
    """Two scans in one PDF."""
    return _saved(_page(first), "PDF", save_all=True, append_images=[_page(second)], resolution=150)
