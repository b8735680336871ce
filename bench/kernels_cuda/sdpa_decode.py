#!/usr/bin/env python3
"""Decode attention by PyTorch beside decode_attention_bench: one query token, contiguous (not paged) bf16 KV.

    sdpa_decode.py [SHAPE ...]      shapes are sequences x context, as in decode_attention_bench

A CUDA graph over as many layers as make the cache many times larger than the L2 cache; microseconds a layer, median of
12 rounds of 4 replays, for each backend of scaled_dot_product_attention that takes the shape.
"""

import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

HEADS, KV_HEADS, HEAD_DIM, POOL_BYTES = 32, 8, 128, 6 << 30


def time_graph(work, layers):
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
        times.append(1000 * begin.elapsed_time(end) / 4 / layers)
    return statistics.median(times[2:])


def main():
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}; microseconds a layer (GB/s of K and V)")
    for shape in sys.argv[1:] or ["1x1024", "1x16384", "1x65536", "8x4096", "32x8192"]:
        sequences, keys = map(int, shape.split("x"))
        size = (sequences, KV_HEADS, keys, HEAD_DIM)
        layer_bytes = 4 * sequences * KV_HEADS * keys * HEAD_DIM
        layers = max(1, min(64, POOL_BYTES // layer_bytes))
        cache = [[torch.randn(size, dtype=torch.bfloat16, device="cuda") for _ in "kv"] for _ in range(layers)]
        q = torch.randn((sequences, HEADS, 1, HEAD_DIM), dtype=torch.bfloat16, device="cuda")
        for name, backend in (("flash", SDPBackend.FLASH_ATTENTION), ("cudnn", SDPBackend.CUDNN_ATTENTION)):
            try:
                with sdpa_kernel(backend), torch.no_grad():
                    us = time_graph(lambda: [scaled_dot_product_attention(q, k, v, enable_gqa=True) for k, v in cache],
                                    layers)
                print(f"{shape:<9} {name}  {us:8.1f}  {layer_bytes / us * 1e-3:6.0f}", flush=True)
            except RuntimeError as error:
                print(f"{shape:<9} {name}  {str(error).splitlines()[0][:90]}", flush=True)


if __name__ == "__main__":
    main()
