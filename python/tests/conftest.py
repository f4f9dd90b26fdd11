"""The tests run on the package as it lies here, with a worker that is built for them, unless LANEWISE_WORKER names one or the installed
package is to be tested (LANEWISE_INSTALLED=1)."""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

if os.environ.get("LANEWISE_INSTALLED") != "1":
    sys.path.insert(0, str(ROOT))
    # processes that the tests start find the package, too
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    if "LANEWISE_WORKER" not in os.environ:
        folder = tempfile.TemporaryDirectory()
        path = os.path.join(folder.name, "worker")
        subprocess.run(["go", "build", "-o", path, "."], cwd=ROOT / "worker", env={**os.environ, "CGO_ENABLED": "0"}, check=True)
        os.environ["LANEWISE_WORKER"] = path
