"""Something for the one writer of a store; commits of many requests meet in one transaction as jobs."""

import asyncio
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Run = TypeVar("Run")


@dataclass(slots=True)
class Job(Generic[Run]):
    """`run` is what the writer calls; the answer (or the error) goes to `future` when the transaction has ended."""

    run: Run
    future: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Answer whoever still waits; call it on the future's own loop."""
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)
