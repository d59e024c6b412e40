"""Checks of a whole run of the comparison with official actors."""

from bridge.actors.schemas import methods
from tests.hypervisor.builtin_actors.documented import EXITS
from tests.hypervisor.builtin_actors.examples import EXAMPLES
from tests.hypervisor.builtin_actors.ledger import FEWEST, Ledger


def complete() -> Ledger:
    ledger = Ledger()
    for actor in {actor for actor, _ in EXITS}:
        ledger.step("v18", actor, "script", equal=True)
    while ledger.of_kinds("script") < FEWEST:
        ledger.step("v18", "init", "script", equal=True)
    ledger.exits.update((actor, method, code) for (actor, method), codes in EXITS.items() for code in codes)
    return ledger


def test_a_run_is_good_that_has_reached_every_documented_exit() -> None:
    assert list(complete().problems()) == []


def test_ledger_reports_few_steps_differences_and_unseen_exits() -> None:
    ledger = complete()
    ledger.compared["v18", "init", "script"] -= 2
    ledger.step("v18", "init", "script", equal=False)
    del ledger.exits["datacap", "Burn", 19]
    few, differing, exits = ledger.problems()
    assert few == "only 1499 messages of scripts on v18, at least 1500 are wanted"
    assert differing.startswith("1 messages")
    assert exits == "datacap.Burn never ended with exit code 19"


def test_ledger_reports_actor_without_script_and_sparse_bundle() -> None:
    ledger = complete()
    del ledger.compared["v18", "cron", "script"]
    ledger.step("v18", "init", "script", equal=True)
    ledger.step("v18", "cron", "caller", equal=True)
    ledger.step("v16", "init", "script", equal=True)
    few, unscripted = ledger.problems()
    assert few == "only 1 messages of scripts on v16, at least 1500 are wanted"
    assert unscripted == "no script has a message to cron"


def test_a_ledger_is_read_as_it_was_written() -> None:
    ledger = complete()
    ledger.ended("multisig", 2, 18)
    ledger.paid("multisig", 2, 100, 90)
    assert Ledger.from_json(ledger.as_json()) == ledger
    assert "0.900" in ledger.costs()
    assert f"{FEWEST} of them steps of scenarios" in ledger.steps()


def test_documented_methods_and_examples_match() -> None:
    assert {(example.actor, example.method) for example in EXAMPLES} == set(EXITS)
    for actor, method in EXITS:
        assert method in {known.name for known in methods(actor).values()}
