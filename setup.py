"""Builds the extension module shoal._core; everything else stands in pyproject.toml.

Three switches, from the environment, none of them for releases:
    SHOAL_SANITIZE=address|thread   sanitizer build
    SHOAL_COVERAGE=1                gcov build
    SHOAL_DEBUG=1                   symbols, little optimisation
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SANITIZE = os.environ.get("SHOAL_SANITIZE", "")
SANITIZERS = {"": "", "address": "-fsanitize=address,undefined", "thread": "-fsanitize=thread"}
COVERAGE = os.environ.get("SHOAL_COVERAGE", "") == "1"
DEBUG = os.environ.get("SHOAL_DEBUG", "") == "1"


def refuse(reason: str) -> None:
    """End the build with one line: SystemExit prints no traceback, whichever frontend runs us."""
    raise SystemExit(f"shoal: {reason}")


if SANITIZE not in SANITIZERS:
    refuse(f"SHOAL_SANITIZE={SANITIZE} is none of: address, thread")
instrument = [flag for flag in (SANITIZERS[SANITIZE], "--coverage" if COVERAGE else "") if flag]
compile_args = ["-std=c11", "-D_GNU_SOURCE", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wundef"]
compile_args += ["-g", "-O1", *instrument] if DEBUG or instrument else ["-O3", "-g0"]


class BuildCore(build_ext):
    """Look for what the build needs before it starts, and keep the generated C out of src/."""

    def build_extensions(self) -> None:
        """Check, translate the binding to C, and compile."""
        if not sys.platform.startswith(("linux", "darwin")) or sys.maxsize < 2**32 or sys.byteorder != "little":
            refuse(f"builds on 64-bit Linux and macOS only; this is {sysconfig.get_platform()}")
        compiler = self.compiler.compiler[0]
        if shutil.which(compiler) is None:
            refuse(f"no C compiler: '{compiler}' is not there (Debian, Ubuntu: apt-get install build-essential)")
        if not self.compiles("stdint.h", "stdio.h"):
            refuse(f"'{compiler}' lacks C11 or its headers (Debian, Ubuntu: apt-get install build-essential)")
        if not self.compiles("Python.h"):
            package = f"python{sysconfig.get_python_version()}-dev"
            refuse(f"no Python.h for {sys.executable} (Debian, Ubuntu: apt-get install {package})")

        from Cython.Build import cythonize

        flags = Path("build", "flags.txt")  # with other switches than last time, all is compiled anew
        text = f"{compile_args}\n"
        if not flags.exists() or flags.read_text() != text:
            flags.parent.mkdir(exist_ok=True)
            flags.write_text(text)
        for extension in self.extensions:
            binding, *sources = extension.sources
            module = Extension(extension.name, [binding])
            (generated,) = cythonize(module, build_dir="build/cython", compiler_directives={"language_level": "3"})
            extension.sources = [*generated.sources, *sources]
            extension.depends.append(str(flags))
        super().build_extensions()

    def compiles(self, *headers: str) -> bool:
        """Say whether a C11 program with these headers compiles."""
        program = "".join(f"#include <{header}>\n" for header in headers)
        command = [*self.compiler.compiler, *(f"-I{path}" for path in self.compiler.include_dirs)]
        command += ["-std=c11", "-fsyntax-only", "-x", "c", "-"]
        return subprocess.run(command, input=program, text=True, capture_output=True, check=False).returncode == 0


headers = sorted(map(str, Path("csrc").rglob("*.h")))
core = Extension(
    "shoal._core",
    sources=["src/shoal/_core.pyx", *sorted(map(str, Path("csrc").glob("*.c")))],
    depends=[*headers, "src/shoal/_capi.pxd", *sorted(map(str, Path("src/shoal/core").glob("*.pxi")))],
    include_dirs=["csrc", "csrc/include"],
    extra_compile_args=compile_args,
    extra_link_args=instrument,
)

setup(ext_modules=[core], cmdclass={"build_ext": BuildCore})
