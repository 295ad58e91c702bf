"""Stand-in nodes as processes of their own, for tests, and the graphs that tests send."""

from __future__ import annotations

import io
import json
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from workers.nodes.faults import Fault

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 60
STOP_LIMIT_S = 60
ANSWER_LIMIT_S = 60.0


class StandIn:
    """One running stand-in; `url` is its public address."""

    def __init__(self, data: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "workers.standin", "--port", str(port), "--control-port", "0"]
        self.data = data
        self.process = subprocess.Popen(
            [*command, "--data", str(data), *options], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], START_LIMIT_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            raise RuntimeError("the stand-in did not start")
        said = json.loads(line)
        self.url: str = said["url"]
        self._control = httpx.Client(base_url=said["control_url"], timeout=ANSWER_LIMIT_S, trust_env=False)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", maxsplit=1)[1])

    def script(self, fault: Fault, *, prompt_id: object = None, seconds: float = 0) -> None:
        """Misbehave once: for this prompt, or for the next one posted."""
        body = {"fault": fault, "prompt_id": None if prompt_id is None else str(prompt_id), "seconds": seconds}
        self._control.post("/script", json=body).raise_for_status()

    def behave(self) -> None:
        """Forget all that was scripted and has not happened: its prompt was never posted."""
        self._control.delete("/script").raise_for_status()

    def accepted(self) -> list[str]:
        """List the prompt ids that were queued, in order, repeats included."""
        return self._control.get("/accepted").json()

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """End the process and give its exit status."""
        self.process.send_signal(sign)
        try:
            return self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Write one node of a graph."""
    return {"class_type": class_type, "inputs": inputs}


def scale_graph(prefix: str, *, color: int = 255, size: int = 64) -> dict[str, Any]:
    """A graph without models: a flat picture, scaled and sharpened at its edges by nothing. It is one colour."""
    return {
        "1": node("EmptyImage", width=size, height=size, batch_size=1, color=color),
        "2": node("ImageScale", image=["1", 0], upscale_method="lanczos", width=128, height=128, crop="disabled"),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
    }


def blur_graph(prefix: str, *, times: int = 60, size: int = 1024) -> dict[str, Any]:
    """A graph without models that keeps a CPU busy, node after node, so that it can be interrupted in between."""
    color = hash(prefix) % 0xFFFFFF
    graph = {"0": node("EmptyImage", width=size, height=size, batch_size=1, color=color)}
    for index in range(1, times + 1):
        graph[str(index)] = node("ImageBlur", image=[str(index - 1), 0], blur_radius=31, sigma=3.0)
    return graph | {"save": node("SaveImage", images=[str(times), 0], filename_prefix=prefix)}


def resample_graph(image: str, prefix: str) -> dict[str, Any]:
    """Upscale an uploaded picture without a model: the graph that every node can run."""
    return {
        "img": node("LoadImage", image=image),
        "up": node("ImageScaleBy", image=["img", 0], upscale_method="lanczos", scale_by=2.0),
        "sharp": node("ImageSharpen", image=["up", 0], sharpen_radius=1, sigma=0.7, alpha=0.4),
        "save": node("SaveImage", images=["sharp", 0], filename_prefix=prefix),
    }


def paint_graph(prefix: str, *, seed: int = 0, steps: int = 4, batch: int = 1, size: int = 64) -> dict[str, Any]:
    """Paint from a prompt: needs a model, which the stand-in says it has."""
    return {
        "ckpt": node("CheckpointLoaderSimple", ckpt_name="sd_xl_base_1.0.safetensors"),
        "pos": node("CLIPTextEncode", text="a lighthouse", clip=["ckpt", 1]),
        "neg": node("CLIPTextEncode", text="", clip=["ckpt", 1]),
        "lat": node("EmptyLatentImage", width=size, height=size, batch_size=batch),
        "sampler": node(
            "KSampler",
            model=["ckpt", 0],
            positive=["pos", 0],
            negative=["neg", 0],
            latent_image=["lat", 0],
            seed=seed,
            steps=steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "dec": node("VAEDecode", samples=["sampler", 0], vae=["ckpt", 2]),
        "save": node("SaveImage", images=["dec", 0], filename_prefix=prefix),
    }


def picture(size: tuple[int, int] = (48, 32)) -> bytes:
    """A PNG that is not one colour."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
