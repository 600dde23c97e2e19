"""Compares unet.py and adapters.py with what the reference implementation computed on a tiny pipeline."""

from pathlib import Path

import torch
import torch.nn.functional as F
from adapters import MaskedLinear, SampledLinear, SeparateLinear, StackedLinear, adapted_paths, attach, cache_context
from safetensors.torch import load_file
from unet import Attention, load_unet

KINDS = {"up": "p_layer.weight", "down": "q_layer.weight", "lambda": "lambda_layer"}
BASE_KINDS = {"up": "base_p.weight", "down": "base_q.weight", "lambda": "base_lambda"}


def difference(got, expected):
    return ((got - expected).norm() / expected.norm()).item()


def key(path, kind):
    """The authors' key of a value of the layer `...attn1.to_out.0`."""
    parent, name = path.removesuffix(".0").rsplit(".", 1)
    return f"{parent}.processor.{name}_lora.{kind}"


def check_unet(model, expected):
    more = [expected[name] for name in ("text_embeds", "time_ids") if name in expected]
    with torch.no_grad():
        got = model(expected["sample"], expected["timesteps"], expected["encoder_hidden_states"], *more)
    return difference(got, expected["out"])


def values(expected, path):
    """The values of one layer: up, down and lambda at the start, and trained_up, ... later."""
    start = {kind: expected[f"init.{key(path, name)}"] for kind, name in BASE_KINDS.items()}
    trained = {f"trained_{kind}": expected[f"param.{key(path, name)}"] for kind, name in KINDS.items()}
    return {kind: value.flatten() if kind.endswith("lambda") else value for kind, value in (start | trained).items()}


def parameters(adapter):
    return {"up": adapter.up, "down": adapter.down, "lambda": adapter.lamb}


def gradient_difference(adapters, expected, rank):
    squares = total = 0.0
    for path, adapter in adapters.items():
        for kind, value in parameters(adapter).items():
            gradient = expected[f"r{rank}.grad.{key(path, KINDS[kind])}"].view(value.shape)
            squares += (value.grad - gradient).square().sum().item()
            total += gradient.square().sum().item()
    return (squares / total) ** 0.5


def check_adapters(folder, conditions, layer, cached):
    expected = load_file(folder / "adapter-ortho_lora-last.safetensors")
    model = load_unet(folder.parent / folder.name.replace("expected", "tiny"))
    adapters, active = attach(model, {path: values(expected, path) for path in adapted_paths(model)}, layer)
    trains = layer is not SampledLinear
    if trains:
        with torch.no_grad():
            for path, adapter in adapters.items():
                for kind, value in parameters(adapter).items():
                    value.copy_(values(expected, path)[f"trained_{kind}"])
    sample, context, *more = [x[:1] for x in conditions]
    if cached:
        cache_context(adapters, context)
    worst = 0.0
    for rank in (4, 8):
        active.choose(rank, 8)
        out = model(sample, torch.tensor([500]), context, *more)
        error = difference(out, expected[f"r{rank}.out"])
        worst = max(worst, error)
        text = f"  {layer.__name__} rank {rank}: output {error:.1e}"
        if trains:
            model.zero_grad()
            F.mse_loss(out, expected["target"]).backward()
            error = gradient_difference(adapters, expected, rank)
            worst = max(worst, error / 2)
            text += f", gradients {error:.1e}"
        print(text)
    return worst


def check(folder):
    """folder: expected-<name> beside the pipeline tiny-<name>. Returns whether all differences are within 1e-5 (gradients 2e-5)."""
    folder = Path(folder).resolve()
    expected = load_file(folder / "unet.safetensors")
    names = ("sample", "encoder_hidden_states", "text_embeds", "time_ids")
    conditions = [expected[name] for name in names if name in expected]
    worst = 0.0
    for layer in (StackedLinear, MaskedLinear, SampledLinear, SeparateLinear):
        fused = cached = layer is not SeparateLinear
        Attention.fused = fused
        error = check_unet(load_unet(folder.parent / folder.name.replace("expected", "tiny")), expected)
        print(f"{folder.name}, {'fused' if fused else 'materialised'} attention: output {error:.1e}")
        worst = max(worst, error, check_adapters(folder, conditions, layer, cached))
    return worst <= 1e-5
