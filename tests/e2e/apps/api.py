"""A FastAPI application that uses what people use: lifespan, a thread pool, validation."""

import asyncio
import threading
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

started = False
loop_thread = None


@asynccontextmanager
async def lifespan(app):
    """Notes that it was run, and in which thread."""
    global started, loop_thread
    started, loop_thread = True, threading.get_ident()
    yield


class Item(BaseModel):
    """What is posted."""

    name: str


app = FastAPI(lifespan=lifespan)


@app.get("/items/{item}")
async def read(item: int, q: str = ""):
    """Path and query parameters; awaits something."""
    await asyncio.sleep(0)
    return {"item": item, "q": q, "started": started}


@app.get("/threaded")
def threaded():
    """Not a coroutine: FastAPI runs it in a thread."""
    return {"thread": "the loop's" if threading.get_ident() == loop_thread else "not the loop's"}


@app.post("/items")
async def write(item: Item):
    """A validated body."""
    return item
