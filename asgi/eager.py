"""Tasks whose first step is run at once: an application that does not wait costs no turn of the event loop.

Most requests end in their first step. A task that is only scheduled puts a full turn of the loop between the arrival of
a request and its answer, which is the greatest single cost a server can avoid. What the application sees must stay a
real `asyncio.Task`: `current_task`, `timeout`, `TaskGroup`, cancellation and anyio all look at it.

Python 3.12 has this as `Task(eager_start=True)`. Python 3.11 has not; there, making a task puts one handle, its first
step, at the end of the loop's ready queue. Taking that handle out again and running it is the same step in the same
context, only earlier. This is done if all of the following hold, otherwise the step stays where the loop has it:

- no task is running (asyncio refuses to step a task inside another);
- the loop has asyncio's ready queue (loops that are not derived from BaseEventLoop, such as uvloop's, do not);
- the last handle in it is the first step of this very task (another thread may have scheduled something meanwhile);
- no task factory is set: then the factory alone decides what a task is.
"""

import sys
from asyncio import AbstractEventLoop, Task, current_task
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

if sys.version_info >= (3, 12):

    def start(coro: Coroutine[Any, Any, None], loop: AbstractEventLoop, name: str, context: Context) -> Task[None]:
        """A task for `coro` in `context`, stepped already where that is possible; it may be done when this returns."""
        if loop.get_task_factory() is not None:
            return context.run(loop.create_task, coro, name=name)  # not every factory takes a context
        return Task(coro, loop=loop, name=name, context=context, eager_start=True)

else:

    def start(coro: Coroutine[Any, Any, None], loop: AbstractEventLoop, name: str, context: Context) -> Task[None]:
        """A task for `coro` in `context`, stepped already where that is possible; it may be done when this returns."""
        if loop.get_task_factory() is not None:
            return context.run(loop.create_task, coro, name=name)  # not every factory takes a context
        task = Task(coro, loop=loop, name=name, context=context)
        if current_task(loop) is None:
            try:
                ready = loop._ready  # type: ignore[attr-defined]
                step = ready[-1]
                mine = step._callback.__self__ is task
            except (AttributeError, IndexError):
                return task
            if mine:
                last = ready.pop()
                if last is step:
                    step._context.run(step._callback)  # only SystemExit and KeyboardInterrupt leave a task's step
                else:  # another thread came in between the look and the pop: its handle goes back, ours stays
                    ready.append(last)
        return task
