"""The county's catalogues as tables: read from any file, checked row by row, compared between versions."""
