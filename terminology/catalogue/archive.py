"""Members of a zip file, read within limits."""

import io
import zipfile
import zlib

from terminology.issues import InvalidInput, TooLarge

MAX_MEMBER = 2 << 30


def names(content: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.namelist()
    except zipfile.BadZipFile as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None


def text(content: bytes, name: str) -> str:
    """Return one UTF-8 member; its declared size is checked before it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo(name).file_size > MAX_MEMBER:
                raise TooLarge("HT-CAT-04", size=archive.getinfo(name).file_size, limit=MAX_MEMBER)
            return archive.read(name).decode("utf-8-sig")
    except (zipfile.BadZipFile, zlib.error, UnicodeDecodeError, RuntimeError) as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None
