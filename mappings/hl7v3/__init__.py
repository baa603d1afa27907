"""HL7 v3 messages of the Chinese platforms: the table of their actions, their checks and answers. Pure."""
