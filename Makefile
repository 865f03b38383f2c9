types: ## a link tree in which mypy and import-linter see `fks` as it is installed
	@mkdir -p build/types/fks && rm -f build/types/fks/* && ln -s $(CURDIR)/daemon/* build/types/fks/ && ln -s $(CURDIR)/actors build/types/fks/actors
