"""A model behind FastAPI, watched by prometheus-fastapi-instrumentator as it comes: `server.py PORT`."""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI, HTTPException
from prometheus_fastapi_instrumentator import Instrumentator

app = FastAPI()
Instrumentator().instrument(app).expose(app)


@app.post("/score")
async def score(row: dict[str, float]) -> dict[str, float]:
    """Answer after `delay` seconds, with an error if `fail` is above 0."""
    await asyncio.sleep(row["delay"])
    if row["fail"]:
        raise HTTPException(500, "told to fail")
    return {"score": 0.5}


@app.get("/healthz")
async def healthz() -> str:
    """Answer while it lives."""
    return "ok"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
