#!/usr/bin/env python3
"""Causal attention of prompts by PyTorch beside prefill_attention_bench: contiguous (not paged) bf16 keys and values.

    sdpa_prefill.py [--head-dim 128,64] [--lengths 512,1024,...] [--tokens 16384]
    sdpa_prefill.py --check FOLDER --head-dim D --lengths L    errors of what the bench's --dump wrote, beside PyTorch's

TFLOPS count what the mask leaves, as the bench does; median of 12 rounds of 4 replays of a graph, for each backend.
"""

import argparse
import statistics

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

HEADS, KV_HEADS = 32, 8
BACKENDS = (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION))


def attention(q, k, v, backend):
    with sdpa_kernel(backend), torch.no_grad():
        return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def time_graph(work):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    times = []
    for _ in range(14):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(4):
            graph.replay()
        end.record()
        end.synchronize()
        times.append(1000 * begin.elapsed_time(end) / 4)
    return statistics.median(times[2:])


def measure(dim, length, tokens):
    count = max(1, tokens // length)
    q = torch.randn((count, length, HEADS, dim), dtype=torch.bfloat16, device="cuda").transpose(1, 2)
    k, v = (torch.randn((count, KV_HEADS, length, dim), dtype=torch.bfloat16, device="cuda") for _ in "kv")
    ops = 4 * count * (length * (length + 1) / 2) * HEADS * dim
    for name, backend in BACKENDS:
        try:
            us = time_graph(lambda backend=backend: attention(q, k, v, backend))
            print(f"{name:<8} {dim:>4} {length:>6}  {us:9.1f} {ops / us * 1e-6:7.1f}", flush=True)
        except RuntimeError as error:
            print(f"{name:<8} {dim:>4} {length:>6}  {str(error).splitlines()[0][:90]}", flush=True)


def check(folder, dim, length):
    """RMS and largest error against f64 over f64 copies of the inputs; of a few heads."""

    def load(name, *shape):
        data = torch.frombuffer(bytearray(open(f"{folder}/{name}", "rb").read()), dtype=torch.bfloat16)
        return data.reshape(shape).cuda()

    q = load("q", -1, length, HEADS, dim).transpose(1, 2)[:1]
    k, v = (load(name, -1, KV_HEADS, length, dim)[:1] for name in "kv")
    own = load("out", -1, length, HEADS, dim).transpose(1, 2)[:1]
    results = {"tern": own} | {name: attention(q, k, v, backend) for name, backend in BACKENDS}
    results["math"] = attention(q[:, :8], k[:, :2], v[:, :2], SDPBackend.MATH)
    exact = attention(q[:, :8].double(), k[:, :2].double(), v[:, :2].double(), SDPBackend.MATH)
    for name, out in results.items():
        error = out[:, :8].double() - exact
        print(
            f"{name:<8} {dim:>4} {length:>6}  rms {error.square().mean().sqrt().item():.3e} of "
            f"{exact.square().mean().sqrt().item():.3e}, largest {error.abs().max().item():.3e}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--head-dim", default="128,64")
    parser.add_argument("--lengths", default="512,1024,2048,4096,8192,16384")
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--check")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}")
    for dim in map(int, args.head_dim.split(",")):
        for length in map(int, args.lengths.split(",")):
            if args.check:
                check(args.check, dim, length)
            else:
                measure(dim, length, args.tokens)


if __name__ == "__main__":
    main()
