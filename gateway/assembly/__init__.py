"""How each part of a gateway is built from the settings; `gateway/app.py` puts them together.

`store` the one write path, `messages` what takes messages in, `doors` the listeners, `watches` what looks at clocks,
`outbound` the way out, `routes` the pages and parts beside FHIR, `gauges` what the metrics read.
"""
