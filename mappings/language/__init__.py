"""The mapping language: YAML maps compiled to Python, one language over several readers (docs/mapping.md)."""
