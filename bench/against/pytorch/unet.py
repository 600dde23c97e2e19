"""UNet2DConditionModel of Stable Diffusion 1.x, 2.x and XL in plain PyTorch: the operations of diffusers in their order, its module
names, and so its checkpoint keys. An opponent for measurements, no part of the package."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


class Attention(nn.Module):
    """to_out.0(softmax(q kT / sqrt(d)) v). `fused`: scaled_dot_product_attention; else the S x S matrix is kept, as in diffusers'
    AttnProcessor, which the T-LoRA authors' code follows."""

    fused = True

    def __init__(self, channels, context, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x, context=None):
        context = x if context is None else context
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        o = self.scaled(q, k, v) if self.fused else self.materialised(q, k, v)
        return self.to_out[0](o)

    def scaled(self, q, k, v):
        n, t, c = q.shape
        q, k, v = (y.view(n, -1, self.heads, c // self.heads).transpose(1, 2) for y in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c)

    def materialised(self, q, k, v):
        n, t, c = q.shape
        d = c // self.heads
        q, k, v = (y.reshape(n, -1, self.heads, d).permute(0, 2, 1, 3).reshape(n * self.heads, -1, d) for y in (q, k, v))
        empty = torch.empty(q.shape[0], q.shape[1], k.shape[1], dtype=q.dtype)
        scores = torch.baddbmm(empty, q, k.transpose(-1, -2), beta=0, alpha=d**-0.5)
        o = torch.bmm(scores.softmax(dim=-1), v)
        return o.reshape(n, self.heads, t, d).permute(0, 2, 1, 3).reshape(n, t, c)


class GEGLU(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.proj = nn.Linear(channels, inner * 2)

    def forward(self, x):
        h, gate = self.proj(x).chunk(2, dim=-1)
        return h * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.net = nn.ModuleList([GEGLU(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class BasicTransformerBlock(nn.Module):
    def __init__(self, channels, heads, context):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, context, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x, context):
        x = self.attn1(self.norm1(x)) + x
        x = self.attn2(self.norm2(x), context) + x
        return self.ff(self.norm3(x)) + x


class Transformer2DModel(nn.Module):
    def __init__(self, channels, heads, layers, context, groups, linear):
        super().__init__()
        self.linear = linear
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        project = (lambda: nn.Linear(channels, channels)) if linear else (lambda: nn.Conv2d(channels, channels, 1))
        self.proj_in = project()
        self.transformer_blocks = nn.ModuleList(BasicTransformerBlock(channels, heads, context) for _ in range(layers))
        self.proj_out = project()

    def forward(self, x, context):
        n, c, h, w = x.shape
        y = self.norm(x)
        if not self.linear:
            y = self.proj_in(y)
        y = y.permute(0, 2, 3, 1).reshape(n, h * w, c)
        if self.linear:
            y = self.proj_in(y)
        for block in self.transformer_blocks:
            y = block(y, context)
        if self.linear:
            y = self.proj_out(y)
        y = y.reshape(n, h, w, c).permute(0, 3, 1, 2).contiguous()
        if not self.linear:
            y = self.proj_out(y)
        return y + x


class ResnetBlock2D(nn.Module):
    def __init__(self, channels, out, time, groups, eps):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels, eps=eps)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, out)
        self.norm2 = nn.GroupNorm(groups, out, eps=eps)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = None if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x, emb):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(emb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + h


class Sampler(nn.Module):
    """Downsample2D (stride 2) and the convolution of Upsample2D (stride 1)."""

    def __init__(self, channels, stride, padding=1):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=padding)

    def forward(self, x, size=None):
        if size is not None:
            x = F.interpolate(x, size=size, mode="nearest")
        return self.conv(x)


class Block(nn.Module):
    """A block of either way, or the middle one: resnets, each followed by its transformer if there is one."""

    def __init__(self, resnets, attentions):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if attentions:
            self.attentions = nn.ModuleList(attentions)


class TimestepEmbedding(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.linear_1 = nn.Linear(width, out)
        self.linear_2 = nn.Linear(out, out)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


def timestep_features(t, width, flip, shift):
    """[n] to [n, width]: sines and cosines of t; `flip`: cosines first."""
    half = width // 2
    angles = t.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / (half - shift))
    parts = (angles.cos(), angles.sin()) if flip else (angles.sin(), angles.cos())
    return torch.cat(parts, dim=-1)


def per_block(value, count):
    return list(value) if isinstance(value, (list, tuple)) else [value] * count


class UNet2DConditionModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        channels = config["block_out_channels"]
        count = len(channels)
        time = channels[0] * 4
        groups, eps = config["norm_num_groups"], config["norm_eps"]
        heads = per_block(config["attention_head_dim"], count)
        depth = per_block(config["transformer_layers_per_block"], count)
        context, linear = config["cross_attention_dim"], config["use_linear_projection"]
        layers = config["layers_per_block"]

        def transformer(level):
            return Transformer2DModel(channels[level], heads[level], depth[level], context, groups, linear)

        def resnet(inner, level):
            return ResnetBlock2D(inner, channels[level], time, groups, eps)

        self.conv_in = nn.Conv2d(config["in_channels"], channels[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(channels[0], time)
        self.text_time = config.get("addition_embed_type") == "text_time"
        if self.text_time:
            self.add_embedding = TimestepEmbedding(config["projection_class_embeddings_input_dim"], time)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for i, kind in enumerate(config["down_block_types"]):
            before = channels[max(0, i - 1)]
            resnets = [resnet(before if j == 0 else channels[i], i) for j in range(layers)]
            block = Block(resnets, [transformer(i) for _ in range(layers)] if kind.startswith("CrossAttn") else [])
            if i < count - 1:
                block.downsamplers = nn.ModuleList([Sampler(channels[i], 2, config.get("downsample_padding", 1))])
            self.down_blocks.append(block)
        last = count - 1
        self.mid_block = Block([resnet(channels[last], last) for _ in range(2)], [transformer(last)])
        for i, kind in enumerate(config["up_block_types"]):
            level = last - i
            below, beside = channels[min(last, level + 1)], channels[max(0, level - 1)]
            resnets = [
                resnet((below if j == 0 else channels[level]) + (beside if j == layers else channels[level]), level)
                for j in range(layers + 1)
            ]
            has_attention = kind.startswith("CrossAttn")
            block = Block(resnets, [transformer(level) for _ in range(layers + 1)] if has_attention else [])
            if level > 0:
                block.upsamplers = nn.ModuleList([Sampler(channels[level], 1)])
            self.up_blocks.append(block)
        self.conv_norm_out = nn.GroupNorm(groups, channels[0], eps=eps)
        self.conv_out = nn.Conv2d(channels[0], config["out_channels"], 3, padding=1)

    def time(self, timesteps, text_embeds, time_ids):
        config = self.config
        flip, shift = config["flip_sin_to_cos"], config["freq_shift"]
        dtype = self.conv_in.weight.dtype
        emb = self.time_embedding(timestep_features(timesteps, config["block_out_channels"][0], flip, shift).to(dtype))
        if self.text_time:
            ids = timestep_features(time_ids.flatten(), config["addition_time_embed_dim"], flip, shift).to(dtype)
            emb = emb + self.add_embedding(torch.cat([text_embeds, ids.reshape(time_ids.shape[0], -1)], dim=-1))
        return emb

    def forward(self, sample, timesteps, context, text_embeds=None, time_ids=None):
        emb = self.time(timesteps, text_embeds, time_ids)
        h = self.conv_in(sample)
        skips = [h]
        for block in self.down_blocks:
            for j, resnet in enumerate(block.resnets):
                h = resnet(h, emb)
                if hasattr(block, "attentions"):
                    h = block.attentions[j](h, context)
                skips.append(h)
            if hasattr(block, "downsamplers"):
                h = block.downsamplers[0](h)
                skips.append(h)
        h = self.mid_block.resnets[0](h, emb)
        h = self.mid_block.attentions[0](h, context)
        h = self.mid_block.resnets[1](h, emb)
        for block in self.up_blocks:
            for j, resnet in enumerate(block.resnets):
                h = resnet(torch.cat([h, skips.pop()], dim=1), emb)
                if hasattr(block, "attentions"):
                    h = block.attentions[j](h, context)
            if hasattr(block, "upsamplers"):
                h = block.upsamplers[0](h, skips[-1].shape[2:])
        return self.conv_out(F.silu(self.conv_norm_out(h)))


def load_unet(folder):
    """The UNet of a pipeline folder in diffusers layout, float32, frozen."""
    unet = Path(folder) / "unet"
    with torch.device("meta"):
        model = UNet2DConditionModel(json.loads((unet / "config.json").read_text()))
    tensors = {}
    for file in sorted(unet.glob("diffusion_pytorch_model*.safetensors")):
        for key, value in load_file(file).items():
            tensors[key] = value.float()
    model.load_state_dict(tensors, assign=True)
    return model.requires_grad_(False).eval()
