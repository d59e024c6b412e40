"""`make bindings`: write what is generated from the schemas, and say what has changed."""

from fvm_hypervisor.bindings.actors import PROJECT, write

for path in (changed := write()):
    print(path.relative_to(PROJECT))
if not changed:
    print("nothing has changed")
