from data_prep.pathfinder.make import main

raise SystemExit(main())
