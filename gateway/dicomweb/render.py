"""Pictures of objects for people: JPEG or PNG, windowed, scaled (PS3.18 §8.3.5, §10.4.1.1.3). Extra `dicom-render`."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.rest.request import Request
from terminology.issues import InvalidInput, InvalidResource, TooLarge, Unavailable

MOST_PIXELS = 64 * 1024 * 1024
MOST_SIDE = 8_192
THUMBNAIL = 200
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}


@dataclass(frozen=True, slots=True)
class Wish:
    """How a picture is wanted. `viewport`: most width and height; `window`: centre and width, None = the object's own."""

    type: str = "image/jpeg"
    quality: int = 90
    viewport: tuple[int, int] | None = None
    window: tuple[float, float] | None = None


def read_wish(request: Request, type: str, *, side: int | None = None) -> Wish:
    """Return the rendering parameters of a request; raises InvalidInput (HT-DCM-44)."""
    quality = _numbers(request, "quality", 1, 1)
    viewport = _numbers(request, "viewport", 2, 6)
    window = _numbers(request, "window", 2, 3)
    if quality and not 1 <= quality[0] <= 100:
        raise InvalidInput("HT-DCM-44", name="quality", value=str(quality[0]))
    if viewport and not all(1 <= value <= MOST_SIDE for value in viewport[:2]):
        raise InvalidInput("HT-DCM-44", name="viewport", value=request.param("viewport") or "")
    if window and window[1] < 1:
        raise InvalidInput("HT-DCM-44", name="window", value=request.param("window") or "")
    size = (int(viewport[0]), int(viewport[1])) if viewport else (side, side) if side else None
    return Wish(type, int(quality[0]) if quality else 90, size, (window[0], window[1]) if window else None)


def _numbers(request: Request, name: str, least: int, most: int) -> list[float]:
    text = request.param(name)
    if text is None:
        return []
    parts = text.split(",")
    try:
        # The third part of a window is the name of its function.
        found = [float(part) for part in (parts[:2] if name == "window" else parts) if part]
    except ValueError:
        raise InvalidInput("HT-DCM-44", name=name, value=text[:60]) from None
    if (
        not least <= len(parts) <= most
        or len(found) < least
        or any(value != value or abs(value) > 1e9 for value in found)
    ):
        raise InvalidInput("HT-DCM-44", name=name, value=text[:60])
    return found


def render(path: Path, frame: int, wish: Wish) -> bytes:
    """Return one frame as a picture. Raises Unavailable without the extra, InvalidResource (HT-DCM-50) when it cannot be drawn."""
    try:
        import numpy as np
        from PIL import Image
    except ImportError:
        raise Unavailable("HT-DCM-51", package="Pillow") from None
    pixels = _pixels(path, frame, wish.window)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if wish.viewport is not None:
        picture.thumbnail(wish.viewport)
    out = io.BytesIO()
    options: dict[str, Any] = {"quality": wish.quality} if wish.type == "image/jpeg" else {}
    picture.save(out, FORMATS[wish.type], **options)
    return out.getvalue()


def samples(path: Path, frame: int) -> bytes:
    """Return the samples of a compressed frame, little endian."""
    _header(path)
    found: bytes = _decoded(path, frame).tobytes()
    return found


def _header(path: Path) -> Any:
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, force=True)
    rows, columns, count = (
        int(getattr(header, name, 0) or 0) for name in ("Rows", "Columns", "SamplesPerPixel")
    )
    if not rows or not columns:
        raise InvalidResource("HT-DCM-50", detail="no pixels")
    if rows * columns * max(count, 1) > MOST_PIXELS:
        raise TooLarge("HT-DCM-06", what="pixels", limit=MOST_PIXELS)
    return header


def _decoded(path: Path, frame: int) -> Any:
    import warnings

    from pydicom.pixels.utils import pixel_array

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pixel_array(path, index=frame - 1, raw=False)
    except Exception as error:
        # Decoders raise whatever they like for what they don't know or cannot read.
        raise InvalidResource("HT-DCM-50", detail=str(error).split("\n")[0][:160]) from None


def _pixels(path: Path, frame: int, window: tuple[float, float] | None) -> Any:
    """Return 8-bit grey or RGB: rescale, then the window that was asked for or the object's own, then inversion."""
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    header = _header(path)
    array = _decoded(path, frame)
    if array.ndim == 3:
        return (
            array.astype(np.uint8)
            if array.dtype == np.uint8
            else (array / max(1, array.max()) * 255).astype(np.uint8)
        )
    values = apply_modality_lut(array, header).astype(np.float64)
    if window is None:
        window = _own_window(header)
    if window is not None:
        return _scaled(values, window[0] - window[1] / 2, window[0] + window[1] / 2, header)
    if "VOILUTSequence" in header:
        values = np.asarray(apply_voi_lut(apply_modality_lut(array, header), header), dtype=np.float64)
    return _scaled(values, float(values.min()), float(values.max()), header)


def _own_window(header: Any) -> tuple[float, float] | None:
    """Return centre and width of the object's first window, None when it has none that is one."""
    try:
        center, width = _first(header.WindowCenter), _first(header.WindowWidth)
    except (AttributeError, TypeError, ValueError, IndexError):
        return None
    return (center, width) if width >= 1 else None


def _scaled(values: Any, low: float, high: float, header: Any) -> Any:
    import numpy as np

    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255
    if getattr(header, "PhotometricInterpretation", "") == "MONOCHROME1":
        scaled = 255 - scaled
    return scaled.astype(np.uint8)


def _first(value: Any) -> float:
    try:
        return float(value)
    except TypeError:
        return float(value[0])
