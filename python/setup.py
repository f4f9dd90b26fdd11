"""The package's wheels hold the worker for one platform, which Go builds here for any: LANEWISE_PLATFORM=darwin/arm64, this one without it."""

import os
import pathlib
import platform
import subprocess
import sys

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:
    from wheel.bdist_wheel import bdist_wheel

HERE = pathlib.Path(__file__).resolve().parent
TAGS = {  # a worker needs no C library, so it runs on any Linux; Go's needs macOS 12
    "linux/amd64": "manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux/arm64": "manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin/amd64": "macosx_12_0_x86_64",
    "darwin/arm64": "macosx_12_0_arm64",
    "windows/amd64": "win_amd64",
    "windows/arm64": "win_arm64",
}


def target():
    system = {"linux": "linux", "darwin": "darwin", "win32": "windows"}.get(sys.platform)
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower())
    name = os.environ.get("LANEWISE_PLATFORM") or f"{system}/{machine}"
    if name not in TAGS:
        raise SystemExit(f"lanewise: no worker for the platform {name}, only for {', '.join(TAGS)}")
    return name


class BuildWorker(build_py):
    def run(self):
        super().run()
        system, machine = target().split("/")
        folder = HERE if getattr(self, "editable_mode", False) else pathlib.Path(self.build_lib).resolve()
        for old in ("worker", "worker.exe"):
            (folder / "lanewise" / old).unlink(missing_ok=True)
        path = folder / "lanewise" / ("worker.exe" if system == "windows" else "worker")
        environment = {**os.environ, "GOOS": system, "GOARCH": machine, "CGO_ENABLED": "0"}
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(path), "."]
        try:
            subprocess.run(command, cwd=HERE / "worker", env=environment, check=True)
        except FileNotFoundError:
            raise SystemExit("lanewise: there is no go command, which builds the worker: install Go 1.26 (https://go.dev/dl), or a wheel")
        except subprocess.CalledProcessError as e:
            raise SystemExit(f"lanewise: go build of the worker in {HERE / 'worker'} failed with exit code {e.returncode}: it needs the clone")


class PlatformWheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", TAGS[target()]


class PlatformPackage(Distribution):
    def has_ext_modules(self):
        return True  # the worker: what belongs to a platform is installed as it lies in the wheel


setup(cmdclass={"build_py": BuildWorker, "bdist_wheel": PlatformWheel}, distclass=PlatformPackage)
