"""The training step in PyTorch, driven by lines on stdin: one JSON line answers each. See --help."""

import sys

import torch
import torch.nn.functional as F
from adapters import SeparateLinear, StackedLinear, adapted_unet, cache_context
from check import check
from safetensors.torch import load_file
from serve import conditions, parser, serve
from unet import Attention


def arguments():
    options = parser(__doc__)
    options.add_argument("--check", metavar="DIR", nargs="+", help="compare with reference results (expected-*) and end")
    options.add_argument("--style", choices=("sdpa", "reference"), default="sdpa")
    return options.parse_args()


class Training:
    def __init__(self, args):
        data = load_file(args.data)
        Attention.fused = args.style == "sdpa"
        layer = StackedLinear if args.style == "sdpa" else SeparateLinear
        self.model, adapters, active = adapted_unet(args, layer, data)
        active.rank = int(data["activeRank"][0])
        self.context, *self.more = conditions(data)
        if args.style == "sdpa":
            cache_context(adapters, self.context)
        self.latents, self.noise, self.timesteps = data["latents"], data["noise"], data["timesteps"]
        self.mix = [data[name].view(-1, 1, 1, 1) for name in ("signal", "noiseWeight", "targetSignal", "targetNoise")]
        rate, decay = data["optimizer"].tolist()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=decay, fused=True)
        self.count = 0

    def step(self):
        """The loss of one step."""
        i = self.count % self.latents.shape[0]
        self.count += 1
        latents, noise = self.latents[i], self.noise[i]
        signal, noise_weight, target_signal, target_noise = self.mix
        prediction = self.model(signal * latents + noise_weight * noise, self.timesteps, self.context, *self.more)
        loss = F.mse_loss(prediction, target_signal * latents + target_noise * noise)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss": loss.item()}


if __name__ == "__main__":
    given = arguments()
    if given.check:
        sys.exit(0 if all([check(folder) for folder in given.check]) else 1)
    serve(given, Training)
