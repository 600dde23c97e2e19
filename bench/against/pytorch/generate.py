"""A guided Euler generation with masked adapters in PyTorch, driven by lines on stdin: one JSON line answers each. See --help."""

import json
from pathlib import Path

import torch
from adapters import SampledLinear, adapted_unet, cache_context
from safetensors.torch import load_file
from serve import conditions, parser, serve, timed


class Generation:
    def __init__(self, args):
        data = load_file(args.data)
        self.model, adapters, self.active = adapted_unet(args, SampledLinear, data)
        self.context, *self.more = conditions(data)
        cache_context(adapters, self.context)
        config = json.loads((Path(args.model) / "scheduler" / "scheduler_config.json").read_text())
        self.velocity = config.get("prediction_type", "epsilon") == "v_prediction"
        self.timesteps, self.sigmas, self.ranks = data["timesteps"], data["sigmas"].tolist(), data["ranks"].tolist()
        self.guidance = data["guidance"].item()
        self.latents = data["latents"]
        self.done = 0
        self.requests = {"warm": self.warm, "latents": self.result}

    @torch.inference_mode()
    def after(self, i):
        """The latents after step i: x + (sigma' - sigma) eps, eps from the guided prediction on x / sqrt(sigma^2 + 1)."""
        x, sigma, rows = self.latents, self.sigmas[i], self.context.shape[0]
        variance = sigma**2 + 1
        self.active.rank = self.ranks[i]
        sample = (x / variance**0.5).expand(rows, -1, -1, -1)
        predictions = self.model(sample, self.timesteps[i].expand(rows), self.context, *self.more)
        prediction = predictions[:1]
        if rows == 2:
            prediction = prediction + self.guidance * (predictions[1:] - prediction)
        if self.velocity:
            prediction = sigma / variance * x + prediction / variance**0.5
        return x + (self.sigmas[i + 1] - sigma) * prediction

    def step(self):
        self.latents = self.after(self.done)
        self.done += 1
        return {}

    def warm(self):
        """The first step, without going on from it."""

        def first():
            self.after(0)
            return {}

        return timed(first)

    def result(self):
        return {"latents": self.latents.flatten().tolist()}


if __name__ == "__main__":
    serve(parser(__doc__).parse_args(), Generation)
