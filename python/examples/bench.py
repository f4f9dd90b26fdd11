"""Measures the losses beside the reference's algorithm, in one process: forward and backward, with all copies and messages.

python3 python/examples/bench.py [-threads N] [-rounds N] [-plot FILE], after an installation, or with PYTHONPATH=python and
LANEWISE_WORKER set. MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 in the environment spare PyTorch the page faults of its large tensors: on
a virtual machine the reference is up to five times as slow without.
"""

import argparse
import time

import torch

import lanewise
from lanewise.torch import LovaszHingeLoss, LovaszSoftmaxLoss


def weights(foreground):
    """The gradient of the Lovász extension, as the paper's algorithm 1 has it."""
    total = foreground.sum()
    jaccard = 1 - (total - foreground.cumsum(0)) / (total + (1 - foreground).cumsum(0))
    jaccard[1:] = jaccard[1:] - jaccard[:-1]
    return jaccard


def reference_softmax(logits, labels):
    probabilities = logits.softmax(1).movedim(1, -1).reshape(-1, logits.shape[1])
    labels = labels.reshape(-1)
    losses = []
    for c in range(logits.shape[1]):
        foreground = (labels == c).float()
        if foreground.sum() == 0:
            continue
        errors, order = (foreground - probabilities[:, c]).abs().sort(0, descending=True)
        losses.append(errors.dot(weights(foreground[order])))
    return sum(losses) / len(losses)


def reference_hinge(scores, labels):
    scores, labels = scores.reshape(-1), labels.reshape(-1)
    errors, order = (1 - scores * (2 * labels.float() - 1)).sort(0, descending=True)
    return errors.relu().dot(weights(labels[order].float()))


def confident(*shape):
    """Logits of a network that is right and sure at nine pixels of ten."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(shape, generator=generator)
    labels = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    sure = (torch.rand(labels.shape, generator=generator) < 0.9).unsqueeze(1)
    return logits.scatter_add_(1, labels.unsqueeze(1), 8.0 * sure), labels


def mask(*shape):
    logits, labels = confident(shape[0], 2, *shape[2:])
    return logits[:, 1:] - logits[:, :1], labels.unsqueeze(1)


SOFTMAX, HINGE = (LovaszSoftmaxLoss(), reference_softmax), (LovaszHingeLoss(), reference_hinge)
CASES = [
    ("softmax", confident, (8, 19, 256, 256), SOFTMAX),
    ("softmax", confident, (2, 150, 256, 256), SOFTMAX),
    ("softmax", confident, (120000, 20), SOFTMAX),
    ("hinge", mask, (8, 1, 512, 512), HINGE),
]


def seconds(loss, logits, labels):
    leaf = logits.clone().requires_grad_(True)
    begin = time.perf_counter()
    value = loss(leaf, labels)
    value.backward()
    return time.perf_counter() - begin, value.item(), leaf.grad


def overhead():
    """The seconds of a call with next to nothing to compute, and those of its message alone."""
    logits, labels = confident(1, 2, 8, 8)
    leaf = logits.requires_grad_(True)
    loss = LovaszSoftmaxLoss()
    times = []
    for _ in range(2000):
        begin = time.perf_counter()
        loss(leaf, labels).backward()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-threads", type=int, default=1)
    parser.add_argument("-rounds", type=int, default=3)
    parser.add_argument("-plot")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lanewise.set_num_threads(arguments.threads)

    print(f"A call of 1 × 2 × 8 × 8: {overhead() * 1e6:.0f} µs\n")
    print("| loss | logits | reference, ms | lanewise, ms | ns per logit | times | gradients differ by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for name, data, shape, losses in CASES:
        logits, labels = data(*shape)
        best, gradients = [float("inf")] * 2, [None] * 2
        for _ in range(arguments.rounds):
            for i, loss in enumerate(losses):
                for _ in range(3 if i == 0 else 1):
                    took, _, gradients[i] = seconds(loss, logits, labels)
                    best[i] = min(best[i], took)
        difference = ((gradients[0] - gradients[1]).norm() / gradients[1].norm()).item()
        title = " × ".join(f"{n:,}" for n in shape)
        ours, theirs = best
        rows.append((f"{name}\n{title}", ours, theirs))
        print(
            f"| {name} | {title} | {theirs * 1e3:.1f} | {ours * 1e3:.2f} | {ours / logits.numel() * 1e9:.2f} | {theirs / ours:.1f} | {difference:.1e} |",
            flush=True,
        )
    if arguments.plot:
        plot(rows, arguments.plot)


def plot(rows, path):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "lanewise"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.2))
    for i, (title, ours, theirs) in enumerate(reversed(rows)):
        axes.barh(i + 0.2, theirs * 1e3, 0.38, color="#b8b8b8", label="the reference's algorithm in PyTorch" if i == 0 else None)
        axes.barh(i - 0.2, ours * 1e3, 0.38, color="#1f6fb4", label="lanewise" if i == 0 else None)
        axes.text(ours * 1e3 * 1.1, i - 0.2, f"{theirs / ours:.0f} times", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [title for title, _, _ in reversed(rows)], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds, forward and backward, one thread")
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
