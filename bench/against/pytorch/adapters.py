"""T-LoRA adapters with an orthogonal start (arXiv 2507.05964) on every attention projection of the UNet, in two ways of writing the
same values: as a PyTorch expert would, and as the authors' release does."""

import torch
import torch.nn.functional as F
from torch import nn
from unet import load_unet

PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


class OrthoLinear(nn.Module):
    """W x + b + P M L Q x - P0 M L0 Q0 x, M keeping the first `Active.rank` components. Trained: up P [out, r], down Q [r, in],
    lambda L [r]; frozen: their values at the start."""

    def __init__(self, linear, start, active):
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.up, self.down, self.lamb = (nn.Parameter(start[kind].clone()) for kind in ("up", "down", "lambda"))
        self.up0, self.down0, self.lambda0 = start["up"], start["down"], start["lambda"]
        self.scaled_down0 = self.lambda0[:, None] * self.down0
        self.active = active
        self.cached = None

    def cache(self, context):
        """Keeps the base product of a constant input."""
        self.cached = F.linear(context, self.weight, self.bias)


class StackedLinear(OrthoLinear):
    """Both branches as one pair of products over the active prefix, added into the base product without a copy of it."""

    def forward(self, x):
        r = min(self.active.rank, self.lamb.shape[0])
        base = F.linear(x, self.weight, self.bias) if self.cached is None else self.cached
        down = torch.cat([self.lamb[:r, None] * self.down[:r], self.scaled_down0[:r]])
        up = torch.cat([self.up[:, :r], -self.up0[:, :r]], dim=1)
        h = F.linear(x, down)
        return torch.addmm(base.flatten(0, 1), h.flatten(0, 1), up.t()).view(base.shape)


class SeparateLinear(OrthoLinear):
    """The authors' order: each branch by itself at full rank, scaled and masked on the rank axis, then subtracted and added."""

    def forward(self, x):
        mask = (torch.arange(self.lamb.shape[0]) < self.active.rank).to(x.dtype)
        trained = F.linear(F.linear(x, self.down) * self.lamb * mask, self.up)
        frozen = F.linear(F.linear(x, self.down0) * self.lambda0 * mask, self.up0)
        return F.linear(x, self.weight, self.bias) + (trained - frozen)


class MaskedLinear(OrthoLinear):
    """Both branches as one pair of products at full rank, the inactive components zeroed by a mask on the device: the same kernels
    at every rank, as a compiler or a captured graph wants them. Factors are formed in float32 and rounded to the type of x."""

    def forward(self, x):
        base = F.linear(x, self.weight, self.bias) if self.cached is None else self.cached
        mask = self.active.mask[: self.lamb.shape[0], None]
        trained = self.lamb[:, None] * self.down
        down = torch.cat([trained * mask, (trained - self.scaled_down0) * mask]).to(x.dtype)
        up = torch.cat([self.up - self.up0, self.up0], dim=1).to(x.dtype)
        h = F.linear(x, down)
        return torch.addmm(base.flatten(0, 1), h.flatten(0, 1), up.t()).view(base.shape)


class SampledLinear(OrthoLinear):
    """For sampling: both branches stand stacked, a component's two factors side by side, so that the active prefix is a slice.
    `start` holds the trained values too, as trained_up, trained_down and trained_lambda."""

    def __init__(self, linear, start, active):
        super().__init__(linear, start, active)
        down = torch.stack([start["trained_lambda"][:, None] * start["trained_down"], self.scaled_down0], dim=1)
        up = torch.stack([start["trained_up"].t(), -self.up0.t()], dim=1)
        self.both_down, self.both_up = down.flatten(0, 1), up.flatten(0, 1)
        del self.up, self.down, self.lamb, self.up0, self.down0, self.lambda0, self.scaled_down0

    def forward(self, x):
        r = 2 * self.active.rank
        base = F.linear(x, self.weight, self.bias) if self.cached is None else self.cached
        h = F.linear(x, self.both_down[:r])
        return torch.addmm(base.flatten(0, 1), h.flatten(0, 1), self.both_up[:r]).view(base.shape)


class Active:
    """The rank that is active in this step, shared by all layers: a number, or a mask [r] of zeros and ones for MaskedLinear."""

    rank = 0
    mask = None

    def choose(self, rank, of):
        self.rank = rank
        self.mask = (torch.arange(of) < rank).float()


def adapted_paths(model):
    """Paths of the adapted layers, in the order of the modules."""
    return [path for path, _ in model.named_modules() if ".attn" in path and path.endswith(PROJECTIONS)]


def attach(model, starts, layer):
    """Puts `layer` around every attention projection. starts: by path, { up, down, lambda }."""
    active = Active()
    adapters = {}
    for path in adapted_paths(model):
        parent, _, name = path.rpartition(".")
        adapter = layer(model.get_submodule(path), starts[path], active)
        setattr(model.get_submodule(parent), name, adapter)
        adapters[path] = adapter
    return adapters, active


def adapted_unet(args, layer, data):
    """The UNet of args.model with `layer` around every attention projection, its values those of `data`: <path>.lora_<kind>.weight
    at the start, and where there are any trained.<path>.lora_<kind>.weight."""
    model = load_unet(args.model)
    if args.layout == "nhwc":
        model = model.to(memory_format=torch.channels_last)
    starts = {path: {} for path in adapted_paths(model)}
    for path, start in starts.items():
        for kind in ("up", "down", "lambda"):
            key = f"{path}.lora_{kind}.weight"
            start[kind] = data[key]
            if f"trained.{key}" in data:
                start[f"trained_{kind}"] = data[f"trained.{key}"]
    return model, *attach(model, starts, layer)


def cache_context(adapters, context):
    """The base keys and values of cross-attention depend on the prompt alone."""
    with torch.no_grad():
        for path, adapter in adapters.items():
            if path.endswith(("attn2.to_k", "attn2.to_v")):
                adapter.cache(context)
