from data_prep.listops.make import main

raise SystemExit(main())
