"""The training step in PyTorch, driven by lines on stdin: one JSON line answers each. See --help."""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F
from adapters import SeparateLinear, StackedLinear, adapted_paths, attach, cache_context
from check import check
from safetensors.torch import load_file
from unet import Attention, load_unet


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", metavar="DIR", nargs="+", help="compare with reference results (expected-*) and end")
    parser.add_argument("--model", metavar="DIR", help="pipeline folder in diffusers layout")
    parser.add_argument("--data", metavar="FILE", help="safetensors: conditions, latents, noise and the adapters' start")
    parser.add_argument("--style", choices=("sdpa", "reference"), default="sdpa")
    parser.add_argument("--layout", choices=("nchw", "nhwc"), default="nchw")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def peak_bytes():
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return None


class Training:
    def __init__(self, args):
        data = load_file(args.data)
        Attention.fused = args.style == "sdpa"
        self.model = load_unet(args.model)
        if args.layout == "nhwc":
            self.model = self.model.to(memory_format=torch.channels_last)
        layer = StackedLinear if args.style == "sdpa" else SeparateLinear
        kinds = ("up", "down", "lambda")
        starts = {path: {kind: data[f"{path}.lora_{kind}.weight"] for kind in kinds} for path in adapted_paths(self.model)}
        adapters, active = attach(self.model, starts, layer)
        active.rank = int(data["activeRank"][0])
        names = ("encoderHiddenStates", "textEmbeds", "timeIds")
        self.context, *self.more = [data[name] for name in names if name in data]
        if args.style == "sdpa":
            cache_context(adapters, self.context)
        self.latents, self.noise, self.timesteps = data["latents"], data["noise"], data["timesteps"]
        self.mix = [data[name].view(-1, 1, 1, 1) for name in ("signal", "noiseWeight", "targetSignal", "targetNoise")]
        rate, decay = data["optimizer"].tolist()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=decay, fused=True)
        self.count = 0

    def step(self):
        """Wall-clock and processor milliseconds and the loss of one step."""
        i = self.count % self.latents.shape[0]
        self.count += 1
        begin, cpu = time.perf_counter(), time.process_time()
        latents, noise = self.latents[i], self.noise[i]
        signal, noise_weight, target_signal, target_noise = self.mix
        prediction = self.model(signal * latents + noise_weight * noise, self.timesteps, self.context, *self.more)
        loss = F.mse_loss(prediction, target_signal * latents + target_noise * noise)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        ms, cpu_ms = (time.perf_counter() - begin) * 1000, (time.process_time() - cpu) * 1000
        return {"ms": ms, "cpuMs": cpu_ms, "loss": value}


def serve(args):
    torch.set_num_threads(args.threads)
    training = Training(args)
    say = lambda **fields: print(json.dumps(fields), flush=True)
    say(torch=torch.__version__, cpu=torch.backends.cpu.get_cpu_capability(), threads=torch.get_num_threads())
    for line in sys.stdin:
        steps = [training.step() for _ in range(int(line))]
        say(steps=steps, peakBytes=peak_bytes())


if __name__ == "__main__":
    given = arguments()
    if given.check:
        sys.exit(0 if all([check(folder) for folder in given.check]) else 1)
    serve(given)
