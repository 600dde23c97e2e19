"""Training steps of the UNet with T-LoRA adapters in PyTorch on a GPU, timed by device events: one JSON line a setting. Weights are drawn on
the device, so only the UNet's config.json is needed.

  --mode eager      PyTorch as an expert writes it: bf16, channels last, fused attention, both adapter branches stacked over the active prefix,
                    cached cross-attention keys and values, fused AdamW
  --mode graph      the same operations at full rank with a mask on the device, the whole step captured in one CUDA graph
  --mode compiled   as graph, the UNet through torch.compile (--autotune: max-autotune without its own graphs)
  --mode forward    the UNet alone, without adapters, in inference mode, captured in a graph
  --mode guided     the same with adapters and cached cross-attention keys and values: a step of guided sampling at batch 2, both branches
                    stacked once before and cut to the active prefix, one graph for each rank that a run of sampling meets
"""

import argparse
import json
import statistics

import torch
import torch.nn.functional as F
from adapters import MaskedLinear, SampledLinear, StackedLinear, adapted_paths, attach, cache_context
from unet import UNet2DConditionModel


def arguments():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config", required=True, help="config.json of the UNet")
    options.add_argument("--name", default="", help="repeated in the answer")
    options.add_argument("--mode", choices=("eager", "graph", "compiled", "forward", "guided"), default="eager")
    options.add_argument("--autotune", action="store_true")
    options.add_argument("--resolution", type=int, default=512)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--rank", type=int, default=64)
    options.add_argument("--active", type=int, default=48)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--warm", type=int, default=5)
    options.add_argument("--type", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    options.add_argument("--json", help="also append the answer to this file")
    options.add_argument("--device", default="cuda", help="cpu only shows that the program runs; nothing is timed by events there")
    return options.parse_args()


def drawn_unet(config, dtype):
    """The UNet with weights of a fan-in's deviation, frozen; norms as they begin."""
    with torch.device("meta"):
        model = UNet2DConditionModel(config)
    model = model.to_empty(device=torch.get_default_device())
    for name, value in model.named_parameters():
        with torch.no_grad():
            if value.dim() > 1:
                value.normal_(0, value[0].numel() ** -0.5)
            else:
                value.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return model.to(dtype=dtype, memory_format=torch.channels_last).requires_grad_(False).eval()


def frame(rows, columns):
    """An orthonormal frame [rows, columns], rows >= columns."""
    return torch.linalg.qr(torch.randn(rows, columns))[0]


def starts(model, rank):
    """Values at the start, of narrow layers as many as they have; the same stand for trained ones, where a layer wants them."""
    drawn = {}
    for path in adapted_paths(model):
        layer = model.get_submodule(path)
        r = min(rank, layer.in_features, layer.out_features)
        down = frame(layer.in_features, r).t().contiguous()
        drawn[path] = {"up": frame(layer.out_features, r), "down": down, "lambda": torch.rand(r) * 0.1}
    return {path: start | {f"trained_{kind}": value for kind, value in start.items()} for path, start in drawn.items()}


class Step:
    """One training step on fixed latents, noise and text states of random values."""

    def __init__(self, args):
        config = json.load(open(args.config))
        dtype = getattr(torch, args.type)
        self.trains = args.mode not in ("forward", "guided")
        self.model = drawn_unet(config, dtype)
        side, n = args.resolution // 8, args.batch
        last = torch.channels_last
        self.sample = torch.randn(n, config["in_channels"], side, side, dtype=dtype).to(memory_format=last)
        self.target = torch.randn(n, config["out_channels"], side, side)
        self.timesteps = torch.full((n,), 500)
        self.context = torch.randn(n, 77, config["cross_attention_dim"], dtype=dtype)
        self.more = []
        if config.get("addition_embed_type") == "text_time":
            pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
            self.more = [torch.randn(n, pooled, dtype=dtype), torch.tensor([[args.resolution] * 2 + [0, 0] + [args.resolution] * 2] * n)]
        if args.mode != "forward":
            layer = {"eager": StackedLinear, "guided": SampledLinear}.get(args.mode, MaskedLinear)
            adapters, active = attach(self.model, starts(self.model, args.rank), layer)
            active.choose(args.active, args.rank)
            cache_context(adapters, self.context)
            for adapter in adapters.values():
                if layer is StackedLinear:
                    adapter.forward = in_type(adapter, dtype)
                if layer is SampledLinear:
                    adapter.both_down, adapter.both_up = adapter.both_down.to(dtype), adapter.both_up.to(dtype)
        if self.trains:
            trained = [p for p in self.model.parameters() if p.requires_grad]
            fast = self.sample.is_cuda
            self.optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=1e-4, fused=fast, capturable=fast)
        self.call = self.model
        if args.mode == "compiled":
            self.call = torch.compile(self.model, dynamic=False, mode="max-autotune-no-cudagraphs" if args.autotune else None)

    def run(self):
        if not self.trains:
            with torch.no_grad():
                self.loss = self.call(self.sample, self.timesteps, self.context, *self.more)
            return
        prediction = self.call(self.sample, self.timesteps, self.context, *self.more)
        self.loss = F.mse_loss(prediction.float(), self.target)
        self.loss.backward()
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def in_type(adapter, dtype):
    """StackedLinear's forward with its float32 factors rounded to the type of the activations."""

    def forward(x):
        r = min(adapter.active.rank, adapter.lamb.shape[0])
        base = F.linear(x, adapter.weight, adapter.bias) if adapter.cached is None else adapter.cached
        trained = adapter.lamb[:r, None] * adapter.down[:r]
        down = torch.cat([trained, trained - adapter.scaled_down0[:r]]).to(dtype)
        up = torch.cat([adapter.up[:, :r] - adapter.up0[:, :r], adapter.up0[:, :r]], dim=1).to(dtype)
        h = F.linear(x, down)
        return torch.addmm(base.flatten(0, 1), h.flatten(0, 1), up.t()).view(base.shape)

    return forward


def captured(run, warm):
    """A function that replays one captured run."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def times(run, steps):
    """Milliseconds of each run, by device events."""
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run()
        mark.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in zip(marks, marks[1:])]


def main():
    args = arguments()
    answer = json.dumps(measured(args))
    print(answer)
    if args.json:
        with open(args.json, "a") as file:
            print(answer, file=file)


def measured(args):
    torch.set_default_device(args.device)
    torch.manual_seed(0)
    step = Step(args)
    answer = {"name": args.name, "mode": args.mode, "autotune": args.autotune, "torch": torch.__version__, "type": args.type}
    answer |= {"resolution": args.resolution, "batch": args.batch, "rank": args.rank, "active": args.active}
    if args.device == "cpu":
        step.run()
        return answer | {"value": step.loss.float().mean().item()}
    torch.cuda.reset_peak_memory_stats()  # not what drawing the weights took
    run = step.run
    if args.mode == "eager":
        for _ in range(args.warm):
            run()
    else:
        run = captured(run, args.warm)
        run()
    torch.cuda.synchronize()
    ms = times(run, args.steps)
    answer |= {"device": torch.cuda.get_device_name(), "medianMs": statistics.median(ms), "bestMs": min(ms), "ms": ms}
    answer |= {"peakBytes": torch.cuda.max_memory_allocated(), "reservedBytes": torch.cuda.max_memory_reserved()}
    return answer | {"value": step.loss.float().mean().item()}


if __name__ == "__main__":
    main()
