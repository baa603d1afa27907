"""The test engine: TestScripts and YAML tests run against a target, and judged into one result model.

Nothing here opens a connection but `conformance/testing/wire.py`, the end that speaks to the target.
"""

from conformance.testing.client import Answer, Call, Client, Unreachable
from conformance.testing.play import Player
from conformance.testing.result import Result, Run, State, Step
from conformance.testing.script import Script, load_script

__all__ = [
    "Answer",
    "Call",
    "Client",
    "Player",
    "Result",
    "Run",
    "Script",
    "State",
    "Step",
    "Unreachable",
    "load_script",
]
