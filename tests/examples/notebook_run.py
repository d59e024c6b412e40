"""Execution of a notebook in its own kernel; prints the output of its cells as JSON: HTML if available, else text.

python -m tests.examples.notebook_run NOTEBOOK FOLDER      FOLDER (with a short name) is for the kernel's sockets

It is a separate process because nbclient leaves sockets open, which causes a warning and thus a test failure.
"""

import json
import sys
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient


def main(path: Path, folder: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no type hints
    manager = AsyncKernelManager(transport="ipc", ip=str(folder / "kernel"))
    NotebookClient(notebook, km=manager, timeout=None, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    print(json.dumps([output.data.get("text/html") or output.data["text/plain"] for output in outputs]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
