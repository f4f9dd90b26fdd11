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


def lovasz(probas, foregrounds, weights):
    """The reference implementation's, flat, the weighted mean over the classes given."""
    losses = []
    for p, fg in zip(probas, foregrounds):
        errors_sorted, perm = torch.sort((fg - p).abs(), 0, descending=True)
        losses.append(torch.dot(errors_sorted, lovasz_grad(fg[perm])))
    return sum(w * l for w, l in zip(weights, losses)) / sum(weights)


def image_loss(x, labels, activation, extras):
    """The Lovász loss of one image [pixels, classes], and its cross-entropy or 0: as the reference implementation composes them."""
    classes = x.size(1)
    if "void" in extras:
        valid = labels != 255
        x, labels = x[valid], labels[valid]
    if activation == "hinge":
        scores, fg = x[:, 0], labels.float()
        errors_sorted, perm = torch.sort(1 - scores * (2 * fg - 1), 0, descending=True)
        return torch.dot(F.relu(errors_sorted), lovasz_grad(fg[perm])), 0
    probas = F.softmax(x, 1) if activation == "softmax" else torch.sigmoid(x)
    weights = 1 + (torch.arange(classes) % 3) / 2
    foregrounds = [(labels == (1 if classes == 1 else k)).float() for k in range(classes)]
    present = [k for k in range(classes) if foregrounds[k].sum() > 0]
    class_weights = [float(weights[k]) if extras == "weights" else 1 for k in present]
    loss = lovasz([probas[:, k] for k in present], [foregrounds[k] for k in present], class_weights)
    entropy = 0
    if extras not in ("none", "void"):
        smoothing = 0.1 if extras == "smoothing" else 0.0
        w = weights if extras == "weights" else None
        if activation == "softmax":
            entropy = F.cross_entropy(x, labels, weight=w, label_smoothing=smoothing)
        else:
            target = labels[:, None].float() if classes == 1 else F.one_hot(labels, classes).float()
            target = target * (1 - smoothing) + smoothing / 2
            entropy = F.binary_cross_entropy_with_logits(x, target, reduction="none")
            entropy = entropy.mean() if w is None else (entropy * w).sum() / (w.sum() * len(entropy))
    return loss, entropy


def read(folder, name, dtype):
    return torch.frombuffer(open(folder + "/" + name, "rb").read(), dtype=dtype).clone()


def loss_calls(images, pixels, classes, activation, extras, folder):
    """Returns the functions that compute the loss without and with its gradient, and its parts and the gradient."""
    logits = read(folder, "pixelmajor.f32", torch.float32).reshape(images, pixels, classes)
    labels = read(folder, "labels.i32", torch.int32).long().reshape(images, pixels)

    def parts(x):
        each = [image_loss(x[i], labels[i], activation, extras) for i in range(images)]
        return sum(l for l, _ in each) / images, sum(e for _, e in each) / images

    def forward():
        with torch.no_grad():
            return sum(parts(logits))

    def backward():
        x = logits.detach().requires_grad_()
        sum(parts(x)).backward()
        return x.grad

    def exact():
        x = logits.detach().requires_grad_()
        loss, entropy = parts(x)
        loss.backward(retain_graph=True)
        return float(loss), float(entropy), x.grad

    return forward, backward, exact


def main():
    call = forward = exact = None
    for line in sys.stdin:
        command, *args = line.split()
        answer = "ok"
        if command == "case":
            dtype = {"float32": torch.float32, "float64": torch.float64}[args[1]]
            call = None
            call = kernel_call(args[0], dtype, int(args[2]), int(args[3]))
            answer = "ok" if call else "no"
        elif command == "loss":
            forward, call, exact = loss_calls(1, int(args[0]), int(args[1]), "softmax", "none", args[2])
        elif command == "config":
            forward, call, exact = loss_calls(*map(int, args[:3]), *args[3:])
        elif command == "exact":
            loss, entropy, grad = exact()
            grad.numpy().tofile(args[0] + "/grad.f32")
            answer = f"{loss!r} {entropy!r}"
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
