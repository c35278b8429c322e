from lra_mru.show import main

raise SystemExit(main())
