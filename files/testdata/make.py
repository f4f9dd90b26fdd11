"""Writes the arrays and masks of this folder with numpy and Pillow, whose files are what users have.

    python3 make.py        Debian: python3-numpy, python3-pil
"""
import numpy as np
from PIL import Image

# Four pixels, three classes; label 255 is void.
logits = np.array([[2, 0, -1], [0, 1, 0], [1, 1, 3], [0.5, -0.5, 0]])
labels = np.array([0, 255, 2, 1])

for dtype in "float16", "float32", "float64":
    np.save(f"logits_{dtype}.npy", logits.astype(dtype))
np.save("logits_big_endian.npy", logits.astype(">f4"))
np.save("logits_fortran.npy", np.asfortranarray(logits, dtype="float32"))
np.save("logits_class_major.npy", logits.T.astype("float32", order="C"))
np.save("logits_complex.npy", logits.astype("complex64"))
np.save("logits_object.npy", logits.astype(object))
np.save("logits_record.npy", logits[:, 0].astype([("a", "<f4")]))
with open("logits_version2.npy", "wb") as f:
    np.lib.format.write_array(f, logits.astype("float32"), version=(2, 0))

for dtype in "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64":
    np.save(f"labels_{dtype}.npy", labels.astype(dtype))
np.save("labels_big_endian.npy", labels.astype(">i8"))
np.save("labels_bool.npy", labels == 255)
np.save("labels_int8.npy", np.where(labels == 255, -1, labels).astype("int8"))
np.save("labels_too_large.npy", np.array([0, 4294967551, 2, 1]))  # 2³² + 255
np.save("labels_too_large_unsigned.npy", np.array([0, 1, 2**64 - 1, 1], "uint64"))

np.savez("both.npz", logits=logits.astype("float32"), labels=labels)
np.savez_compressed("compressed.npz", a=logits.astype("float32"), b=labels)
np.savez("one.npz", logits.astype("float32"))

mask = np.array([[0, 255, 2, 1], [3, 3, 0, 1]], "uint8")
Image.fromarray(mask).save("mask_gray8.png")
Image.fromarray(np.where(mask == 255, 3000, mask).astype("uint16")).save("mask_gray16.png")
paletted = Image.fromarray(mask, "P")
paletted.putpalette([7 * i % 256 for i in range(768)])
paletted.save("mask_paletted.png")
small = Image.fromarray(mask % 4, "P")  # four colours: Pillow writes two bits a pixel
small.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
small.save("mask_paletted2.png", bits=2)
Image.fromarray(mask == 3).save("mask_bilevel.png")  # one bit a pixel
Image.fromarray(np.dstack([mask] * 3)).save("mask_rgb.png")
