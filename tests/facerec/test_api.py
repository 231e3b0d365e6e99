"""What a user imports."""

import subprocess
import sys

import pytest

import facerec

SLOW = ("torch", "faiss", "cv2", "matplotlib", "onnxruntime", "insightface", "pyarrow", "jsonargparse")


def in_a_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_brings_names_and_nothing_slow():
    code = f"import sys, facerec; print(facerec.__all__, [name for name in {SLOW} if name in sys.modules])"
    assert in_a_new_process(code) == f"{facerec.__all__} []\n"
    assert "cv2" in in_a_new_process("import sys, facerec; facerec.open_store; print(*sys.modules)").split()


def test_names_are_found():
    assert set(facerec.__all__) <= set(dir(facerec))
    for name in facerec.__all__:
        assert getattr(facerec, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'facerec' has no attribute 'Recognizer'"):
        _ = facerec.Recognizer


def test_importing_everything_changes_no_environment_and_no_log_level():
    code = """
import os, cv2
before = dict(os.environ), cv2.utils.logging.getLogLevel(), cv2.getNumThreads()
import facerec.__main__, importlib
for target in facerec.__main__.COMMANDS.values():
    importlib.import_module(target.partition(":")[0])
after = dict(os.environ), cv2.utils.logging.getLogLevel(), cv2.getNumThreads()
print([name for name in before[0] | after[0] if before[0].get(name) != after[0].get(name)], before[1:] == after[1:])
"""
    assert in_a_new_process(code) == "[] True\n"
