"""Writes the .pt files of this folder with PyTorch.

    python3 make_pt.py     Debian: python3-torch
"""
import collections

import torch

# What make.py has: four pixels, three classes; label 255 is void.
logits = torch.tensor([[2, 0, -1], [0, 1, 0], [1, 1, 3], [0.5, -0.5, 0]])
labels = torch.tensor([0, 255, 2, 1])

torch.save({"logits": logits, "labels": labels, "epoch": 3}, "dict.pt")
torch.save({"logits": logits, "labels": labels.to(torch.uint8)}, "legacy.pt", _use_new_zipfile_serialization=False)
# A view: planes read as rows, behind an offset.
planes = torch.cat([torch.zeros(1, 4), logits.T.contiguous()])[1:]
torch.save(collections.OrderedDict(a=planes.T, b=labels.to(torch.int32)), "ordered.pt")
for dtype in "float16", "bfloat16", "float64":
    torch.save(logits.to(getattr(torch, dtype)), f"logits_{dtype}.pt")
for dtype in "int8", "int16":
    torch.save(torch.tensor([-1, 2]).to(getattr(torch, dtype)), f"labels_{dtype}.pt")
torch.save(labels == 255, "labels_bool.pt")
torch.save(torch.tensor([0, 1 << 32]), "labels_too_large.pt")
torch.save([logits], "list.pt")
torch.save(torch.nn.Linear(1, 1), "model.pt")
