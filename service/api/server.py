"""The HTTP server: as uvicorn's, but streams end when it does, instead of holding it up."""

import socket

import uvicorn
from fastapi import FastAPI


class Server(uvicorn.Server):
    """Serves an application, and knows those of `create_app`."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams, then waits for requests as uvicorn does."""
        app = self.config.app
        if isinstance(app, FastAPI) and hasattr(app.state, "seedbed"):
            app.state.seedbed.streams.end()
        await super().shutdown(sockets)
        if isinstance(app, FastAPI) and getattr(app.state, "limits", None) is not None:
            await app.state.limits.close()
