"""One interpreter of a process may use stores in shared memory; a second one is told so."""

import subprocess
import sys

PROGRAM = """
try:
    import _interpreters as interpreters  # since Python 3.13
except ImportError:
    import _xxsubinterpreters as interpreters

import shoal

store = shoal.open()
store["first"] = 1
code = f'''
import sys
sys.path = {sys.path!r}
import shoal
try:
    shoal.open()
except ImportError as error:
    print("refused:", error)
else:
    print("opened")
'''
other = interpreters.create()
interpreters.run_string(other, code)
interpreters.destroy(other)
print("still", store["first"])
"""


def test_a_second_interpreter_is_refused_and_the_first_goes_on() -> None:
    program = "import sys\n" + PROGRAM
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    refusal, still = done.stdout.splitlines()
    assert refusal.startswith("refused: ")
    assert "interpreter" in refusal
    assert still == "still 1"
    assert done.returncode == 0, done.stderr
