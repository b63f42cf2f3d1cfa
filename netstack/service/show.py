"""The live page of a run (`--inspect`): in front of the application on its port, or on a port of its own."""

import contextlib
from collections.abc import AsyncIterator

from asgi import Server, Settings
from asgi.spec import App
from netstack.aio.interface import Interface
from netstack.inspect.page import Page
from netstack.inspect.sinks import Observers
from netstack.service.plan import Plan
from netstack.service.reach import entering

BACKLOG = 64


class Show:
    """`app` is what the application's server is to serve: the application, behind the page where they share a port."""

    def __init__(self, plan: Plan, app: App) -> None:
        self.plan = plan
        self.app = app
        self.page: Page | None = None
        if plan.inspect is not None:
            self.page = Page(app if plan.inspect == plan.port else None)
            if plan.inspect == plan.port:
                self.app = self.page

    def _tries(self) -> list[str]:
        """Commands for somebody who sees nothing yet."""
        curl = f"{entering(self.plan.netns)}curl{'' if self.plan.tls is None else ' -k'}"
        url = self.plan.url
        if self.plan.inspect != self.plan.port:
            return [f"{curl} {url}"]
        upload = f"head -c 30000000 /dev/zero | {curl} -T - {url}upload"
        return [f"{curl} -o /dev/null {url}bytes/30000000", upload]  # the built-in application has these

    @contextlib.asynccontextmanager
    async def running(self, net: Interface, observers: Observers) -> AsyncIterator[None]:
        """Show `net` for the length of the block; after it the page's streams have ended, so that servers can drain."""
        plan, page = self.plan, self.page
        if page is None or plan.inspect is None:
            yield
        elif page.beyond is not None:
            page.open(net, observers, tries=self._tries())
            try:
                yield
            finally:
                page.close()
        else:
            server = Server(page, Settings(lifespan="off", access_log=False))
            await server.startup()
            listener = await net.create_server(
                server.protocol, str(plan.stack.ip), plan.inspect, backlog=BACKLOG, ssl=plan.tls
            )
            page.open(net, observers, plan.inspect, self._tries())
            try:
                yield
            finally:
                page.close()
                server.hurry()
                await server.shutdown(listener)
