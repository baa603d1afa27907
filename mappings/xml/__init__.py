"""XML messages: bytes in any charset met → a small tree that maps walk. Pure; no DTD, no entities, no network."""
