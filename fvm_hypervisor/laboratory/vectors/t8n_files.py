"""Files, streams and exit codes of the transition tool, as in go-ethereum's `evm t8n`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.evm_steps import instructions, line
from fvm_hypervisor.laboratory.vectors.ethereum_json import BadFixture, read_field, read_json
from fvm_hypervisor.laboratory.vectors.t8n import MissingBlockHash, Transition, transition
from fvm_hypervisor.laboratory.vectors.t8n_env import MissingValue
from hypervisor.errors import InvalidInput
from runtimes.evm.ethereum import LATEST_FORK, schedule_of, with_case

CONFIG_ERROR: Final = 3
MISSING_BLOCK_HASH: Final = 4
JSON_ERROR: Final = 10
IO_ERROR: Final = 11
_STREAMS: Final = ("stdout", "stderr")
_NO_REWARD: Final = -1


@dataclass(frozen=True, slots=True)
class Request:
    """Options of the command. Inputs and outputs are names: a file, `stdin`, `stdout`, `stderr`, or empty."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    folder: Path
    fork: str | None
    chain_id: int
    reward: int
    evm: str
    trace: bool


def run(request: Request) -> int:
    """Run the tool on its input and output files; return the exit code. Errors are printed to standard error."""
    fork = LATEST_FORK.name if request.fork is None else with_case(request.fork)
    try:
        schedule_of(fork)
    except InvalidInput as error:
        return _failure(CONFIG_ERROR, str(error))
    if request.reward < _NO_REWARD:
        return _failure(CONFIG_ERROR, f"reward {request.reward} is out of range: expected wei, or -1 for none")
    try:
        alloc, env, txs = _read(request.inputs)
        done = transition(alloc, env, txs, fork, request.chain_id, request.evm, request.trace, request.reward)
        _write(request, done)
    except MissingValue as error:
        return _failure(CONFIG_ERROR, str(error))
    except MissingBlockHash as error:
        return _failure(MISSING_BLOCK_HASH, str(error))
    except InvalidInput as error:
        return _failure(JSON_ERROR, str(error))
    except FileNotFoundError as error:
        named = next((name for name, location in request.inputs.items() if location == error.filename), None)
        if named is None:
            return _failure(IO_ERROR, f"{error.filename} cannot be written: its folder does not exist")
        return _failure(IO_ERROR, f"there is no file {error.filename}: pass a file, or stdin, with --input.{named}")
    except OSError as error:
        return _failure(IO_ERROR, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 0


def _failure(code: int, text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return code


def _read(inputs: Mapping[str, str]) -> tuple[Any, Any, Any]:
    stream: Any = None
    if "stdin" in inputs.values():
        stream = read_json(sys.stdin.buffer.read(), "stdin")
    values = []
    for name, location in inputs.items():
        if location == "stdin":
            values.append(read_field(stream, "txsRlp" if name == "txs" and "txsRlp" in stream else name))
        else:
            values.append(_parse(Path(location).read_bytes(), location))
    alloc, env, txs = values
    if not isinstance(env, Mapping):
        raise BadFixture(f"{inputs['env']} is not an object")
    return alloc, env, txs


def _parse(data: bytes, location: str) -> Any:
    if location.endswith(".rlp"):
        return data.decode(errors="replace").strip().strip('"')
    return read_json(data, location)


def _write(request: Request, done: Transition) -> None:
    values = {"alloc": done.alloc, "result": done.result, "body": done.body}
    streams: dict[str, dict[str, Any]] = {}
    for name, location in request.outputs.items():
        if location in _STREAMS:
            streams.setdefault(location, {})[name] = values[name]
        elif location:
            request.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(values[name], indent=2)
            (request.folder / location).write_text(text + "\n", encoding="utf-8")
    for location, fields in streams.items():
        (sys.stdout if location == "stdout" else sys.stderr).write(json.dumps(fields, indent=2) + "\n")
    for index, transaction, recorder in done.traces:
        lines = [json.dumps(line(instruction)) for instruction in instructions(recorder.events)]
        path = request.folder / f"trace-{index}-0x{transaction.hash().hex()}.jsonl"
        path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
