"""python -m lra_mru.certify RUN"""

from lra_mru.engine.imports import imports_that_stay

with imports_that_stay():
    from lra_mru.certify.command import main

if __name__ == "__main__":
    raise SystemExit(main())
