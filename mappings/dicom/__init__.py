"""DICOM objects as a source of maps: bytes → elements → keywords. Pixels are never read. Pure."""

from mappings.dicom.read import Instance, read_instance

__all__ = ["Instance", "read_instance"]
