"""The worker processes of this process that are alive."""

import gc

from hypervisor_tools.jobs.fork_server import WorkerProcess


def live_workers() -> set[WorkerProcess]:
    """Return the processes of all pools."""
    return {found for found in gc.get_objects() if isinstance(found, WorkerProcess) and found.is_alive()}
