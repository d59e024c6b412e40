"""A transfer in titanoboa's own process: prints its microseconds of processor time, the best of many.

Run by the Python of titanoboa's environment (`scripts/peers`), without this project's packages.
"""

from time import process_time

import boa

ROUNDS = 500


def main() -> None:
    """Transfer repeatedly from one account to another."""
    sender, receiver = boa.env.generate_address(), boa.env.generate_address()
    boa.env.set_balance(sender, 10**20)
    best = float("inf")
    for _ in range(ROUNDS):
        start = process_time()
        computation = boa.env.raw_call(receiver, sender=sender, value=1)
        best = min(best, process_time() - start)
        if computation.is_error:
            raise RuntimeError("titanoboa rejected a transfer")
    print(1e6 * best)


if __name__ == "__main__":
    main()
