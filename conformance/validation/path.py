"""Where an element stands in a resource: a chain of steps that becomes a FHIRPath only when somebody asks.

The words are those of the reference validator: `Patient.name[0].given[1]`, `Observation.value.ofType(Quantity)`,
`Bundle.entry[0].resource.name[0]`.
"""

from typing import NamedTuple


class Path(NamedTuple):
    """`index` is set for elements that may repeat, `kind` for a choice element: value + Quantity."""

    parent: "Path | None"
    name: str
    index: int | None = None  # type: ignore[assignment]  # shadows tuple.index, which nobody asks a path
    kind: str | None = None

    def __str__(self) -> str:
        steps: list[str] = []
        step: Path | None = self
        while step is not None:
            text = step.name
            if step.kind is not None:
                text += f".ofType({step.kind})"
            if step.index is not None:
                text += f"[{step.index}]"
            steps.append(text)
            step = step.parent
        return ".".join(reversed(steps))
