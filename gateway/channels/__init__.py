"""Where messages come in: MLLP, HTTP, files. A channel knows bytes and answers, nothing of their content."""
