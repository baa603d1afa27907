"""Counters, gauges and histograms, and their Prometheus text.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[str, ...]


class Counter:
    """A number that only grows, per combination of label values."""

    kind = "counter"

    def __init__(self, name: str, help: str, labels: Labels = ()) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.values: dict[Labels, float] = {} if labels else {(): 0.0}

    def add(self, *labels: str, by: float = 1.0) -> None:
        self.values[labels] = self.values.get(labels, 0.0) + by

    def lines(self) -> Iterator[str]:
        for values, number in sorted(self.values.items()):
            yield f"{self.name}{_labels(self.labels, values)} {_number(number)}"


class Gauge:
    """A number that is asked for when somebody looks."""

    kind = "gauge"

    def __init__(self, name: str, help: str, read: Callable[[], float]) -> None:
        self.name, self.help, self.read = name, help, read

    def lines(self) -> Iterator[str]:
        yield f"{self.name} {_number(self.read())}"


class Histogram:
    """How observations spread over fixed upper bounds."""

    kind = "histogram"

    def __init__(
        self, name: str, help: str, labels: Labels = (), bounds: tuple[float, ...] = SECONDS
    ) -> None:
        self.name, self.help, self.labels, self.bounds = name, help, labels, bounds
        self.series: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        counts, total = self.series.setdefault(labels, ([0] * (len(self.bounds) + 1), [0.0]))
        counts[bisect_left(self.bounds, value)] += 1
        total[0] += value

    def lines(self) -> Iterator[str]:
        for values, (counts, total) in sorted(self.series.items()):
            running = 0
            for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
                running += count
                edge = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f"{self.name}_bucket{_labels((*self.labels, 'le'), (*values, edge))} {running}"
            yield f"{self.name}_sum{_labels(self.labels, values)} {_number(total[0])}"
            yield f"{self.name}_count{_labels(self.labels, values)} {running}"


Metric = TypeVar("Metric", Counter, Gauge, Histogram)


class Metrics:
    """The metrics of one gateway; parts get the ones that they feed."""

    def __init__(self) -> None:
        self.all: list[Counter | Gauge | Histogram] = []
        self.messages = self._add(
            Counter("hutong_messages_total", "Messages by channel and answer.", ("channel", "answer"))
        )
        self.processed = self._add(Counter("hutong_processed_total", "Messages by final state.", ("state",)))
        self.resources = self._add(
            Counter("hutong_resources_written_total", "Resource versions written by messages.", ("type",))
        )
        self.deliveries = self._add(
            Counter(
                "hutong_deliveries_total",
                "What happened to deliveries, by destination: delivered, refused, unreachable, parked.",
                ("destination", "outcome"),
            )
        )
        self.destination_changes = self._add(
            Counter(
                "hutong_destination_changes_total",
                "How often a destination stopped answering (down) or answered again (up).",
                ("destination", "state"),
            )
        )
        self.connections = self._add(
            Counter("hutong_mllp_connections_total", "MLLP connections by end.", ("end",))
        )
        self.receive_seconds = self._add(
            Histogram(
                "hutong_receive_seconds",
                "From the last byte of a message to its durable answer.",
                ("channel",),
            )
        )
        self.process_seconds = self._add(
            Histogram("hutong_process_seconds", "From taking a message up to its commit.")
        )
        self.requests = self._add(
            Counter(
                "hutong_http_requests_total",
                "HTTP requests by part, method and status.",
                ("part", "method", "status"),
            )
        )
        self.request_seconds = self._add(
            Histogram("hutong_http_request_seconds", "Time of HTTP requests.", ("part",))
        )

    def counter(self, name: str, help: str, labels: Labels) -> Counter:
        return self._add(Counter(name, help, labels))

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> None:
        self._add(Gauge(name, help, read))

    def render(self) -> bytes:
        """Return the exposition text."""
        lines: list[str] = []
        for metric in self.all:
            lines += (
                f"# HELP {metric.name} {metric.help}",
                f"# TYPE {metric.name} {metric.kind}",
                *metric.lines(),
            )
        return ("\n".join(lines) + "\n").encode()

    def _add(self, metric: Metric) -> Metric:
        self.all.append(metric)
        return metric


def _labels(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
