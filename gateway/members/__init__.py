"""Members under test and in production: certificates and their states, overrides, quality, what proposes a suspension."""
