"""PyTorch on one thread, with out= wherever it has that, so that page faults do not count."""
import os
import sys
import time

import torch
import torch.nn.functional as F

clock = time.process_time_ns if os.environ.get("LANEWISE_BENCH_CLOCK") else time.perf_counter_ns
torch.set_num_threads(1)
torch.manual_seed(1)


def kernel_call(kernel, dtype, n, cols):
    """Returns the function to time, or None."""
    rows = n // cols
    normal = lambda *shape: torch.randn(*shape, dtype=dtype)
    if kernel == "Dot":
        a, b, out = normal(n), normal(n), normal(1)[0].clone()
        return lambda: torch.dot(a, b, out=out)
    if kernel == "DotRows":
        m, x, out = normal(rows, cols), normal(cols), normal(rows)
        return lambda: torch.mv(m, x, out=out)
    if kernel == "CumSum":
        x, out = normal(n), normal(n)
        return lambda: torch.cumsum(x, 0, out=out)
    if kernel in ("Softmax", "SoftmaxRows", "SoftmaxPlanes", "LogSoftmaxRows"):
        shape = (1, n) if kernel == "Softmax" else (cols, rows) if kernel == "SoftmaxPlanes" else (rows, cols)
        dim = 0 if kernel == "SoftmaxPlanes" else 1
        x, out = normal(*shape) * 3, normal(*shape)
        op = torch._log_softmax if kernel == "LogSoftmaxRows" else torch._softmax
        return lambda: op(x, dim, False, out=out)
    if kernel == "LogSumExp":
        x, out = normal(1, n) * 3, normal(1)
        return lambda: torch.logsumexp(x, 1, out=out)
    if kernel in ("SoftmaxRowsGrad", "LogSoftmaxRowsGrad"):
        log = kernel.startswith("Log")
        y, dy, out = normal(rows, cols) * 3, normal(rows, cols), normal(rows, cols)
        y = F.log_softmax(y, 1) if log else F.softmax(y, 1)
        if log:
            return lambda: torch.ops.aten._log_softmax_backward_data.out(dy, y, 1, dtype, out=out)
        return lambda: torch.ops.aten._softmax_backward_data.out(dy, y, 1, dtype, grad_input=out)
    if kernel in ("ArgMax", "ArgMaxRows", "ArgMaxPlanes"):
        shape = (1, n) if kernel == "ArgMax" else (cols, rows) if kernel == "ArgMaxPlanes" else (rows, cols)
        dim = 0 if kernel == "ArgMaxPlanes" else 1
        x = normal(*shape)
        out = torch.argmax(x, dim)
        return lambda: torch.argmax(x, dim, out=out)
    if kernel == "SortDescending":
        x, keys, perm = normal(n), normal(n), torch.zeros(n, dtype=torch.long)
        return lambda: torch.sort(x, stable=True, descending=True, out=(keys, perm))
    return None


def lovasz_grad(gt_sorted):
    """The reference implementation's (Berman, Rannen Triki and Blaschko)."""
    p = len(gt_sorted)
    gts = gt_sorted.sum()
    intersection = gts - gt_sorted.float().cumsum(0)
    union = gts + (1 - gt_sorted).float().cumsum(0)
    jaccard = 1.0 - intersection / union
    if p > 1:
        jaccard[1:p] = jaccard[1:p] - jaccard[0:-1]
    return jaccard


def lovasz_softmax(probas, labels):
    """The reference implementation's, flat, the mean over the classes present."""
    losses = []
    for c in range(probas.size(1)):
        fg = (labels == c).float()
        if fg.sum() == 0:
            continue
        errors = (fg - probas[:, c]).abs()
        errors_sorted, perm = torch.sort(errors, 0, descending=True)
        losses.append(torch.dot(errors_sorted, lovasz_grad(fg[perm])))
    return sum(losses) / len(losses)


def loss_calls(pixels, classes, folder):
    logits = torch.frombuffer(open(folder + "/pixelmajor.f32", "rb").read(), dtype=torch.float32).reshape(pixels, classes).clone()
    labels = torch.frombuffer(open(folder + "/labels.i32", "rb").read(), dtype=torch.int32).long()

    def forward():
        with torch.no_grad():
            return lovasz_softmax(F.softmax(logits, 1), labels)

    def backward():
        x = logits.detach().requires_grad_()
        lovasz_softmax(F.softmax(x, 1), labels).backward()
        return x.grad

    return forward, backward


def main():
    call = forward = None
    for line in sys.stdin:
        command, *args = line.split()
        answer = "ok"
        if command == "case":
            dtype = {"float32": torch.float32, "float64": torch.float64}[args[1]]
            call = None
            call = kernel_call(args[0], dtype, int(args[2]), int(args[3]))
            answer = "ok" if call else "no"
        elif command == "loss":
            forward, call = loss_calls(int(args[0]), int(args[1]), args[2])
        elif command in ("run", "forward"):
            f = call if command == "run" else forward
            calls = int(args[0])
            for _ in range(calls // 8):  # wakes up
                f()
            start = clock()
            for _ in range(calls):
                result = f()
            answer = clock() - start
            if command == "forward":
                answer = f"{answer} {float(result)}"
        print(answer, flush=True)


main()
