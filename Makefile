# make up | test | test-unit | test-long | down | bench | clean: see README.md, CONTRIBUTING.md
.PHONY: up test test-unit test-long down bench clean

TS := node -r ./build/typescript.js

# npm ci again only when the lock file is newer than what was installed from it.
node_modules/.package-lock.json: package-lock.json package.json
	@sh lab/requirements.sh
	@echo "-- npm packages (about half a minute)"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

up: node_modules/.package-lock.json
	@$(TS) lab/up.ts

down: node_modules/.package-lock.json
	@$(TS) lab/down.ts

clean: down
	@rm -rf .lab

test: node_modules/.package-lock.json
	@$(TS) test/run.ts

# The quick part: unit tests without exploration.
test-unit: node_modules/.package-lock.json
	@$(TS) test/run.ts unit

test-long: node_modules/.package-lock.json
	@TEST_LONG=1 EXPLORE=full $(TS) test/run.ts

bench: node_modules/.package-lock.json
	@$(TS) bench/run.ts
